-- The MySQL migration of the same name explains the tables.

CREATE TABLE IF NOT EXISTS redemption_heads (
  campaign_id INTEGER PRIMARY KEY,
  sequence INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE IF NOT EXISTS redemptions (
  campaign_id INTEGER NOT NULL,
  request_id BLOB NOT NULL,
  sequence INTEGER NULL,
  coupon_id INTEGER NOT NULL,
  action TEXT NOT NULL,
  outcome TEXT NOT NULL,
  standing INTEGER NULL,
  terminal_id TEXT NOT NULL,
  order_ref TEXT NOT NULL,
  reason TEXT NOT NULL,
  occurred_at INTEGER NULL,
  at INTEGER NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, request_id),
  CONSTRAINT redemptions_action CHECK (action IN ('REDEEM', 'UNDO', 'REVOKE')),
  CONSTRAINT redemptions_outcome CHECK (outcome IN ('DONE', 'REDEEMED', 'REVOKED', 'EXPIRED', 'ABSENT')),
  CONSTRAINT redemptions_done CHECK ((sequence IS NOT NULL) = (outcome = 'DONE'))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX IF NOT EXISTS redemptions_sequence ON redemptions (campaign_id, sequence);

CREATE INDEX IF NOT EXISTS redemptions_coupon ON redemptions (campaign_id, coupon_id, sequence);

CREATE TABLE IF NOT EXISTS coupon_states (
  campaign_id INTEGER NOT NULL,
  coupon_id INTEGER NOT NULL,
  state TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  at INTEGER NOT NULL,
  terminal_id TEXT NOT NULL,
  PRIMARY KEY (campaign_id, coupon_id),
  CONSTRAINT coupon_states_state CHECK (state IN ('REDEEMED', 'REVOKED'))
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS redemption_log_heads (
  campaign_id INTEGER PRIMARY KEY,
  sequence INTEGER NOT NULL
) STRICT;

-- One more role. SQLite changes a check by a new table alone.
CREATE TABLE IF NOT EXISTS api_keys_next (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  secret_hash TEXT NOT NULL,
  requests_per_second INTEGER NULL,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER NULL,
  CONSTRAINT api_keys_id CHECK (LENGTH(id) = 16),
  CONSTRAINT api_keys_name CHECK (LENGTH(name) BETWEEN 1 AND 100),
  CONSTRAINT api_keys_role CHECK (role IN ('ISSUER', 'REDEEMER', 'VIEWER', 'OPERATOR', 'ADMIN')),
  CONSTRAINT api_keys_hash CHECK (LENGTH(secret_hash) = 64),
  CONSTRAINT api_keys_rate CHECK (requests_per_second BETWEEN 1 AND 1000000)
) STRICT, WITHOUT ROWID;

INSERT INTO api_keys_next (id, name, role, secret_hash, requests_per_second, created_at, revoked_at)
SELECT id, name, role, secret_hash, requests_per_second, created_at, revoked_at FROM api_keys;

DROP TABLE api_keys;

ALTER TABLE api_keys_next RENAME TO api_keys;
