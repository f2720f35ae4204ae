-- The group commits for usual batches: `issue_batch_by` (migration 0012) and `issue_pool_batch` (0014), which also
-- return the version of the validity by which the coupons expire, as the transaction saw it under its lock (NULL: they
-- do not expire). Both of those stay as they are, for instances of the version before.

SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION';

DROP PROCEDURE IF EXISTS issue_dated_batch;

CREATE PROCEDURE issue_dated_batch(
  IN batch BINARY(16), IN campaign INT, IN codes VARCHAR(500) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, IN claims JSON
)
  SQL SECURITY INVOKER
BEGIN
  DECLARE size INT DEFAULT JSON_LENGTH(claims);
  DECLARE issued BIGINT;
  DECLARE at_time DATETIME(6);
  DECLARE validity BIGINT;

  START TRANSACTION;
  SELECT current_coupon, SYSDATE(6), validity_version INTO issued, at_time, validity FROM campaigns
  WHERE id = campaign AND current_coupon + size <= coupon_limit AND status = 'ACTIVE' AND start_time <= SYSDATE(6)
    AND (end_time IS NULL OR SYSDATE(6) + INTERVAL 1 SECOND < end_time)
    AND code_spec <=> codes
  FOR UPDATE;

  IF issued IS NULL THEN
    ROLLBACK;
  ELSE
    INSERT INTO coupons (campaign_id, id, user_id, code, issued_at)
    SELECT campaign, issued + claim.arrival, claim.user_id, claim.code, at_time
    FROM JSON_TABLE(claims, '$[*]' COLUMNS (
      arrival FOR ORDINALITY,
      user_id BIGINT PATH '$[0]',
      code VARCHAR(63) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[1]'
    )) AS claim;
    UPDATE campaigns SET current_coupon = issued + size, updated_at = at_time WHERE id = campaign;
    INSERT INTO outbox (batch_id, kind, campaign_id, first_id, last_id, created_at)
    VALUES (batch, 'ISSUED', campaign, issued + 1, issued + size, at_time);
    COMMIT;
  END IF;

  SELECT issued, at_time, validity;
END;

DROP PROCEDURE IF EXISTS issue_dated_pool_batch;

CREATE PROCEDURE issue_dated_pool_batch(IN batch BINARY(16), IN campaign INT, IN claims JSON)
  SQL SECURITY INVOKER
BEGIN
  DECLARE size INT DEFAULT JSON_LENGTH(claims);
  DECLARE issued BIGINT;
  DECLARE at_time DATETIME(6);
  DECLARE validity BIGINT;

  START TRANSACTION;
  SELECT current_coupon, SYSDATE(6), validity_version INTO issued, at_time, validity FROM campaigns
  WHERE id = campaign AND current_coupon + size <= coupon_limit AND status = 'ACTIVE' AND start_time <= SYSDATE(6)
    AND (end_time IS NULL OR SYSDATE(6) + INTERVAL 1 SECOND < end_time)
    AND code_spec = 'POOL' AND current_coupon + size <= code_count
  FOR UPDATE;

  IF issued IS NULL THEN
    ROLLBACK;
  ELSE
    INSERT INTO coupons (campaign_id, id, user_id, code, issued_at)
    SELECT campaign, issued + claim.arrival, claim.user_id, p.code, at_time
    FROM JSON_TABLE(claims, '$[*]' COLUMNS (
      arrival FOR ORDINALITY,
      user_id BIGINT PATH '$[0]'
    )) AS claim
    LEFT JOIN code_pool AS p FORCE INDEX (PRIMARY)
      ON p.campaign_id = campaign AND p.number = issued + claim.arrival;
    SELECT code FROM coupons FORCE INDEX (PRIMARY)
    WHERE campaign_id = campaign AND id BETWEEN issued + 1 AND issued + size ORDER BY id;
    UPDATE campaigns SET current_coupon = issued + size, updated_at = at_time WHERE id = campaign;
    INSERT INTO coupon_batches (campaign_id, batch_id, first_id, last_id)
    VALUES (campaign, batch, issued + 1, issued + size);
    INSERT INTO outbox (batch_id, kind, campaign_id, first_id, last_id, created_at)
    VALUES (batch, 'ISSUED', campaign, issued + 1, issued + size, at_time);
    COMMIT;
  END IF;

  SELECT issued, at_time, validity;
END;
