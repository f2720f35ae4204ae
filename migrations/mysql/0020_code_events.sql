-- What each campaign's event log has of its pool (docs/internals/protocol.md, "The event log"). Written under the lock
-- of the log's head; a campaign without a pool has no row.
-- - code_count: how many codes the pool had after the last import that is in the log
-- - low_count: how many codes the pool had when the log said that few are left
CREATE TABLE IF NOT EXISTS code_log_heads (
  campaign_id INT NOT NULL,
  code_count INT NOT NULL DEFAULT 0,
  low_count INT NOT NULL DEFAULT 0,
  PRIMARY KEY (campaign_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin;
