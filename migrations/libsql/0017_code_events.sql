-- The MySQL migration of the same name explains the table.

CREATE TABLE IF NOT EXISTS code_log_heads (
  campaign_id INTEGER PRIMARY KEY,
  code_count INTEGER NOT NULL DEFAULT 0,
  low_count INTEGER NOT NULL DEFAULT 0
) STRICT;
