import type { CampaignId } from "../../domain/Campaign.ts"
import { isPool } from "../../domain/codes/CampaignCodes.ts"
import { MAX_CODE_LENGTH } from "../../domain/codes/CodeFormat.ts"
import * as CouponCode from "../../domain/CouponCode.ts"
import type { Claim } from "../../ports/Ledger.ts"
import { claimsJson, integer } from "../text/Literals.ts"
import { batchKey, literal, mysqlText } from "./Literals.ts"
import { named, script, type Script } from "./Script.ts"

/**
 * The whole group commit of docs/internals/protocol.md ("The ledger") for one round trip, for any batch: also one with
 * claims that cannot be issued (`wholeBatchCall` is cheaper for the others). `campaign` is the campaign under its lock,
 * `facts` has `inserted` and `now`. `codes` is the text that the claims' codes were drawn by (`codesText`).
 *
 * - Statements cannot branch, so each does nothing by itself when there is nothing to do. The first error ends the text
 * and
 *   leaves the transaction open.
 * - The campaign is read by join, not into user variables, which keep stale values when a SELECT finds no row.
 * - `SYSDATE`, after the lock: `NOW()` may be as old as the wait for it.
 * - Nothing is inserted if the campaign's codes are to be drawn by another text than these were.
 * - A pool's codes are joined by their numbers. Its batches are kept for good, in `coupon_batches`: `resolve` knows a
 * batch's coupons by them, where others are known by the codes that were drawn for them.
 * - Room goes to the first claims, in the order of arrival, whose users hold nothing. Set logic: duplicates and
 * overflow fall out.
 * - What was inserted is read from the table, as the greatest id less the counter, and not from ROW_COUNT(): a server
 * goes on
 *   with a text whose client is gone, and if the connection is reset during the INSERT, ROW_COUNT() after it is not the
 *   number of rows (MySQL 9.7, MariaDB 10.11). The coupons would be committed without counter and outbox row.
 * - The counter is written in any case, and violates NOT NULL unless it is the greatest id and within the limit after
 * that; so does the outbox row unless it is. Either ends the text before COMMIT. A scalar subquery proves nothing by
 * itself: one that is
 *   killed (KILL QUERY) is NULL, and the statement that it is in goes on (docs/internals/decisions.md, 25).
 * - The outbox row is the batch's marker and is written last. A VOID marker that came first makes it fail; one that
 * comes later
 *   waits for this transaction to end. To write it first and fill it later is as safe and costs two statements more.
 * - Claims travel as JSON: of JSON_TABLE, UNION ALL and VALUES none is measurably faster on MySQL 9.7 (512 claims:
 * 16-19, 22
 *   and 20 µs of mysqld a coupon) or MariaDB 10.11 (11, 14, 11), and only JSON_TABLE reads the same on both.
 */
export const groupCommit = (
  settings: ReadonlyArray<string>,
  batchId: string,
  campaignId: CampaignId,
  claims: ReadonlyArray<Claim>,
  codes?: string
): Script<"campaign" | "facts"> => {
  const id = integer(campaignId)
  const json = literal(claimsJson(claims))
  const [spec, length] = codes === undefined ? ["NULL", CouponCode.LENGTH] : [mysqlText(codes), MAX_CODE_LENGTH]
  const pool = isPool(codes)
  const code = pool ? "p.code" : "w.code"
  // A code that is missing is NULL, which ends the text.
  const fromPool = pool
    ? "\nLEFT JOIN code_pool AS p FORCE INDEX (PRIMARY) ON p.campaign_id = c.id AND p.number = c.current_coupon + w.n"
    : ""
  const imported = pool ? "\n  AND w.n <= c.code_count - c.current_coupon" : ""
  // One look at the end of the primary key.
  const lastId = `SELECT COALESCE(MAX(id), 0) FROM coupons WHERE campaign_id = ${id}`

  return script(
    ...settings,
    "START TRANSACTION",
    named(
      "campaign",
      `SELECT coupon_limit, current_coupon, status, start_time, end_time, code_spec, code_count,
  validity_version
FROM campaigns WHERE id = ${id} FOR UPDATE`
    ),
    "SET @now = SYSDATE(6)",
    `INSERT INTO coupons (campaign_id, id, user_id, code, issued_at)
SELECT c.id, c.current_coupon + w.n, w.user_id, ${code}, @now
FROM campaigns AS c
JOIN (
  SELECT v.user_id, v.code, ROW_NUMBER() OVER (ORDER BY v.arrival) AS n
  FROM JSON_TABLE(${json}, '$[*]' COLUMNS (
    arrival FOR ORDINALITY,
    user_id BIGINT PATH '$[0]',
    code VARCHAR(${length}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[1]'
  )) AS v
  WHERE NOT EXISTS (SELECT 1 FROM coupons AS h WHERE h.campaign_id = ${id} AND h.user_id = v.user_id)
) AS w ON w.n <= c.coupon_limit - c.current_coupon${fromPool}
WHERE c.id = ${id} AND c.status = 'ACTIVE' AND c.code_spec <=> ${spec}${imported}
  AND c.start_time <= CAST(@now AS DATETIME(6)) AND (c.end_time IS NULL OR CAST(@now AS DATETIME(6)) < c.end_time)
ORDER BY w.n`,
    `SET @inserted = (${lastId}) - (SELECT current_coupon FROM campaigns WHERE id = ${id})`,
    `UPDATE campaigns SET
  current_coupon = IF(current_coupon + @inserted = (${lastId}) AND current_coupon + @inserted <= coupon_limit,
    current_coupon + @inserted, NULL),
  updated_at = IF(@inserted > 0, @now, updated_at)
WHERE id = ${id}`,
    ...pool
      ? [`INSERT INTO coupon_batches (campaign_id, batch_id, first_id, last_id)
SELECT id, ${batchKey(batchId)}, current_coupon - @inserted + 1, current_coupon
FROM campaigns WHERE id = ${id} AND @inserted > 0`]
      : [],
    `INSERT INTO outbox (batch_id, kind, campaign_id, first_id, last_id, created_at)
SELECT ${batchKey(batchId)}, 'ISSUED', id,
  current_coupon - @inserted + 1, IF(current_coupon = (${lastId}), current_coupon, NULL), @now
FROM campaigns WHERE id = ${id} AND @inserted > 0`,
    named("facts", "SELECT @inserted AS inserted, @now AS now"),
    "COMMIT"
  )
}
