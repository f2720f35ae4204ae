-- The MySQL migration 0006 says what this is for.

CREATE TABLE IF NOT EXISTS campaign_phases (
  campaign_id INTEGER PRIMARY KEY,
  version INTEGER NOT NULL,
  since INTEGER NOT NULL,
  limit_since INTEGER NOT NULL,
  opened_at INTEGER NULL,
  phase TEXT NULL,
  phase_at INTEGER NULL,
  sequence INTEGER NOT NULL DEFAULT 0,
  due_at INTEGER NULL
) STRICT;

CREATE INDEX IF NOT EXISTS campaign_phases_due ON campaign_phases (due_at);

CREATE TABLE IF NOT EXISTS campaign_phase_log (
  campaign_id INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  phase TEXT NOT NULL,
  at INTEGER NOT NULL,
  noticed_at INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, sequence)
) STRICT, WITHOUT ROWID;

INSERT OR IGNORE INTO campaign_phases (campaign_id, version, since, limit_since, opened_at, phase, phase_at, due_at)
SELECT
  c.id,
  c.version,
  IIF(c.status = 'ACTIVE', c.created_at, c.updated_at),
  c.created_at,
  CASE
    WHEN f.issued_at IS NOT NULL THEN MIN(f.issued_at, MAX(c.start_time, c.created_at))
    WHEN MAX(c.start_time, c.created_at) <= IIF(c.status = 'ACTIVE', t.now, c.updated_at)
      AND (c.end_time IS NULL OR MAX(c.start_time, c.created_at) < c.end_time) THEN MAX(c.start_time, c.created_at)
  END,
  CASE
    WHEN c.status = 'ENDED' OR c.end_time <= t.now THEN 'ENDED'
    WHEN c.status = 'PAUSED' THEN 'PAUSED'
    WHEN c.start_time > t.now THEN 'SCHEDULED'
    WHEN c.current_coupon >= c.coupon_limit THEN 'SOLD_OUT'
    ELSE 'OPEN'
  END,
  t.now,
  CASE
    WHEN c.status = 'ENDED' THEN NULL
    WHEN c.start_time > t.now THEN c.start_time
    WHEN c.end_time > t.now THEN c.end_time
  END
FROM campaigns AS c
CROSS JOIN (SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS now) AS t
LEFT JOIN coupons AS f ON f.campaign_id = c.id AND f.id = 1;
