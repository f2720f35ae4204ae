-- Sessions of the console: who signed in with which API key. A row is there until the session ends. token_hash is the
-- SHA-256 of 256 random bits and, for ADMIN_API_KEY, of what that key is, in hex: a reader of this table can use no
-- session. key_id: an API key, or `bootstrap`, which is ADMIN_API_KEY.
CREATE TABLE IF NOT EXISTS console_sessions (
  id CHAR(16) NOT NULL,
  token_hash CHAR(64) NOT NULL,
  key_id VARCHAR(16) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  ends_at DATETIME(6) NOT NULL,
  address VARCHAR(64) NOT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY console_sessions_token (token_hash),
  KEY console_sessions_of_key (key_id, created_at),
  CONSTRAINT console_sessions_life CHECK (ends_at > created_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin;
