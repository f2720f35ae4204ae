-- The one row that tells this deployment from any other on the same servers.
-- identity: made here, once, and the same for every instance; it goes wherever the ledger goes, also into a backup.
-- redis_key_prefix: what the gate's keys begin with unless REDIS_KEY_PREFIX is set. Instances of before this migration
--   use none, and may still run: so a ledger older than ten minutes keeps none. Only a new one has the identity in its
--   keys.
-- served_in_production_at: when an instance first served this ledger in production mode.

CREATE TABLE IF NOT EXISTS deployment (
  id TINYINT NOT NULL,
  identity CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  redis_key_prefix VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  served_in_production_at DATETIME(6) NULL,
  PRIMARY KEY (id),
  CONSTRAINT deployment_one CHECK (id = 1)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- UUID() differs at every call and server, RAND() at every session. The digest makes 64 bits of both.
SET @identity = LEFT(SHA2(CONCAT_WS(' ', UUID(), RAND(), CONNECTION_ID(), SYSDATE(6)), 256), 16);

INSERT INTO deployment (id, identity, redis_key_prefix)
SELECT 1, @identity, IF(
  EXISTS (SELECT 1 FROM campaigns) OR
    EXISTS (SELECT 1 FROM schema_migrations WHERE applied_at < UTC_TIMESTAMP(6) - INTERVAL 10 MINUTE),
  '',
  CONCAT('coupon:', @identity, ':')
)
FROM (SELECT COUNT(*) AS already FROM deployment) AS there
WHERE there.already = 0;
