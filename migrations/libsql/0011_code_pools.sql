-- The MySQL migration `code_pools` says what this is for.

CREATE TABLE IF NOT EXISTS code_pool (
  campaign_id INTEGER NOT NULL,
  number INTEGER NOT NULL,
  code TEXT NOT NULL,
  PRIMARY KEY (campaign_id, number),
  CONSTRAINT code_pool_number CHECK (number > 0)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX IF NOT EXISTS code_pool_code ON code_pool (campaign_id, code);

CREATE TABLE IF NOT EXISTS code_imports (
  campaign_id INTEGER NOT NULL,
  import_id INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  state TEXT NOT NULL,
  first_number INTEGER NOT NULL,
  permutation_key TEXT NOT NULL,
  chunks INTEGER NOT NULL DEFAULT 0,
  received INTEGER NOT NULL DEFAULT 0,
  accepted INTEGER NOT NULL DEFAULT 0,
  duplicate_in_file INTEGER NOT NULL DEFAULT 0,
  duplicate_in_campaign INTEGER NOT NULL DEFAULT 0,
  invalid INTEGER NOT NULL DEFAULT 0,
  started_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, import_id),
  CONSTRAINT code_imports_state CHECK (state IN ('OPEN', 'FINISHED', 'ABORTING', 'ABORTED'))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX IF NOT EXISTS code_imports_request ON code_imports (campaign_id, request_id);

CREATE TABLE IF NOT EXISTS code_import_chunks (
  campaign_id INTEGER NOT NULL,
  import_id INTEGER NOT NULL,
  chunk_index INTEGER NOT NULL,
  digest TEXT NOT NULL,
  accepted INTEGER NOT NULL,
  rejected TEXT NOT NULL,
  PRIMARY KEY (campaign_id, import_id, chunk_index)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS coupon_batches (
  campaign_id INTEGER NOT NULL,
  batch_id TEXT NOT NULL,
  first_id INTEGER NOT NULL,
  last_id INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, batch_id)
) STRICT, WITHOUT ROWID;
