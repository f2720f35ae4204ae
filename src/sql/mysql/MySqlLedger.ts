import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { AppConfig } from "../../config/AppConfig.ts"
import { isPool } from "../../domain/codes/CampaignCodes.ts"
import type { CampaignId } from "../../domain/Campaign.ts"
import {
  CommitInDoubt,
  Ledger,
  type Claim,
  type ClaimVerdict,
  type LedgerUnavailable
} from "../../ports/Ledger.ts"
import type { CommitFacts } from "../ClaimDecision.ts"
import { integer } from "../text/Literals.ts"
import { couponColumns, makeRows, type Row } from "../Rows.ts"
import { unavailable } from "../SqlFailure.ts"
import * as SqlLedger from "../SqlLedger.ts"
import * as HeldConnections from "./connection/HeldConnections.ts"
import { runText } from "./connection/MySql.ts"
import { settle, type SentText } from "./connection/SentText.ts"
import { groupCommit } from "./GroupCommitText.ts"
import { batchKey, mysqlText, timeFromSql, timeToSql } from "./Literals.ts"
import { RecentBatches } from "./RecentBatches.ts"
import type { Results } from "./Script.ts"
import * as Transactions from "./Transactions.ts"
import { isNotCallable, poolCodes, wholeBatchCall, wholeBatchFacts } from "./WholeBatchCall.ts"

/** How often a batch is sent at most, when each attempt ended in a way that proves it did nothing. */
const MAX_ATTEMPTS = 6

/** How long a campaign's batches are sorted out claim by claim once one could not be committed as a whole. */
const SORTING_MILLIS = 1_000

/** How long the procedure is done without once it could not be called: it may be installed or granted meanwhile. */
const NOT_CALLABLE_MILLIS = 60_000

/** Beyond so many campaigns it is forgotten which ones those are. */
const MOST_SORTING = 10_000

const readFacts = (campaignId: CampaignId, { rows }: Results<"campaign" | "facts">): CommitFacts => {
  const [facts] = rows("facts")
  return {
    campaignId,
    now: timeFromSql(facts!.now),
    inserted: Number(facts!.inserted),
    campaign: SqlLedger.lockedCampaign(rows("campaign")[0], timeFromSql)
  }
}

const couponOf = makeRows(timeFromSql).coupon

/** The verdicts on a batch that was committed as a whole, from the row of its facts; `codes`: those of a pool. */
const readWhole = (
  campaignId: CampaignId,
  claims: ReadonlyArray<Claim>,
  facts: Row,
  codes: ReadonlyArray<string> | undefined
): ReadonlyArray<Extract<ClaimVerdict, { readonly _tag: "Issued" }>> => {
  const [issued, issuedAt] = [Number(facts.issued), timeFromSql(facts.at_time)]
  const validity = facts.validity === null ? undefined : Number(facts.validity)
  return claims.map(({ code, userId }, index) => ({
    _tag: "Issued",
    coupon: { campaignId, id: issued + index + 1, userId, code: codes === undefined ? code : codes[index]!, issuedAt },
    validity
  }))
}

export const make = Effect.gen(function*() {
  const sql = yield* SqlClient
  const config = yield* AppConfig
  const recent = yield* RecentBatches
  const transactions = Transactions.make(sql, config)
  const held = yield* HeldConnections.make(sql, Math.max(1, Math.floor(config.mysqlPoolSize / 2)))

  /** Sends the group commit's usual call, on a connection that is kept for the next one as long as nothing fails. */
  const sendWhole = (text: string): Effect.Effect<SentText, LedgerUnavailable> => {
    const attempt = held.withConnection<SentText | undefined, never, never>((connection, isFresh) =>
      Effect.matchEffect(runText(connection, text), {
        onFailure: (cause) =>
          Effect.map(settle(connection, cause), (failed) => {
            const wasClosed = failed.failure === "NotSent" && !isFresh
            return [wasClosed ? undefined : Either.left(failed), false] as const
          }),
        onSuccess: (results) => Effect.succeed([Either.right(results), true] as const)
      })
    )
    return Effect.matchEffect(attempt, {
      onFailure: (cause) => Effect.fail(unavailable(cause)),
      // A connection that was closed while it was idle: nothing was sent, and there may be more of them.
      onSuccess: (sent) => sent === undefined ? sendWhole(text) : Effect.succeed(sent)
    })
  }

  /**
   * Until when each campaign's batches are sorted out; a campaign that is sold out or asked past its gate is here for
   * good.
   */
  const sorting = new Map<CampaignId, number>()

  /** When the procedure may be called, in milliseconds of `performance.now()`. */
  let callableAt = 0

  const doWithout = (cause: SqlError): Effect.Effect<void> => {
    callableAt = performance.now() + NOT_CALLABLE_MILLIS
    return Effect.logWarning(
      "a procedure of the schema cannot be called, so every commit costs more than it has to; the schema's owner " +
        "installs issue_dated_batch and issue_dated_pool_batch by migrations/mysql/*.optional.sql, and the serving " +
        "user needs " +
        "EXECUTE on them (deploy/mysql-grants.sql)"
    ).pipe(Effect.annotateLogs({ cause: String(cause.cause) }))
  }

  const sortOutFromNowOn = (campaignId: CampaignId): void => {
    if (sorting.size >= MOST_SORTING) sorting.clear()
    sorting.set(campaignId, performance.now() + SORTING_MILLIS)
  }

  const isSortedOut = (campaignId: CampaignId): boolean => {
    const until = sorting.get(campaignId)
    if (until === undefined) return false
    if (performance.now() < until) return true
    sorting.delete(campaignId)
    return false
  }

  /**
   * Tries the cheap call. `undefined`: nothing was committed, for a reason that the group commit finds out; a
   * connection that failed is in doubt, as ever.
   */
  const commitWhole = (
    batch: SqlLedger.PlannedBatch
  ): Effect.Effect<ReadonlyArray<ClaimVerdict> | undefined, LedgerUnavailable | CommitInDoubt> =>
    Effect.suspend(() => {
      const { batchId, campaignId, claims, codes } = batch
      if (performance.now() < callableAt || isSortedOut(campaignId)) return Effect.succeed(undefined)
      return Effect.flatMap(
        sendWhole(wholeBatchCall(batchId, campaignId, claims, codes)),
        Either.match({
          onLeft: ({ cause, failure }): Effect.Effect<undefined, LedgerUnavailable | CommitInDoubt> => {
            if (failure === "InDoubt") return Effect.fail(new CommitInDoubt({ cause }))
            // Its connection is about to close: what is sent on it now would be in doubt.
            if (failure === "ReadOnly") return Effect.fail(unavailable(cause))
            if (isNotCallable(cause)) return Effect.as(doWithout(cause), undefined)
            sortOutFromNowOn(campaignId)
            return Effect.succeed(undefined)
          },
          onRight: (results) =>
            Effect.sync(() => {
              const facts = wholeBatchFacts(results)
              if (facts === undefined) return void sortOutFromNowOn(campaignId)
              const verdicts = readWhole(campaignId, claims, facts, isPool(codes) ? poolCodes(results) : undefined)
              recent.remember(batchId, verdicts.map(({ coupon }) => coupon))
              return verdicts
            })
        })
      )
    })

  return SqlLedger.make({
    time: timeFromSql,
    key: batchKey,
    read: transactions.read,
    forbidAndRead: transactions.forbidAndRead,
    // Each index by its name: by its statistics MySQL 9.7 may rather look all of a campaign up by another one, and sort
    // (350 ms instead of 3 for a page of 5,000 in 300,000 coupons; not in 1,000,000).
    couponsOf: (campaignId, userIds) =>
      `SELECT ${couponColumns} FROM coupons FORCE INDEX (coupons_user) ` +
      `WHERE campaign_id = ${integer(campaignId)} AND user_id IN (${userIds.map(integer).join(",")})`,
    couponPage: (campaignId, afterId, limit) =>
      Effect.map(
        transactions.read(
          `SELECT ${couponColumns} FROM coupons FORCE INDEX (PRIMARY) WHERE campaign_id = ${integer(campaignId)} ` +
            `AND id > ${integer(afterId)} ORDER BY id LIMIT ${integer(limit)}`
        ),
        (rows) => rows.map(couponOf)
      ),
    search: { time: timeToSql, text: mysqlText, by: (key) => ` FORCE INDEX (${key})`, join: "STRAIGHT_JOIN" },
    retries: { attempts: MAX_ATTEMPTS, patienceMillis: transactions.patienceMillis },
    attempt: ({ batchId, campaignId, claims, codes }) =>
      Effect.map(
        transactions.send(groupCommit(transactions.settings, batchId, campaignId, claims, codes)),
        Either.map((results) => readFacts(campaignId, results))
      ),
    commitWhole
  })
})

/** The ledger on MySQL 8.0.19 or later, or MariaDB 10.6 or later. */
export const layer: Layer.Layer<Ledger, never, SqlClient | AppConfig | RecentBatches> = Layer.scoped(Ledger, make)
