-- The MySQL migration 0015 says what this is for.

CREATE TABLE IF NOT EXISTS webhook_endpoints (
  id TEXT NOT NULL PRIMARY KEY,
  version INTEGER NOT NULL,
  definition TEXT NOT NULL,
  secrets TEXT NOT NULL,
  status TEXT NOT NULL,
  reason TEXT NOT NULL,
  disabled_at INTEGER NULL,
  failing_since INTEGER NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS webhook_cursors (
  campaign_id INTEGER NOT NULL,
  endpoint_id TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  number INTEGER NOT NULL DEFAULT 0,
  failures INTEGER NOT NULL DEFAULT 0,
  end_sequence INTEGER NULL,
  end_number INTEGER NULL,
  due_at INTEGER NOT NULL DEFAULT 0,
  token INTEGER NOT NULL DEFAULT 0,
  owner TEXT NULL,
  lease_until INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (campaign_id, endpoint_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS webhook_cursors_leases ON webhook_cursors (endpoint_id, lease_until);

CREATE INDEX IF NOT EXISTS webhook_cursors_due ON webhook_cursors (due_at);

CREATE TABLE IF NOT EXISTS webhook_attempts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  campaign_id INTEGER NOT NULL,
  endpoint_id TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  number INTEGER NOT NULL,
  end_sequence INTEGER NOT NULL,
  end_number INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  events INTEGER NOT NULL,
  result TEXT NOT NULL,
  status INTEGER NULL,
  reason TEXT NOT NULL,
  answer TEXT NOT NULL,
  took_millis INTEGER NOT NULL,
  at INTEGER NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS webhook_attempts_of ON webhook_attempts (endpoint_id, id);

CREATE TABLE IF NOT EXISTS webhook_parked (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  campaign_id INTEGER NOT NULL,
  endpoint_id TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  number INTEGER NOT NULL,
  end_sequence INTEGER NOT NULL,
  end_number INTEGER NOT NULL,
  reason TEXT NOT NULL,
  parked_at INTEGER NOT NULL,
  is_due INTEGER NOT NULL DEFAULT 0,
  token INTEGER NOT NULL DEFAULT 0,
  owner TEXT NULL,
  lease_until INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX IF NOT EXISTS webhook_parked_batch ON webhook_parked (campaign_id, endpoint_id, sequence, number);
CREATE INDEX IF NOT EXISTS webhook_parked_of ON webhook_parked (endpoint_id, id);
CREATE INDEX IF NOT EXISTS webhook_parked_due ON webhook_parked (is_due, endpoint_id);
