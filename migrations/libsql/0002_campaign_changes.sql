-- The MySQL migration of the same number says what this is for.

CREATE TABLE IF NOT EXISTS admin_audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  change_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  campaign_id INTEGER NULL,
  before_state TEXT NULL,
  after_state TEXT NULL
) STRICT;

CREATE UNIQUE INDEX IF NOT EXISTS admin_audit_change ON admin_audit (change_id);

CREATE INDEX IF NOT EXISTS admin_audit_campaign ON admin_audit (campaign_id, id);

CREATE TABLE IF NOT EXISTS campaign_raises (
  campaign_id INTEGER PRIMARY KEY,
  announced_limit INTEGER NOT NULL
) STRICT;
