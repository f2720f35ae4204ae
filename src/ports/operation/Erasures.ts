import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { CampaignId } from "../../domain/CampaignId.ts"
import type { ChangeRecord } from "../../domain/ChangeRecord.ts"
import type { UserId } from "../../domain/Coupon.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../Ledger.ts"

/** A coupon whose user is to be erased. Its `changeId` stays the same when it is sent again. */
export interface Erasure extends ChangeRecord {
  readonly campaignId: CampaignId
  /** The coupon's number. */
  readonly couponId: number
  readonly userId: UserId
  /** For the audit log, at most 200 characters. */
  readonly reason: string
  /** How long ago the coupon must have been issued at least, by the ledger's clock. */
  readonly settledMillis: number
}

/**
 * `Erased`: by this call, or by one with the same `changeId`. `NotSettled`: the coupon is too young, or the gate does
 * not have it yet. `Absent`: the coupon is not this user's, so there is nothing to do.
 */
export type ErasureVerdict = "Erased" | "NotSettled" | "Absent"

/** A coupon whose user was erased lately. */
export interface ErasedCoupon {
  readonly campaignId: CampaignId
  readonly couponId: number
  /** Who that was, until the gate knows; `undefined`: it does. */
  readonly userId: UserId | undefined
}

/** The last of the coupons that are known already. */
export type ErasedPosition = Pick<ErasedCoupon, "campaignId" | "couponId">

/** The erasure of users in the ledger (docs/internals/protocol.md, "Erasure"). */
export class Erasures extends Context.Tag("coupon/operation/Erasures")<Erasures, {
  /**
   * Replaces the user of a coupon by `erasedUser`, for good, with a row in the audit log that does not name the user.
   * The same transaction notes the coupon for `recent`. `CommitInDoubt`: to be sent again, which does nothing twice.
   */
  readonly erase: (erasure: Erasure) => Effect.Effect<ErasureVerdict, LedgerUnavailable | CommitInDoubt>

  /**
   * The coupons noted by `erase`, at most `limit`, in the order of campaign and number and after `position`
   * (`undefined`: from the first on).
   */
  readonly recent: (
    position: ErasedPosition | undefined,
    limit: number
  ) => Effect.Effect<ReadonlyArray<ErasedCoupon>, LedgerUnavailable>

  /** Forgets who the users of these coupons of a campaign were. At most 1,000. Safe to repeat. */
  readonly followed: (
    campaignId: CampaignId,
    couponIds: ReadonlyArray<number>
  ) => Effect.Effect<void, LedgerUnavailable>

  /** Forgets coupons that were erased longer ago than this and that `followed` was called for; at most 1,000. */
  readonly purge: (olderThanMillis: number) => Effect.Effect<void, LedgerUnavailable>
}>() {}
