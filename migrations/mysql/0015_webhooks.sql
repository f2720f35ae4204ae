-- Webhooks. Times are epoch milliseconds by this server's clock; positions are those of campaign_events.
-- webhook_endpoints: the receivers.
-- - definition: what an operator has set, as JSON
-- - secrets: sealed under SECRETS_KEY, as JSON, the current one first
-- - failing_since: since when no delivery has succeeded
CREATE TABLE IF NOT EXISTS webhook_endpoints (
  id CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  version BIGINT NOT NULL,
  definition MEDIUMTEXT NOT NULL,
  secrets TEXT NOT NULL,
  status VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  reason VARCHAR(500) NOT NULL,
  disabled_at BIGINT NULL,
  failing_since BIGINT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- How far an endpoint has got in a campaign's log; the instance that holds the lease delivers.
-- - sequence, number: the last event that was delivered, and of the range after it the last coupon
-- - end_sequence, end_number: where the batch that has failed ends
-- - due_at: when it is tried again
-- - token: goes up each time that the cursor changes hands; who moves it has to name it
CREATE TABLE IF NOT EXISTS webhook_cursors (
  campaign_id INT NOT NULL,
  endpoint_id CHAR(16) NOT NULL,
  sequence BIGINT NOT NULL,
  number INT NOT NULL DEFAULT 0,
  failures INT NOT NULL DEFAULT 0,
  end_sequence BIGINT NULL,
  end_number INT NULL,
  due_at BIGINT NOT NULL DEFAULT 0,
  token BIGINT NOT NULL DEFAULT 0,
  owner VARCHAR(64) NULL,
  lease_until BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (campaign_id, endpoint_id),
  KEY webhook_cursors_leases (endpoint_id, lease_until),
  KEY webhook_cursors_due (due_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin;

-- What deliveries came to, for operators: each failure, and good ones summed up. Kept for 30 days, within bounds.
CREATE TABLE IF NOT EXISTS webhook_attempts (
  id BIGINT NOT NULL AUTO_INCREMENT,
  campaign_id INT NOT NULL,
  endpoint_id CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  sequence BIGINT NOT NULL,
  number INT NOT NULL,
  end_sequence BIGINT NOT NULL,
  end_number INT NOT NULL,
  requests INT NOT NULL,
  events INT NOT NULL,
  result VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  status INT NULL,
  reason VARCHAR(500) NOT NULL,
  answer TEXT NOT NULL,
  took_millis INT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (id),
  KEY webhook_attempts_of (endpoint_id, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- Batches that were set aside.
CREATE TABLE IF NOT EXISTS webhook_parked (
  id BIGINT NOT NULL AUTO_INCREMENT,
  campaign_id INT NOT NULL,
  endpoint_id CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  sequence BIGINT NOT NULL,
  number INT NOT NULL,
  end_sequence BIGINT NOT NULL,
  end_number INT NOT NULL,
  reason VARCHAR(500) NOT NULL,
  parked_at BIGINT NOT NULL,
  is_due TINYINT NOT NULL DEFAULT 0,
  token BIGINT NOT NULL DEFAULT 0,
  owner VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
  lease_until BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  UNIQUE KEY webhook_parked_batch (campaign_id, endpoint_id, sequence, number),
  KEY webhook_parked_of (endpoint_id, id),
  KEY webhook_parked_due (is_due, endpoint_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
