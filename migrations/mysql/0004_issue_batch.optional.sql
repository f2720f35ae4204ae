-- The group commit for the usual batch, whose claims the gate has all let through. All claims are issued, or nothing is
-- and the text of src/sql/mysql/GroupCommitText.ts, which decides claim by claim, is sent instead. That text alone is
-- enough, and is used on a server without procedures or where the user may create none. The procedure is faster: it
-- saves the packets of each statement.
-- Only times and durability are the session's; the rest of its settings is fixed here.

SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION';

DROP PROCEDURE IF EXISTS issue_batch;

-- Claims are a JSON array of [user, code]. One row comes back: the counter as it was before and when the coupons were
-- issued, or NULL and NULL if the campaign does not take all of them now. After an error the transaction is open, and
-- the caller rolls it back.
--
-- Locks are taken in the order of the other text (campaign, coupons, marker), and the outbox row serves the same
-- purpose. The clock is read after the lock. A campaign that ends within a second is left to the other text. A user
-- that holds a coupon, and a code that is taken, violate their unique key. Rows are counted in the array, never by the
-- row counts that the server reports: they are wrong if the client is gone.
CREATE PROCEDURE issue_batch(IN batch BINARY(16), IN campaign INT, IN claims JSON)
  SQL SECURITY INVOKER
BEGIN
  DECLARE size INT DEFAULT JSON_LENGTH(claims);
  DECLARE issued BIGINT;
  DECLARE at_time DATETIME(6);

  START TRANSACTION;
  SELECT current_coupon, SYSDATE(6) INTO issued, at_time FROM campaigns
  WHERE id = campaign AND current_coupon + size <= coupon_limit AND status = 'ACTIVE' AND start_time <= SYSDATE(6)
    AND (end_time IS NULL OR SYSDATE(6) + INTERVAL 1 SECOND < end_time)
  FOR UPDATE;

  IF issued IS NULL THEN
    ROLLBACK;
  ELSE
    INSERT INTO coupons (campaign_id, id, user_id, code, issued_at)
    SELECT campaign, issued + claim.arrival, claim.user_id, claim.code, at_time
    FROM JSON_TABLE(claims, '$[*]' COLUMNS (
      arrival FOR ORDINALITY,
      user_id BIGINT PATH '$[0]',
      code VARCHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[1]'
    )) AS claim;
    UPDATE campaigns SET current_coupon = issued + size, updated_at = at_time WHERE id = campaign;
    INSERT INTO outbox (batch_id, kind, campaign_id, first_id, last_id, created_at)
    VALUES (batch, 'ISSUED', campaign, issued + 1, issued + size, at_time);
    COMMIT;
  END IF;

  SELECT issued, at_time;
END;
