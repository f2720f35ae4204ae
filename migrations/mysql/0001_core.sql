-- MySQL 8.0.19 or later, MariaDB 10.6 or later. Every statement may be run again: see src/sql/Migrations.ts.
-- All times are UTC. No triggers, no foreign keys, and no procedure that the service depends on. Every unique key of
-- coupons leads with campaign_id, so that the tables can be spread by campaign.

CREATE TABLE IF NOT EXISTS campaigns (
  id INT NOT NULL AUTO_INCREMENT,
  name VARCHAR(100) NOT NULL,
  coupon_limit BIGINT NOT NULL,
  current_coupon BIGINT NOT NULL DEFAULT 0,
  status VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'ACTIVE',
  start_time DATETIME(6) NOT NULL,
  end_time DATETIME(6) NULL,
  version BIGINT NOT NULL DEFAULT 1,
  created_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  CONSTRAINT campaigns_name CHECK (CHAR_LENGTH(name) > 0),
  CONSTRAINT campaigns_limit CHECK (coupon_limit BETWEEN 1 AND 10000000),
  CONSTRAINT campaigns_issued CHECK (current_coupon BETWEEN 0 AND coupon_limit),
  CONSTRAINT campaigns_status CHECK (status IN ('ACTIVE', 'PAUSED', 'ENDED')),
  CONSTRAINT campaigns_window CHECK (end_time IS NULL OR end_time > start_time),
  CONSTRAINT campaigns_version CHECK (version >= 1)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- id is the coupon's number within its campaign: 1, 2, 3, ... in the order of issue, without a gap. It is taken under
-- the lock of the campaign's row, so rows enter the clustered index at its end and pages are read by key.
CREATE TABLE IF NOT EXISTS coupons (
  campaign_id INT NOT NULL,
  id INT NOT NULL,
  user_id BIGINT NOT NULL,
  code VARCHAR(10) NOT NULL,
  issued_at DATETIME(6) NOT NULL,
  PRIMARY KEY (campaign_id, id),
  UNIQUE KEY coupons_user (campaign_id, user_id),
  UNIQUE KEY coupons_code (campaign_id, code),
  CONSTRAINT coupons_id CHECK (id > 0),
  CONSTRAINT coupons_user_id CHECK (user_id > 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- One row for each of
-- - ISSUED: a committed batch, the coupons first_id to last_id; exact, because one transaction takes ids without a gap
-- - CHANGED: a changed campaign; the relay reads the terms when it polls
-- - VOID: a batch that must never commit
CREATE TABLE IF NOT EXISTS outbox (
  batch_id BINARY(16) NOT NULL,
  kind VARCHAR(8) NOT NULL,
  campaign_id INT NOT NULL,
  first_id INT NOT NULL DEFAULT 0,
  last_id INT NOT NULL DEFAULT 0,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (batch_id),
  KEY outbox_poll (kind, created_at),
  CONSTRAINT outbox_kind CHECK (kind IN ('ISSUED', 'CHANGED', 'VOID')),
  CONSTRAINT outbox_range CHECK (kind <> 'ISSUED' OR (first_id >= 1 AND last_id >= first_id))
) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin;
