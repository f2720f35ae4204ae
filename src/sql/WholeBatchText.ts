import type { CampaignId } from "../domain/Campaign.ts"
import type { Claim } from "../issuance/Ledger.ts"
import { batchKey, integer, literal } from "./GroupCommitText.ts"

/**
 * The group commit for the usual batch, whose every claim the gate has let through for good reason: all claims are issued, or
 * an error ends the text before COMMIT and `groupCommitText`, which sorts claims out, is sent instead. The order of locks is
 * the same (campaign, coupons, marker), and so is the marker's role. Six statements where that one has eleven, each of which
 * is a packet that wakes its receiver, and no settings: the pool makes them once a connection (`MySql.prepare`). The fifth
 * one's row is `first`, the counter as it was, and `now`, when the coupons were issued.
 *
 * - The UPDATE locks the campaign, checks that it is open by the clock after the lock and has room for all, and counts; its
 *   old counter becomes LAST_INSERT_ID(). A campaign that ends within a second is left to the other text: the coupons' time is
 *   read a moment later.
 * - If it matched nothing, ROW_COUNT() says so, and the first coupon violates NOT NULL as an id. Should it lie, LAST_INSERT_ID() is
 *   whatever this connection saw last, and no value of it goes through: either the counter is that plus the batch, then coupons
 *   of these numbers exist, for numbers have no gap, and the primary key is violated; or it is not, then the outbox row violates NOT NULL.
 * - A user who holds a coupon, and a code that is taken, violate their unique key.
 * - No step depends on what a server thinks it has told a client that is gone (see `groupCommitText`): the INSERT does all
 *   of its rows or fails, and the outbox row violates NOT NULL unless the counter moved by as many.
 */
export const wholeBatchText = (batchId: string, campaignId: CampaignId, claims: ReadonlyArray<Claim>): string => {
  const id = integer(campaignId)
  const count = integer(claims.length)
  let rows = ""
  for (let i = 0; i < claims.length; i++) {
    const { code, userId } = claims[i]!
    const number = `LAST_INSERT_ID()+${i + 1}`
    rows += `${i === 0 ? "" : ","}(${id},${i === 0 ? `IF(ROW_COUNT()=1,${number},NULL)` : number},${integer(userId)},${literal(code)},NOW(6))`
  }
  return `START TRANSACTION;
UPDATE campaigns SET current_coupon = LAST_INSERT_ID(current_coupon) + ${count}, updated_at = SYSDATE(6)
WHERE id = ${id} AND current_coupon + ${count} <= coupon_limit AND status = 'ACTIVE' AND start_time <= SYSDATE(6)
AND (end_time IS NULL OR SYSDATE(6) + INTERVAL 1 SECOND < end_time);
INSERT INTO coupons (campaign_id, id, user_id, code, issued_at) VALUES ${rows};
INSERT INTO outbox (batch_id, kind, campaign_id, first_id, last_id, created_at)
VALUES (${batchKey(batchId)}, 'ISSUED', ${id}, LAST_INSERT_ID() + 1,
(SELECT IF(current_coupon = LAST_INSERT_ID() + ${count}, current_coupon, NULL) FROM campaigns WHERE id = ${id}), NOW(6));
SELECT LAST_INSERT_ID() AS first, issued_at AS now FROM coupons WHERE campaign_id = ${id} AND id = LAST_INSERT_ID() + 1;
COMMIT`
}

/** The index of the row of facts among the results. */
export const WHOLE_FACTS = 4
