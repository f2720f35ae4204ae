-- What the phase of a campaign (SCHEDULED, OPEN, SOLD_OUT, PAUSED, ENDED) is derived from besides the campaign itself
-- and its last coupon, and which phases were reached. Never written by a claim: changes of the campaign write it, and
-- the watch of every instance.
-- - version: the campaign's, as this row knows it
-- - since, limit_since: since when status and window, and the limit, are what they are
-- - opened_at: when it first opened, once a change or the watch has noted that
-- - phase, phase_at, sequence: the last entry of the log
-- - due_at: when to look next, at its start or end, or at once after a change
CREATE TABLE IF NOT EXISTS campaign_phases (
  campaign_id INT NOT NULL,
  version BIGINT NOT NULL,
  since DATETIME(6) NOT NULL,
  limit_since DATETIME(6) NOT NULL,
  opened_at DATETIME(6) NULL,
  phase VARCHAR(9) CHARACTER SET ascii COLLATE ascii_bin NULL,
  phase_at DATETIME(6) NULL,
  sequence INT NOT NULL DEFAULT 0,
  due_at DATETIME(6) NULL,
  PRIMARY KEY (campaign_id),
  KEY campaign_phases_due (due_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- One row a phase that was reached: the event. The instance that adds it also logs and counts it.
CREATE TABLE IF NOT EXISTS campaign_phase_log (
  campaign_id INT NOT NULL,
  sequence INT NOT NULL,
  phase VARCHAR(9) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  at DATETIME(6) NOT NULL,
  noticed_at DATETIME(6) NOT NULL,
  PRIMARY KEY (campaign_id, sequence)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- Campaigns that are older than this table: their phase as it is, without an event. When they opened is an estimate:
-- not before their start and their creation, and not after their first coupon.
INSERT IGNORE INTO campaign_phases (campaign_id, version, since, limit_since, opened_at, phase, phase_at, due_at)
SELECT
  c.id,
  c.version,
  IF(c.status = 'ACTIVE', c.created_at, c.updated_at),
  c.created_at,
  CASE
    WHEN f.issued_at IS NOT NULL THEN LEAST(f.issued_at, GREATEST(c.start_time, c.created_at))
    WHEN GREATEST(c.start_time, c.created_at) <= IF(c.status = 'ACTIVE', UTC_TIMESTAMP(6), c.updated_at)
      AND (c.end_time IS NULL OR GREATEST(c.start_time, c.created_at) < c.end_time)
            THEN GREATEST(c.start_time, c.created_at)
        END,
  CASE
    WHEN c.status = 'ENDED' OR c.end_time <= UTC_TIMESTAMP(6) THEN 'ENDED'
    WHEN c.status = 'PAUSED' THEN 'PAUSED'
    WHEN c.start_time > UTC_TIMESTAMP(6) THEN 'SCHEDULED'
    WHEN c.current_coupon >= c.coupon_limit THEN 'SOLD_OUT'
    ELSE 'OPEN'
  END,
  UTC_TIMESTAMP(6),
  CASE
    WHEN c.status = 'ENDED' THEN NULL
    WHEN c.start_time > UTC_TIMESTAMP(6) THEN c.start_time
    WHEN c.end_time > UTC_TIMESTAMP(6) THEN c.end_time
  END
FROM campaigns AS c LEFT JOIN coupons AS f ON f.campaign_id = c.id AND f.id = 1;
