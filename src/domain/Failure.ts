import * as Data from "effect/Data"
import { InvalidArgument } from "./InvalidArgument.ts"
import type { IssuedCoupon, KnownCoupon } from "./redemption/Redemption.ts"

export { InvalidArgument }

/** There is no such campaign, or the user holds no coupon of it. */
export class RecordNotFound extends Data.TaggedError("RecordNotFound") {}

/** The ledger's clock has not reached the campaign's start. */
export class CampaignNotStarted extends Data.TaggedError("CampaignNotStarted") {}

/** The user holds a coupon of this campaign already: the failure carries it, in case the first reply was lost. */
export class CouponAlreadyClaimed extends Data.TaggedError("CouponAlreadyClaimed")<{ readonly coupon: IssuedCoupon }> {}

/** The campaign's end has passed, or an operator ended it. */
export class CampaignEnded extends Data.TaggedError("CampaignEnded") {}

/** An operator paused the campaign. */
export class CampaignPaused extends Data.TaggedError("CampaignPaused") {}

/** All coupons of the campaign are issued: always a fact (docs/internals/protocol.md, invariants I8 and I8b). */
export class CouponSoldOut extends Data.TaggedError("CouponSoldOut") {}

/** Every code of the campaign's pool is a coupon's, and its limit is not reached: more codes have to be imported. */
export class CodesExhausted extends Data.TaggedError("CodesExhausted") {}

/** The coupon is redeemed: the failure says when, and at which terminal. */
export class CouponRedeemed extends Data.TaggedError("CouponRedeemed")<{ readonly coupon: KnownCoupon }> {}

/** The coupon's time had passed, by the ledger's clock: the failure says when. */
export class CouponExpired extends Data.TaggedError("CouponExpired")<{ readonly coupon: KnownCoupon }> {}

/** An operator has revoked the coupon: the failure says when. */
export class CouponRevoked extends Data.TaggedError("CouponRevoked")<{ readonly coupon: KnownCoupon }> {}

/** Shed because a queue is full. Nothing was done; try again after `retryAfterSeconds`. */
export class Overloaded extends Data.TaggedError("Overloaded")<{ readonly retryAfterSeconds: number }> {}

/** A store is down, and nothing was issued; try again after `retryAfterSeconds`. */
export class Unavailable extends Data.TaggedError("Unavailable")<{
  readonly retryAfterSeconds: number
  /** For the log, never for the client. */
  readonly cause?: unknown
}> {}

/** The ledger failed while committing, and the outcome is not known yet: try again, or look up the result. */
export class OutcomeUnknown extends Data.TaggedError("OutcomeUnknown") {}

/** The campaign is not at the version that the caller expected. Nothing was changed. */
export class Conflict extends Data.TaggedError("Conflict") {}

/** The caller's own timeout ran out. A claim may still be issued: try again, or look it up. */
export class DeadlineExceeded extends Data.TaggedError("DeadlineExceeded") {}

/** The call needs a valid key or token. `reason` says what to send, never what was sent. */
export class Unauthenticated extends Data.TaggedError("Unauthenticated")<{ readonly reason: string }> {}

/** The caller is known and lacks the right to do this. */
export class PermissionDenied extends Data.TaggedError("PermissionDenied")<{ readonly reason: string }> {}

/** The API key has no calls left; try again after `retryAfterSeconds`. Nothing was done. */
export class RateLimited extends Data.TaggedError("RateLimited")<{ readonly retryAfterSeconds: number }> {}

/** The service has no SECRETS_KEY, so there are no webhooks. */
export class WebhooksOff extends Data.TaggedError("WebhooksOff") {}

/** Why the ledger issues no coupon for a claim. */
export type ClaimRejection =
  | RecordNotFound
  | CampaignNotStarted
  | CouponAlreadyClaimed
  | CampaignEnded
  | CampaignPaused
  | CouponSoldOut
  | CodesExhausted

/** Everything a claim may fail with. */
export type ClaimFailure = ClaimRejection | Overloaded | Unavailable | OutcomeUnknown | DeadlineExceeded

/** Why a coupon is not redeemed, or its redemption not undone. */
export type RedemptionRejection = RecordNotFound | CouponRevoked | CouponExpired | CouponRedeemed

/** Everything the public API may fail with. `contract/FailureTable.ts` maps each to its message and code. */
export type IssueFailure =
  | ClaimFailure
  | RedemptionRejection
  | InvalidArgument
  | Conflict
  | Unauthenticated
  | PermissionDenied
  | RateLimited
  | WebhooksOff
