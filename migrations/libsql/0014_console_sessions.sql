-- Sessions of the console; the MySQL migration of the same name says what the columns mean.

CREATE TABLE IF NOT EXISTS console_sessions (
  id TEXT NOT NULL PRIMARY KEY,
  token_hash TEXT NOT NULL UNIQUE,
  key_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  address TEXT NOT NULL,
  CONSTRAINT console_sessions_id CHECK (LENGTH(id) = 16),
  CONSTRAINT console_sessions_hash CHECK (LENGTH(token_hash) = 64),
  CONSTRAINT console_sessions_life CHECK (ends_at > created_at)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS console_sessions_of_key ON console_sessions (key_id, created_at);
