-- The MySQL migration `key_limits` says what these are for.

CREATE TABLE IF NOT EXISTS api_key_limits (
  key_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  expires_at INTEGER NULL,
  networks TEXT NULL,
  campaigns TEXT NULL,
  set_at INTEGER NOT NULL,
  PRIMARY KEY (key_id, version),
  CONSTRAINT api_key_limits_version CHECK (version >= 1)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS api_key_ends (
  key_id TEXT NOT NULL PRIMARY KEY,
  successor TEXT NOT NULL,
  ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS api_key_use (
  key_id TEXT NOT NULL PRIMARY KEY,
  last_day TEXT NOT NULL
) STRICT, WITHOUT ROWID;
