-- API keys; the MySQL migration of the same number says what the columns mean.

CREATE TABLE IF NOT EXISTS api_keys (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  secret_hash TEXT NOT NULL,
  requests_per_second INTEGER NULL,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER NULL,
  CONSTRAINT api_keys_id CHECK (LENGTH(id) = 16),
  CONSTRAINT api_keys_name CHECK (LENGTH(name) BETWEEN 1 AND 100),
  CONSTRAINT api_keys_role CHECK (role IN ('ISSUER', 'VIEWER', 'OPERATOR', 'ADMIN')),
  CONSTRAINT api_keys_hash CHECK (LENGTH(secret_hash) = 64),
  CONSTRAINT api_keys_rate CHECK (requests_per_second BETWEEN 1 AND 1000000)
) STRICT, WITHOUT ROWID;
