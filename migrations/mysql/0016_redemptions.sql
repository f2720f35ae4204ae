-- What becomes of coupons after they were issued. Rows of coupons stay as they are; all of this stands beside them
-- (docs/internals/protocol.md, "Redemption"). A claim neither reads nor writes these tables.

-- One row a campaign: the sequence of its last redemption. Who redeems or undoes holds the lock of this row, and never
-- that of the campaign's row.
CREATE TABLE IF NOT EXISTS redemption_heads (
  campaign_id INT NOT NULL,
  sequence INT NOT NULL DEFAULT 0,
  PRIMARY KEY (campaign_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin;

-- Every request with its answer, for good. Only added to.
-- - sequence: 1, 2, 3, … of those that were done, in the order of commit; NULL: it was refused
-- - outcome: DONE, or why it was refused: REDEEMED, REVOKED, EXPIRED, or ABSENT, as there was nothing to undo
-- - standing: the sequence of the redemption or revocation because of which it was refused
-- - version: that of the campaign, which orders it among changes
CREATE TABLE IF NOT EXISTS redemptions (
  campaign_id INT NOT NULL,
  request_id VARBINARY(256) NOT NULL,
  sequence INT NULL,
  coupon_id INT NOT NULL,
  action VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  outcome VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  standing INT NULL,
  terminal_id VARCHAR(64) NOT NULL,
  order_ref VARCHAR(64) NOT NULL,
  reason VARCHAR(200) NOT NULL,
  occurred_at DATETIME(6) NULL,
  at DATETIME(6) NOT NULL,
  version BIGINT NOT NULL,
  PRIMARY KEY (campaign_id, request_id),
  UNIQUE KEY redemptions_sequence (campaign_id, sequence),
  KEY redemptions_coupon (campaign_id, coupon_id, sequence),
  CONSTRAINT redemptions_action CHECK (action IN ('REDEEM', 'UNDO', 'REVOKE')),
  CONSTRAINT redemptions_outcome CHECK (outcome IN ('DONE', 'REDEEMED', 'REVOKED', 'EXPIRED', 'ABSENT')),
  CONSTRAINT redemptions_done CHECK ((sequence IS NOT NULL) = (outcome = 'DONE'))
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- The state of each coupon that was redeemed or revoked; a coupon without a row is issued, and may have expired. Its
-- key lets one redemption win. sequence, at and terminal_id are those of the redemption or revocation that stands.
CREATE TABLE IF NOT EXISTS coupon_states (
  campaign_id INT NOT NULL,
  coupon_id INT NOT NULL,
  state VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  sequence INT NOT NULL,
  at DATETIME(6) NOT NULL,
  terminal_id VARCHAR(64) NOT NULL,
  PRIMARY KEY (campaign_id, coupon_id),
  CONSTRAINT coupon_states_state CHECK (state IN ('REDEEMED', 'REVOKED'))
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- How far each campaign's event log has its redemptions. Written under the lock of the log's head.
CREATE TABLE IF NOT EXISTS redemption_log_heads (
  campaign_id INT NOT NULL,
  sequence INT NOT NULL,
  PRIMARY KEY (campaign_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin;

-- One more role.
ALTER TABLE api_keys
  DROP CONSTRAINT api_keys_role,
  ADD CONSTRAINT api_keys_role CHECK (role IN ('ISSUER', 'REDEEMER', 'VIEWER', 'OPERATOR', 'ADMIN'));
