import type { CampaignId } from "../domain/Campaign.ts"
import type { Claim } from "../issuance/Ledger.ts"
import { batchKey, integer, literal } from "./GroupCommitText.ts"

/**
 * The group commit for the usual batch, whose every claim the gate has let through for good reason: all claims are issued, or
 * an error ends the text before COMMIT and `groupCommitText`, which sorts claims out, is sent instead. The order of locks is
 * the same (campaign, coupons, marker), and so is the marker's role. On MySQL 9.7 it takes mysqld a quarter less than that
 * one at 64 claims (1.7 ms against 2.3, of which 0.4 are the commit) and a seventh less at 128. Its results, one a
 * statement: `first` and `now` at index 9, where `first` is the counter as it was.
 *
 * - `@first` is NULL, and so violates NOT NULL as an id, unless the campaign is open by the clock read after its lock and
 *   has room for all. `@room` is reset first: a SELECT that finds no row leaves what the connection's last batch left.
 * - A user who holds a coupon, and a code that is taken, violate their unique key.
 * - No step depends on what a server thinks it has told a client that is gone (see `groupCommitText`): the INSERT does all
 *   of its rows or fails, and the outbox row violates NOT NULL unless the counter moved by as many.
 */
export const wholeBatchText = (settings: string, batchId: string, campaignId: CampaignId, claims: ReadonlyArray<Claim>): string => {
  const id = integer(campaignId)
  const count = integer(claims.length)
  let rows = ""
  for (let i = 0; i < claims.length; i++) {
    const { code, userId } = claims[i]!
    rows += `${i === 0 ? "" : ","}(${id},@first+${i + 1},${integer(userId)},${literal(code)},@now)`
  }
  return `${settings}, @room = NULL;
START TRANSACTION;
SELECT current_coupon, coupon_limit - current_coupon, status, start_time, end_time
INTO @current, @room, @status, @start, @end FROM campaigns WHERE id = ${id} FOR UPDATE;
SET @now = SYSDATE(6);
SET @first = IF(@room >= ${count} AND @status = 'ACTIVE' AND @start <= @now AND (@end IS NULL OR @now < @end), @current, NULL);
INSERT INTO coupons (campaign_id, id, user_id, code, issued_at) VALUES ${rows};
UPDATE campaigns SET current_coupon = @first + ${count}, updated_at = @now WHERE id = ${id} AND current_coupon = @first;
INSERT INTO outbox (batch_id, kind, campaign_id, first_id, last_id, created_at) VALUES (${batchKey(batchId)}, 'ISSUED', ${id},
@first + 1, (SELECT IF(current_coupon = @first + ${count}, current_coupon, NULL) FROM campaigns WHERE id = ${id}), @now);
SELECT @first AS first, @now AS now;
COMMIT`
}
