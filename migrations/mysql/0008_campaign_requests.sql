-- The calls by which campaigns were made, for good: a call that is repeated finds its campaign here. Only added to.
-- content is the SHA-256 of what was asked for.
-- request_id does not lead with campaign_id, as keys of coupons do: a repeated call does not know its campaign. The
-- numbers of campaigns come from one place, and this table belongs there.
CREATE TABLE IF NOT EXISTS campaign_requests (
  campaign_id INT NOT NULL,
  request_id VARBINARY(256) NOT NULL,
  content BINARY(32) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (campaign_id),
  UNIQUE KEY campaign_requests_id (request_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
