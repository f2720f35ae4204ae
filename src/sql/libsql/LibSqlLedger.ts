import type { InStatement, ResultSet } from "@libsql/client"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Steps from "../../base/Steps.ts"
import type { CampaignId } from "../../domain/Campaign.ts"
import { isPool } from "../../domain/codes/CampaignCodes.ts"
import type { Coupon } from "../../domain/Coupon.ts"
import { Ledger } from "../../ports/Ledger.ts"
import type { CommitFacts } from "../ClaimDecision.ts"
import { claimsJson, integer } from "../text/Literals.ts"
import { couponColumns } from "../Rows.ts"
import * as SqlLedger from "../SqlLedger.ts"
import { LibSqlDriver } from "./LibSql.ts"
import { makeStatements, runBatch } from "./Statements.ts"

const MAX_ATTEMPTS = 6

/** The file's group commit, statement by statement as `groupCommit` of MySQL has it. `now` is the ledger's clock. */
const groupCommit = (batch: SqlLedger.PlannedBatch, now: number): Array<InStatement> => {
  const pool = isPool(batch.codes)
  const fromPool = pool
    ? "\nLEFT JOIN code_pool AS p ON p.campaign_id = c.id AND p.number = c.current_coupon + w.n"
    : ""
  const imported = pool ? "\n  AND w.n <= c.code_count - c.current_coupon" : ""
  return [
    {
      sql: "SELECT coupon_limit, current_coupon, status, start_time, end_time, code_spec, code_count, " +
        "validity_version FROM campaigns WHERE id = ?",
      args: [batch.campaignId]
    },
    {
      sql: `INSERT INTO coupons (campaign_id, id, user_id, code, issued_at)
SELECT c.id, c.current_coupon + w.n, w.user_id, ${pool ? "p.code" : "w.code"}, :now
FROM campaigns AS c
JOIN (
  SELECT v.user_id, v.code, ROW_NUMBER() OVER (ORDER BY v.arrival) AS n
  FROM (SELECT key AS arrival, value ->> 0 AS user_id, value ->> 1 AS code FROM json_each(:claims)) AS v
  WHERE NOT EXISTS (SELECT 1 FROM coupons AS h WHERE h.campaign_id = :campaign AND h.user_id = v.user_id)
) AS w${fromPool}
WHERE c.id = :campaign AND w.n <= c.coupon_limit - c.current_coupon${imported}
  AND c.code_spec IS :codes AND c.status = 'ACTIVE' AND c.start_time <= :now
  AND (c.end_time IS NULL OR :now < c.end_time)
ORDER BY w.n`,
      args: { now, claims: claimsJson(batch.claims), campaign: batch.campaignId, codes: batch.codes ?? null }
    },
    {
      // changes() still counts the coupons here: it tells of the last statement that ended.
      sql: `INSERT INTO outbox (batch_id, kind, campaign_id, first_id, last_id, created_at)
SELECT ?, 'ISSUED', id, current_coupon + 1, current_coupon + changes(), ?
FROM campaigns WHERE id = ? AND changes() > 0`,
      args: [batch.batchId, now, batch.campaignId]
    },
    ...pool
      ? [{
        sql: `INSERT INTO coupon_batches (campaign_id, batch_id, first_id, last_id)
SELECT campaign_id, batch_id, first_id, last_id FROM outbox WHERE batch_id = ? AND kind = 'ISSUED'`,
        args: [batch.batchId]
      }]
      : [],
    {
      sql: `UPDATE campaigns SET updated_at = ?, current_coupon = (SELECT last_id FROM outbox WHERE batch_id = ?)
WHERE id = ? AND EXISTS (SELECT 1 FROM outbox WHERE batch_id = ? AND kind = 'ISSUED')
RETURNING current_coupon`,
      args: [now, batch.batchId, batch.campaignId, batch.batchId]
    }
  ]
}

/**
 * A page of coupons as one text, which takes a quarter of the time of rows from the driver. User ids are texts in it,
 * since they may have more digits than a number of JSON keeps.
 */
const pageText = (campaignId: CampaignId, afterId: number, limit: number): string =>
  `SELECT json_group_array(json_array(id, CAST(user_id AS TEXT), code, issued_at)) AS page FROM (
  SELECT id, user_id, code, issued_at FROM coupons
  WHERE campaign_id = ${integer(campaignId)} AND id > ${integer(afterId)} ORDER BY id LIMIT ${integer(limit)}
)`

type PageRow = readonly [id: number, userId: string, code: string, issuedAt: number]

const readPage = (campaignId: CampaignId, text: string): ReadonlyArray<Coupon> => {
  const coupons = (JSON.parse(text) as ReadonlyArray<PageRow>).map(([id, userId, code, issuedAt]): Coupon =>
    ({ campaignId, id, userId: BigInt(userId), code, issuedAt }))
  // SQLite gathers the rows in their order, but does not promise to.
  const isOrdered = coupons.every(({ id }, k) => k === 0 || coupons[k - 1]!.id < id)
  return isOrdered ? coupons : coupons.sort((a, b) => a.id - b.id)
}

const readFacts = (campaignId: CampaignId, now: number, results: ReadonlyArray<ResultSet>): CommitFacts => {
  // Of the first statement and of the last one.
  const locked = results[0]!.rows[0]
  const counted = results.at(-1)!.rows[0]
  return {
    campaignId,
    now,
    inserted: counted === undefined ? 0 : Number(counted.current_coupon) - Number(locked!.current_coupon),
    campaign: SqlLedger.lockedCampaign(locked, Number)
  }
}

export const make = Effect.gen(function*() {
  const driver = yield* LibSqlDriver
  const { forbidAndRead, read } = makeStatements(driver)

  return SqlLedger.make({
    time: Number,
    key: (batchId) => `'${batchId}'`,
    read,
    forbidAndRead: (key, campaignId, text) => forbidAndRead(key, campaignId, () => text),
    couponsOf: (campaignId, userIds) =>
      `SELECT ${couponColumns} FROM coupons WHERE campaign_id = ${integer(campaignId)} ` +
      `AND user_id IN (SELECT value FROM json_each('[${userIds.map(integer).join(",")}]'))`,
    // A rebuild reads page after page, and the driver answers at once.
    couponPage: (campaignId, afterId, limit) =>
      Effect.zipLeft(
        Effect.map(read(pageText(campaignId, afterId, limit)), ([row]) => readPage(campaignId, row!.page as string)),
        Steps.turn
      ),
    search: {
      time: integer,
      text: (text) => `CAST(x'${Buffer.from(text, "utf8").toString("hex")}' AS TEXT)`,
      by: () => "",
      join: "CROSS JOIN"
    },
    retries: { attempts: MAX_ATTEMPTS },
    attempt: (batch) =>
      runBatch(driver, (now) => groupCommit(batch, now), (results, now) =>
        readFacts(batch.campaignId, now, results))
  })
})

/** The ledger in the file of `LibSql`. */
export const layer: Layer.Layer<Ledger, never, LibSqlDriver> = Layer.effect(Ledger, make)
