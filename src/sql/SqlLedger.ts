import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type { CampaignId, CampaignStatus } from "../domain/Campaign.ts"
import type { UserId } from "../domain/Coupon.ts"
import * as CouponCode from "../domain/CouponCode.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { Claim, ClaimBatch, ClaimVerdict, CommitInDoubt, Ledger, LedgerUnavailable } from "../ports/Ledger.ts"
import { type CommitFacts, type LockedCampaign, resolution, verdictsOn } from "./ClaimDecision.ts"
import { integer } from "./text/Literals.ts"
import { unrelayedCoupons } from "./OutboxRows.ts"
import { makeRows, type Row } from "./Rows.ts"
import { type FailedAttempt, type Retries, untilKnown } from "./UntilKnown.ts"

/** The coupons and issuing of a ledger, where the databases differ. */
export interface LedgerDialect {
  readonly time: (value: unknown) => EpochMillis
  readonly read: (text: string) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
  /** The coupons that these users hold, of which there is at least one. */
  readonly couponsOf: (campaignId: CampaignId, userIds: ReadonlyArray<UserId>) => string
  readonly couponPage: (campaignId: CampaignId, afterId: number, limit: number) => string
  /** Sends the group commit of a batch once, with these claims in the place of its own. */
  readonly attempt: (
    batch: ClaimBatch,
    claims: ReadonlyArray<Claim>
  ) => Effect.Effect<Either.Either<CommitFacts, FailedAttempt>, LedgerUnavailable>
  readonly retries: Retries
  /** A cheaper commit of a whole batch. `undefined`: nothing was committed, and `attempt` has to find out why. */
  readonly commitWhole?: (
    batch: ClaimBatch
  ) => Effect.Effect<ReadonlyArray<ClaimVerdict> | undefined, LedgerUnavailable | CommitInDoubt>
  /** Makes sure that no transaction under this key can commit from now on, and then reads. */
  readonly forbidAndRead: (
    key: string,
    campaignId: CampaignId,
    text: string
  ) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
}

/** Reads the campaign that a group commit locked; `undefined` without a row. */
export const lockedCampaign = (
  row: Row | undefined,
  time: (value: unknown) => EpochMillis
): LockedCampaign | undefined =>
  row === undefined ? undefined : {
    couponLimit: Number(row.coupon_limit),
    issuedCount: Number(row.current_coupon),
    status: row.status as CampaignStatus,
    startTime: time(row.start_time),
    endTime: row.end_time === null ? undefined : time(row.end_time)
  }

/** What all ledgers do alike: attempts, new codes, verdicts and resolution. */
export const make = (dialect: LedgerDialect): Ledger["Type"] => {
  const { attempt, commitWhole, couponPage, couponsOf, forbidAndRead, read, retries, time } = dialect
  const couponOf = makeRows(time).coupon

  const findCoupons: Ledger["Type"]["findCoupons"] = (campaignId, userIds) =>
    userIds.length === 0
      ? Effect.succeed([])
      : Effect.map(read(couponsOf(campaignId, userIds)), (rows) => rows.map(couponOf))

  /**
   * The codes that a batch was last sent with, where a collision made them differ from its claims': `resolve` needs
   * them.
   */
  const recoded = new WeakMap<ClaimBatch, ReadonlyArray<Claim>>()

  const claimsOf = (batch: ClaimBatch): ReadonlyArray<Claim> => recoded.get(batch) ?? batch.claims

  /** Commits what can be issued of the batch, and finds the verdicts on the rest. */
  const sortOut: Ledger["Type"]["issue"] = (batch) =>
    Effect.flatMap(
      untilKnown(Effect.suspend(() => attempt(batch, claimsOf(batch))), retries, ({ failure }) => {
        if (failure === "CodeTaken") {
          recoded.set(batch, batch.claims.map(({ userId }) => ({ userId, code: CouponCode.generate() })))
        }
      }),
      (facts) => verdictsOn(facts, claimsOf(batch), findCoupons)
    )

  return {
    issue: (batch) => {
      if (batch.claims.length === 0) return Effect.succeed([])
      if (commitWhole === undefined) return Effect.uninterruptible(sortOut(batch))
      return Effect.uninterruptible(Effect.flatMap(commitWhole(batch), (whole) =>
        whole === undefined ? sortOut(batch) : Effect.succeed(whole)))
    },

    resolve: (batch) => {
      if (batch.claims.length === 0) return Effect.succeed([])
      const claims = claimsOf(batch)
      const held = couponsOf(batch.campaignId, claims.map((claim) => claim.userId))
      return Effect.map(
        forbidAndRead(batch.batchId, batch.campaignId, held),
        (rows) => resolution(claims, rows.map(couponOf))
      )
    },

    findCoupons,

    listCoupons: (campaignId, afterId, limit) =>
      Effect.map(read(couponPage(campaignId, afterId, limit)), (rows) => rows.map(couponOf)),

    tally: (campaignId) =>
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
  }
}
