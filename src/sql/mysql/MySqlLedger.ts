import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { AppConfig } from "../../config/AppConfig.ts"
import type { CampaignId, CampaignStatus } from "../../domain/Campaign.ts"
import type { UserId } from "../../domain/Coupon.ts"
import * as CouponCode from "../../domain/CouponCode.ts"
import type {
  LedgerUnavailable} from "../../ports/Ledger.ts"
import {
  CommitInDoubt,
  Ledger,
  type Claim,
  type ClaimBatch,
  type ClaimVerdict
} from "../../ports/Ledger.ts"
import { resolution, verdictsOn, type CommitFacts } from "../ClaimDecision.ts"
import { batchKey, groupCommitText, integer } from "./GroupCommitText.ts"
import { lockWaitSeconds, runText, timeFromSql } from "./connection/MySql.ts"
import * as HeldConnections from "./connection/HeldConnections.ts"
import * as MySqlCampaigns from "./MySqlCampaigns.ts"
import { unrelayedCoupons } from "../OutboxRows.ts"
import * as Recent from "./RecentBatches.ts"
import { couponColumns, makeRows, rowsAt, type Row } from "../Rows.ts"
import { sendText, settle, type FailedText, type SentText } from "./connection/SentText.ts"
import { sessionSettings } from "./connection/SessionState.ts"
import { isDuplicateKey, unavailable } from "../SqlFailure.ts"
import { isNotCallable, wholeBatchCall, wholeBatchFacts } from "./WholeBatchCall.ts"

const rowsOf = makeRows(timeFromSql)

/** How often a batch is sent at most, when each attempt ended in a way that proves it did nothing. */
const ATTEMPTS = 6


/** How long a campaign's batches are sorted out claim by claim once one could not be committed as a whole. */
const SORTING_MILLIS = 1_000

/** How long the procedure is done without once it could not be called: somebody may install it meanwhile, or grant it. */
const NOT_CALLABLE_MILLIS = 60_000

/** Beyond so many campaigns it is forgotten which ones those are. */
const MOST_SORTING = 10_000

/** 0 to 4, 8, 16, … ms: two instances that deadlocked should not meet again. */
const backoff = (attempt: number): Effect.Effect<void> =>
  Effect.flatMap(Random.nextRange(0, 2 ** (attempt + 1)), (millis) => Effect.sleep(millis))

const readFacts = (campaignId: CampaignId, results: ReadonlyArray<unknown>): CommitFacts => {
  // In the order of the text: two settings, START, campaign, clock, coupons, count, counter, outbox, facts, COMMIT.
  const [locked] = rowsAt(results, 3)
  const facts = rowsAt(results, 9)[0]!
  return {
    campaignId,
    now: timeFromSql(facts.now),
    inserted: Number(facts.inserted),
    campaign: locked === undefined ? undefined : {
      couponLimit: Number(locked.coupon_limit),
      issuedCount: Number(locked.current_coupon),
      status: locked.status as CampaignStatus,
      startTime: timeFromSql(locked.start_time),
      endTime: locked.end_time === null ? undefined : timeFromSql(locked.end_time)
    }
  }
}

/** The verdicts on a batch that was committed as a whole, from the row of its facts. */
const readWhole = (campaignId: CampaignId, claims: ReadonlyArray<Claim>, facts: Row): ReadonlyArray<Extract<ClaimVerdict, { readonly _tag: "Issued" }>> => {
  const [issued, issuedAt] = [Number(facts.issued), timeFromSql(facts.at_time)]
  return claims.map(({ code, userId }, index) => ({ _tag: "Issued", coupon: { campaignId, id: issued + index + 1, userId, code, issuedAt } }))
}

export const make = Effect.gen(function*() {
  const sql = yield* SqlClient
  const config = yield* AppConfig
  const recent = yield* Recent.RecentBatches
  const settings = sessionSettings(lockWaitSeconds(config.mysqlReplyTimeout))
  const patienceMillis = Duration.toMillis(config.mysqlReplyTimeout)

  /** One statement on any connection of the pool; for reads, which may fail in any way they like. */
  const read = (text: string): Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable> =>
    Effect.mapError(sql.unsafe<Row>(text).unprepared, unavailable)

  const send = (text: string): Effect.Effect<SentText, LedgerUnavailable> => Effect.mapError(sendText(sql, text), unavailable)

  const held = yield* HeldConnections.make(sql, Math.max(1, Math.floor(config.mysqlPoolSize / 2)))

  /** `send` for the group commit's usual call, on a connection that is kept for the next one as long as nothing fails. */
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
      // A connection that was closed while nobody used it: nothing was sent, and there may be more of them.
      onSuccess: (sent) => sent === undefined ? sendWhole(text) : Effect.succeed(sent)
    })
  }

  // Each index by its name: by its statistics MySQL 9.7 may rather look all of a campaign up by another one, and sort (350 ms
  // instead of 3 for a page of 5,000 in 300,000 coupons; not in 1,000,000).
  const couponsOf = (campaignId: CampaignId, userIds: ReadonlyArray<UserId>) =>
    `SELECT ${couponColumns} FROM coupons FORCE INDEX (coupons_user) WHERE campaign_id = ${integer(campaignId)} AND user_id IN (${userIds.map(integer).join(",")})`

  const findCoupons: Ledger["Type"]["findCoupons"] = (campaignId, userIds) =>
    userIds.length === 0
      ? Effect.succeed([])
      : Effect.map(read(couponsOf(campaignId, userIds)), (rows) => rows.map(rowsOf.coupon))

  const listCoupons: Ledger["Type"]["listCoupons"] = (campaignId, afterId, limit) =>
    Effect.map(
      read(
        `SELECT ${couponColumns} FROM coupons FORCE INDEX (PRIMARY) WHERE campaign_id = ${integer(campaignId)} ` +
          `AND id > ${integer(afterId)} ORDER BY id LIMIT ${integer(limit)}`
      ),
      (rows) => rows.map(rowsOf.coupon)
    )

  const tally: Ledger["Type"]["tally"] = (campaignId) =>
    Effect.map(
      read(
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

  /** Until when each campaign's batches are sorted out; a campaign that is sold out or asked past its gate is here for good. */
  const sorting = new Map<CampaignId, number>()

  /** When the procedure may be called, in milliseconds of `performance.now()`. */
  let callableAt = 0

  const doWithout = (cause: SqlError): Effect.Effect<void> => {
    callableAt = performance.now() + NOT_CALLABLE_MILLIS
    return Effect.logWarning(
      "the procedure issue_batch cannot be called, so every commit costs more than it has to; the schema's owner installs it by " +
        "migrations/mysql/0004_issue_batch.optional.sql, and the serving user needs EXECUTE on it (deploy/mysql-grants.sql)"
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
   * Tries the cheap call. `undefined`: nothing was committed, for a reason that `commit` finds out; a connection that failed
   * is in doubt, as ever.
   */
  const commitWhole = (batch: ClaimBatch): Effect.Effect<ReadonlyArray<ClaimVerdict> | undefined, LedgerUnavailable | CommitInDoubt> =>
    Effect.suspend(() => {
      const { batchId, campaignId, claims } = batch
      if (performance.now() < callableAt || isSortedOut(campaignId)) return Effect.succeed(undefined)
      return Effect.flatMap(
        sendWhole(wholeBatchCall(batchId, campaignId, claims)),
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
              const verdicts = readWhole(campaignId, claims, facts)
              recent.remember(batchId, verdicts.map(({ coupon }) => coupon))
              return verdicts
            })
        })
      )
    })

  /** Sends the batch until its outcome is known; returns the facts and the claims with the codes that count. */
  const commit = (
    batch: ClaimBatch
  ): Effect.Effect<{ readonly facts: CommitFacts; readonly claims: ReadonlyArray<Claim> }, LedgerUnavailable | CommitInDoubt> =>
    Effect.gen(function*() {
      let claims = recoded.get(batch) ?? batch.claims
      const began = yield* Clock.currentTimeMillis
      for (let attempt = 1;; attempt++) {
        const sent = yield* send(groupCommitText(settings, batch.batchId, batch.campaignId, claims))
        if (Either.isRight(sent)) return { facts: readFacts(batch.campaignId, sent.right), claims }
        const { cause, failure } = sent.left
        if (failure === "InDoubt") return yield* new CommitInDoubt({ cause })
        if (failure === "Refused" || failure === "ReadOnly") return yield* unavailable(cause)
        // Each failure from here on proves that nothing was committed, so it is safe to give up too: lock waits take seconds.
        const waited = (yield* Clock.currentTimeMillis) - began
        if (attempt === ATTEMPTS || waited > patienceMillis) return yield* unavailable(cause)
        if (failure === "CodeTaken") {
          claims = claims.map(({ userId }) => ({ userId, code: CouponCode.generate() }))
          recoded.set(batch, claims)
        }
        yield* Effect.logDebug("group commit tried again").pipe(
          Effect.annotateLogs({ campaign: batch.campaignId, attempt, failure, cause: String(cause.cause) })
        )
        yield* backoff(attempt)
      }
    })

  const issue: Ledger["Type"]["issue"] = (batch) => {
    if (batch.claims.length === 0) return Effect.succeed([])
    return Effect.flatMap(commitWhole(batch), (whole) => whole === undefined ? sortOut(batch) : Effect.succeed(whole)).pipe(
      Effect.uninterruptible
    )
  }

  /** Commits what can be issued of the batch, and finds out about the rest. */
  const sortOut: Ledger["Type"]["issue"] = (batch) =>
    commit(batch).pipe(
      Effect.flatMap(({ claims, facts }) => verdictsOn(facts, claims, findCoupons))
    )

  /**
   * Makes sure that no transaction under this key can commit from now on, and then reads what it may have left: on the same
   * connection, because another one may lead to a server that a failover left behind, which does not know what was committed.
   */
  const forbidAndRead = (key: string, campaignId: CampaignId, text: string): Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable> => {
    const marker = `${settings};
INSERT INTO outbox (batch_id, kind, campaign_id, created_at)
VALUES (${batchKey(key)}, 'VOID', ${integer(campaignId)}, SYSDATE(6))`
    const attempt = Effect.flatMap(sql.reserve, (connection) =>
      runText(connection, marker).pipe(
        // A duplicate is as good: the transaction committed, or is forbidden already.
        Effect.catchIf((cause) => isDuplicateKey(cause), () => Effect.void),
        Effect.matchEffect({
          onFailure: (cause) => Effect.map(settle(connection, cause), Either.left),
          onSuccess: () => Effect.map(runText(connection, text), (rows) => Either.right(rows as ReadonlyArray<Row>))
        })
      )).pipe(Effect.scoped, Effect.uninterruptible, Effect.mapError(unavailable))
    return Effect.gen(function*() {
      for (let tried = 1;; tried++) {
        const sent: Either.Either<ReadonlyArray<Row>, FailedText> = yield* attempt
        if (Either.isRight(sent)) return sent.right
        const { cause, failure } = sent.left
        if ((failure !== "Retry" && failure !== "NotSent") || tried === ATTEMPTS) return yield* unavailable(cause)
        yield* backoff(tried)
      }
    })
  }

  const resolve: Ledger["Type"]["resolve"] = (batch) => {
    if (batch.claims.length === 0) return Effect.succeed([])
    const claims = recoded.get(batch) ?? batch.claims
    return Effect.map(
      forbidAndRead(batch.batchId, batch.campaignId, couponsOf(batch.campaignId, claims.map((claim) => claim.userId))),
      (rows) => resolution(claims, rows.map(rowsOf.coupon))
    )
  }

  const campaigns = MySqlCampaigns.make({ settings, read, send, forbidAndRead, backoff })

  return Ledger.of({ ...campaigns, issue, resolve, findCoupons, listCoupons, tally })
})

/** The ledger on MySQL 8.0.19 or later, or MariaDB 10.6 or later. */
export const layer: Layer.Layer<Ledger, never, SqlClient | AppConfig> = Layer.scoped(Ledger, make).pipe(Layer.provide(Recent.layer))
