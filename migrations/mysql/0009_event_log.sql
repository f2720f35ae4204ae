-- One log of events a campaign: what was committed, once each, in the order of commit (docs/internals/protocol.md, "The
-- event log"). No claim writes it: the relay appends what the ledger has committed since. Rows are added, and removed
-- only by EVENT_RETENTION; none is changed.
-- - sequence: 1, 2, 3, … within the campaign, without a gap
-- - first_id, last_id: of coupon.issued, the coupons with these numbers; else 0
-- - payload: JSON as text; NULL: {}
CREATE TABLE IF NOT EXISTS campaign_events (
  campaign_id INT NOT NULL,
  sequence BIGINT NOT NULL,
  type VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  first_id INT NOT NULL DEFAULT 0,
  last_id INT NOT NULL DEFAULT 0,
  payload TEXT NULL,
  at DATETIME(6) NOT NULL,
  PRIMARY KEY (campaign_id, sequence)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- The end of each log. Who appends holds the lock of this row, never that of the campaign's.
-- - sequence: of the last event; removed_sequence: of the last one that retention has removed
-- - last_id: coupons up to this number are in the log; version: changes up to this version are
-- - ended_version: the version under which the log has that the end time passed
-- - moved_at: when it was last appended to
-- Campaigns that are older than this table get their row, their ranges and their changes from the service.
CREATE TABLE IF NOT EXISTS campaign_event_heads (
  campaign_id INT NOT NULL,
  sequence BIGINT NOT NULL DEFAULT 0,
  removed_sequence BIGINT NOT NULL DEFAULT 0,
  last_id INT NOT NULL DEFAULT 0,
  version BIGINT NOT NULL DEFAULT 0,
  ended_version BIGINT NOT NULL DEFAULT 0,
  moved_at DATETIME(6) NOT NULL,
  PRIMARY KEY (campaign_id),
  KEY campaign_event_heads_moved (moved_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin;
