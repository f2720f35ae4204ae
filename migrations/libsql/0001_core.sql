-- libSQL / SQLite. Every statement may be run again: see src/sql/Migrations.ts.
-- All times are milliseconds since 1970-01-01T00:00:00Z. The MySQL migration of the same number explains the columns.

CREATE TABLE IF NOT EXISTS campaigns (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  coupon_limit INTEGER NOT NULL,
  current_coupon INTEGER NOT NULL DEFAULT 0,
  status TEXT NOT NULL DEFAULT 'ACTIVE',
  start_time INTEGER NOT NULL,
  end_time INTEGER NULL,
  version INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  CONSTRAINT campaigns_id CHECK (id BETWEEN 1 AND 2147483647),
  CONSTRAINT campaigns_name CHECK (LENGTH(name) BETWEEN 1 AND 100),
  CONSTRAINT campaigns_limit CHECK (coupon_limit BETWEEN 1 AND 10000000),
  CONSTRAINT campaigns_issued CHECK (current_coupon BETWEEN 0 AND coupon_limit),
  CONSTRAINT campaigns_status CHECK (status IN ('ACTIVE', 'PAUSED', 'ENDED')),
  CONSTRAINT campaigns_window CHECK (end_time IS NULL OR end_time > start_time),
  CONSTRAINT campaigns_version CHECK (version >= 1)
) STRICT;

CREATE TABLE IF NOT EXISTS coupons (
  campaign_id INTEGER NOT NULL,
  id INTEGER NOT NULL,
  user_id INTEGER NOT NULL,
  code TEXT NOT NULL,
  issued_at INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, id),
  CONSTRAINT coupons_id CHECK (id > 0),
  CONSTRAINT coupons_user_id CHECK (user_id > 0)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX IF NOT EXISTS coupons_user ON coupons (campaign_id, user_id);

CREATE UNIQUE INDEX IF NOT EXISTS coupons_code ON coupons (campaign_id, code);

CREATE TABLE IF NOT EXISTS outbox (
  batch_id TEXT NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL,
  campaign_id INTEGER NOT NULL,
  first_id INTEGER NOT NULL DEFAULT 0,
  last_id INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  CONSTRAINT outbox_kind CHECK (kind IN ('ISSUED', 'CHANGED', 'VOID')),
  CONSTRAINT outbox_range CHECK (kind <> 'ISSUED' OR (first_id >= 1 AND last_id >= first_id))
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS outbox_poll ON outbox (kind, created_at);
