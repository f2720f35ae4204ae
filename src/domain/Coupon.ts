import * as Either from "effect/Either"
import type { CampaignId } from "./CampaignId.ts"
import type { EpochMillis } from "./Time.ts"
import { InvalidArgument } from "./InvalidArgument.ts"

/** Any positive 64-bit integer. The caller decides which user it stands for. */
export type UserId = bigint

/** A coupon that a user holds. Never changes once it is issued, but for its user, who may be erased. */
export interface Coupon {
  readonly campaignId: CampaignId
  /** The coupon's number within its campaign: 1, 2, 3, … in the order of issue, without a gap. */
  readonly id: number
  /** `erasedUser` once its user was erased. */
  readonly userId: UserId
  /** See `CouponCode`. */
  readonly code: string
  readonly issuedAt: EpochMillis
}

/** What stands for the user of a coupon that was erased: no user has it, and no other coupon of the campaign. */
export const erasedUser = (couponId: number): UserId => -BigInt(couponId)

const MAX_USER_ID = 9_223_372_036_854_775_807n

/** Validates a user id. */
export const parseUserId = (value: bigint): Either.Either<UserId, InvalidArgument> =>
  value >= 1n && value <= MAX_USER_ID
    ? Either.right(value)
    : Either.left(new InvalidArgument({ field: "userId", reason: "must be a positive 64-bit integer" }))
