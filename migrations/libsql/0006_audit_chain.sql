-- The MySQL migration 0007 says what this is for.

CREATE TABLE IF NOT EXISTS admin_audit_facts (
  change_id TEXT NOT NULL PRIMARY KEY,
  key_id TEXT NULL,
  role TEXT NULL,
  address TEXT NULL,
  request_id TEXT NULL,
  outcome TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS admin_audit_chain (
  sequence INTEGER PRIMARY KEY,
  audit_id INTEGER NOT NULL,
  hash TEXT NOT NULL,
  sealed_at INTEGER NOT NULL,
  CONSTRAINT admin_audit_chain_sequence CHECK (sequence >= 1)
) STRICT;

CREATE UNIQUE INDEX IF NOT EXISTS admin_audit_chain_act ON admin_audit_chain (audit_id);

CREATE TABLE IF NOT EXISTS admin_audit_head (
  id INTEGER PRIMARY KEY,
  sequence INTEGER NOT NULL,
  hash TEXT NOT NULL,
  audit_id INTEGER NOT NULL,
  CONSTRAINT admin_audit_head_one CHECK (id = 1)
) STRICT;

INSERT INTO admin_audit_head (id, sequence, hash, audit_id)
SELECT 1, 0, '0000000000000000000000000000000000000000000000000000000000000000', 0
WHERE NOT EXISTS (SELECT 1 FROM admin_audit_head);
