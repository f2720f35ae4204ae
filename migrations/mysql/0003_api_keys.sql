-- API keys of every instance. secret_hash is the SHA-256 of 256 random bits, in hex: a reader of this table can use no
-- key. Rows are never deleted: the table is also the record of who once had which rights, and a service whose keys are
-- all revoked stays closed.

CREATE TABLE IF NOT EXISTS api_keys (
  id CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  name VARCHAR(100) NOT NULL,
  role VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  secret_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  requests_per_second INT NULL,
  created_at DATETIME(6) NOT NULL,
  revoked_at DATETIME(6) NULL,
  PRIMARY KEY (id),
  CONSTRAINT api_keys_name CHECK (CHAR_LENGTH(name) > 0),
  CONSTRAINT api_keys_role CHECK (role IN ('ISSUER', 'VIEWER', 'OPERATOR', 'ADMIN')),
  CONSTRAINT api_keys_rate CHECK (requests_per_second BETWEEN 1 AND 1000000)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
