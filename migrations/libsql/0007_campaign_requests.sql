-- The MySQL migration of the same name explains the columns.
CREATE TABLE IF NOT EXISTS campaign_requests (
  campaign_id INTEGER NOT NULL PRIMARY KEY,
  request_id BLOB NOT NULL,
  content BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX IF NOT EXISTS campaign_requests_id ON campaign_requests (request_id);
