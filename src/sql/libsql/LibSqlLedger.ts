import type { InStatement, ResultSet } from "@libsql/client"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CampaignId, CampaignStatus } from "../../domain/Campaign.ts"
import type { UserId } from "../../domain/Coupon.ts"
import * as CouponCode from "../../domain/CouponCode.ts"
import { CommitInDoubt, Ledger, LedgerUnavailable, type Claim, type ClaimBatch } from "../../ports/Ledger.ts"
import { resolution, verdictsOn, type CommitFacts } from "../ClaimDecision.ts"
import { claimsJson, integer } from "../mysql/GroupCommitText.ts"
import { LibSqlDriver } from "./LibSql.ts"
import * as LibSqlCampaigns from "./LibSqlCampaigns.ts"
import { unrelayedCoupons } from "../OutboxRows.ts"
import { couponColumns, makeRows, type Row } from "../Rows.ts"
import { classifyLibsql } from "../SqlFailure.ts"

const rowsOf = makeRows(Number)

const ATTEMPTS = 6

const unavailable = (cause: unknown) => new LedgerUnavailable({ cause })

/** The file's group commit, statement by statement as `GroupCommitText` has it; `now` is the ledger's clock. */
const groupCommit = (batch: ClaimBatch, claims: ReadonlyArray<Claim>, now: number): Array<InStatement> => [
  {
    sql: "SELECT coupon_limit, current_coupon, status, start_time, end_time FROM campaigns WHERE id = ?",
    args: [batch.campaignId]
  },
  {
    sql: `INSERT INTO coupons (campaign_id, id, user_id, code, issued_at)
SELECT c.id, c.current_coupon + w.n, w.user_id, w.code, :now
FROM campaigns AS c
JOIN (
  SELECT v.user_id, v.code, ROW_NUMBER() OVER (ORDER BY v.arrival) AS n
  FROM (SELECT key AS arrival, value ->> 0 AS user_id, value ->> 1 AS code FROM json_each(:claims)) AS v
  WHERE NOT EXISTS (SELECT 1 FROM coupons AS h WHERE h.campaign_id = :campaign AND h.user_id = v.user_id)
) AS w
WHERE c.id = :campaign AND w.n <= c.coupon_limit - c.current_coupon
  AND c.status = 'ACTIVE' AND c.start_time <= :now AND (c.end_time IS NULL OR :now < c.end_time)
ORDER BY w.n`,
    args: { now, claims: claimsJson(claims), campaign: batch.campaignId }
  },
  {
    // changes() still counts the coupons here: it tells of the last statement that ended.
    sql: `INSERT INTO outbox (batch_id, kind, campaign_id, first_id, last_id, created_at)
SELECT ?, 'ISSUED', id, current_coupon + 1, current_coupon + changes(), ? FROM campaigns WHERE id = ? AND changes() > 0`,
    args: [batch.batchId, now, batch.campaignId]
  },
  {
    sql: `UPDATE campaigns SET updated_at = ?, current_coupon = (SELECT last_id FROM outbox WHERE batch_id = ?)
WHERE id = ? AND EXISTS (SELECT 1 FROM outbox WHERE batch_id = ? AND kind = 'ISSUED')
RETURNING current_coupon`,
    args: [now, batch.batchId, batch.campaignId, batch.batchId]
  }
]

const readFacts = (campaignId: CampaignId, now: number, results: ReadonlyArray<ResultSet>): CommitFacts => {
  const locked = results[0]!.rows[0] as Row | undefined
  const counted = results[3]!.rows[0] as Row | undefined
  return {
    campaignId,
    now,
    inserted: counted === undefined ? 0 : Number(counted.current_coupon) - Number(locked!.current_coupon),
    campaign: locked === undefined ? undefined : {
      couponLimit: Number(locked.coupon_limit),
      issuedCount: Number(locked.current_coupon),
      status: locked.status as CampaignStatus,
      startTime: Number(locked.start_time),
      endTime: locked.end_time === null ? undefined : Number(locked.end_time)
    }
  }
}

export const make = Effect.gen(function*() {
  const driver = yield* LibSqlDriver

  const run = (sql: string, args: Array<string | number | bigint | null> = []): Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable> =>
    Effect.tryPromise({ try: async () => (await driver.execute({ sql, args })).rows, catch: unavailable })

  const findCoupons: Ledger["Type"]["findCoupons"] = (campaignId, userIds: ReadonlyArray<UserId>) =>
    Effect.map(
      run(
        `SELECT ${couponColumns} FROM coupons WHERE campaign_id = ? AND user_id IN (SELECT value FROM json_each(?))`,
        [campaignId, `[${userIds.map(integer).join(",")}]`]
      ),
      (rows) => rows.map(rowsOf.coupon)
    )

  const listCoupons: Ledger["Type"]["listCoupons"] = (campaignId, afterId, limit) =>
    Effect.map(
      run(`SELECT ${couponColumns} FROM coupons WHERE campaign_id = ? AND id > ? ORDER BY id LIMIT ?`, [campaignId, afterId, limit]),
      (rows) => rows.map(rowsOf.coupon)
    )

  const tally: Ledger["Type"]["tally"] = (campaignId) =>
    Effect.map(
      run(
        `SELECT c.current_coupon AS issued, c.version, o.unrelayed
FROM campaigns AS c CROSS JOIN ${unrelayedCoupons(integer(campaignId))} WHERE c.id = ${integer(campaignId)}`
      ),
      ([row]) => row === undefined ? undefined : {
        issued: Number(row.issued),
        unrelayed: Number(row.unrelayed),
        version: Number(row.version)
      }
    )

  /** The codes that a batch was last sent with, where a collision made them differ from its claims': `resolve` needs them. */
  const recoded = new WeakMap<ClaimBatch, ReadonlyArray<Claim>>()

  const commit = (
    batch: ClaimBatch
  ): Effect.Effect<{ readonly facts: CommitFacts; readonly claims: ReadonlyArray<Claim> }, LedgerUnavailable | CommitInDoubt> =>
    Effect.gen(function*() {
      let claims = recoded.get(batch) ?? batch.claims
      for (let attempt = 1;; attempt++) {
        const sent = yield* Effect.either(Effect.tryPromise({
          try: async () => {
            // The process's own clock, not Effect's: it is the ledger's, as mysqld's is there. No other process writes the
            // file, so there is no lock to wait for between here and the commit.
            const now = Date.now()
            return readFacts(batch.campaignId, now, await driver.batch(groupCommit(batch, claims, now), "write"))
          },
          catch: (cause) => cause
        }))
        if (sent._tag === "Right") return { facts: sent.right, claims }
        const failure = classifyLibsql(sent.left)
        if (failure === "InDoubt") return yield* new CommitInDoubt({ cause: sent.left })
        if (attempt === ATTEMPTS || (failure !== "Retry" && failure !== "CodeTaken")) return yield* unavailable(sent.left)
        if (failure === "CodeTaken") {
          claims = claims.map(({ userId }) => ({ userId, code: CouponCode.generate() }))
          recoded.set(batch, claims)
        }
      }
    })

  const issue: Ledger["Type"]["issue"] = (batch) => {
    if (batch.claims.length === 0) return Effect.succeed([])
    return commit(batch).pipe(
      Effect.flatMap(({ claims, facts }) => verdictsOn(facts, claims, findCoupons)),
      Effect.uninterruptible
    )
  }

  /** Makes sure that no transaction under this key can commit from now on. */
  const forbid = (batchId: string, campaignId: CampaignId) =>
    Effect.suspend(() =>
      run(
        "INSERT INTO outbox (batch_id, kind, campaign_id, created_at) VALUES (?, 'VOID', ?, ?) ON CONFLICT (batch_id) DO NOTHING",
        [batchId, campaignId, Date.now()]
      )
    )

  const resolve: Ledger["Type"]["resolve"] = (batch) => {
    if (batch.claims.length === 0) return Effect.succeed([])
    const claims = recoded.get(batch) ?? batch.claims
    // In doubt here means that the disk failed a commit. This commit writes over the same place of the log, or fails.
    return forbid(batch.batchId, batch.campaignId).pipe(
      Effect.zipRight(findCoupons(batch.campaignId, claims.map((claim) => claim.userId))),
      Effect.map((coupons) => resolution(claims, coupons))
    )
  }

  const campaigns = LibSqlCampaigns.make({ driver, run, forbid })

  return Ledger.of({ ...campaigns, issue, resolve, findCoupons, listCoupons, tally })
})

/** The ledger in the file of `LibSql`. */
export const layer: Layer.Layer<Ledger, never, LibSqlDriver> = Layer.effect(Ledger, make)
