-- The MySQL migration 0009 says what this is for.

CREATE TABLE IF NOT EXISTS campaign_events (
  campaign_id INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  type TEXT NOT NULL,
  first_id INTEGER NOT NULL DEFAULT 0,
  last_id INTEGER NOT NULL DEFAULT 0,
  payload TEXT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS campaign_event_heads (
  campaign_id INTEGER PRIMARY KEY,
  sequence INTEGER NOT NULL DEFAULT 0,
  removed_sequence INTEGER NOT NULL DEFAULT 0,
  last_id INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 0,
  ended_version INTEGER NOT NULL DEFAULT 0,
  moved_at INTEGER NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS campaign_event_heads_moved ON campaign_event_heads (moved_at);
