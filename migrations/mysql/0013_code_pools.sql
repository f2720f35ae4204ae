-- Pools of own codes: coupon n of a campaign gets code n of its pool (docs/internals/protocol.md, "Pools").
-- Codes with numbers above campaigns.code_count are those of an import that is not finished: no coupon gets them.

CREATE TABLE IF NOT EXISTS code_pool (
  campaign_id INT NOT NULL,
  number INT NOT NULL,
  code VARCHAR(63) NOT NULL,
  PRIMARY KEY (campaign_id, number),
  UNIQUE KEY code_pool_code (campaign_id, code),
  CONSTRAINT code_pool_number CHECK (number > 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- permutation_key: by what the codes of each chunk are numbered.
-- chunks: how many are stored, and the index of the next.
CREATE TABLE IF NOT EXISTS code_imports (
  campaign_id INT NOT NULL,
  import_id INT NOT NULL,
  request_id VARCHAR(64) NOT NULL,
  state VARCHAR(9) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  first_number INT NOT NULL,
  permutation_key CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  chunks INT NOT NULL DEFAULT 0,
  received BIGINT NOT NULL DEFAULT 0,
  accepted BIGINT NOT NULL DEFAULT 0,
  duplicate_in_file BIGINT NOT NULL DEFAULT 0,
  duplicate_in_campaign BIGINT NOT NULL DEFAULT 0,
  invalid BIGINT NOT NULL DEFAULT 0,
  started_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (campaign_id, import_id),
  UNIQUE KEY code_imports_request (campaign_id, request_id),
  CONSTRAINT code_imports_state CHECK (state IN ('OPEN', 'FINISHED', 'ABORTING', 'ABORTED'))
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- What became of each chunk, for a call that is repeated. digest: the SHA-256 of its codes; rejected: JSON.
CREATE TABLE IF NOT EXISTS code_import_chunks (
  campaign_id INT NOT NULL,
  import_id INT NOT NULL,
  chunk_index INT NOT NULL,
  digest CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  accepted INT NOT NULL,
  rejected MEDIUMTEXT NOT NULL,
  PRIMARY KEY (campaign_id, import_id, chunk_index)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- A batch of a pool's campaign and its coupons, in the transaction that issues them: a batch draws no codes by which it
-- could know them. The outbox has the same range, but only until the relay has settled it. Never deleted.
CREATE TABLE IF NOT EXISTS coupon_batches (
  campaign_id INT NOT NULL,
  batch_id BINARY(16) NOT NULL,
  first_id INT NOT NULL,
  last_id INT NOT NULL,
  PRIMARY KEY (campaign_id, batch_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin;
