-- The group commit for the usual batch, of campaigns whose codes have a format of their own or not: `issue_batch` of
-- migration 0004, which says why and how, with the text that the codes were drawn by (NULL: the default format's). A
-- campaign with another one does not take them. `issue_batch` itself stays as it is, for instances of the version
-- before.

SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION';

DROP PROCEDURE IF EXISTS issue_batch_by;

CREATE PROCEDURE issue_batch_by(
  IN batch BINARY(16), IN campaign INT, IN codes VARCHAR(500) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, IN claims JSON
)
  SQL SECURITY INVOKER
BEGIN
  DECLARE size INT DEFAULT JSON_LENGTH(claims);
  DECLARE issued BIGINT;
  DECLARE at_time DATETIME(6);

  START TRANSACTION;
  SELECT current_coupon, SYSDATE(6) INTO issued, at_time FROM campaigns
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

  SELECT issued, at_time;
END;
