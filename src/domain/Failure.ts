import * as Data from "effect/Data"
import type { Coupon } from "./Coupon.ts"
import { InvalidArgument } from "./InvalidArgument.ts"

export { InvalidArgument }

/** There is no such campaign, or the user holds no coupon of it. */
export class RecordNotFound extends Data.TaggedError("RecordNotFound") {}

/** The ledger's clock has not reached the campaign's start. */
export class CampaignNotStarted extends Data.TaggedError("CampaignNotStarted") {}

/** The user holds a coupon of this campaign already; here it is, so that a client whose first reply was lost loses nothing. */
export class CouponAlreadyClaimed extends Data.TaggedError("CouponAlreadyClaimed")<{ readonly coupon: Coupon }> {}

/** The campaign's end has passed, or an operator ended it. */
export class CampaignEnded extends Data.TaggedError("CampaignEnded") {}

/** An operator paused the campaign. */
export class CampaignPaused extends Data.TaggedError("CampaignPaused") {}

/** As many coupons as the campaign's limit are issued: a fact, never a guess (invariants I8, I8b). */
export class CouponSoldOut extends Data.TaggedError("CouponSoldOut") {}

/** Shed before anything was taken, because a queue is at its bound; ask again after `retryAfterSeconds`. */
export class Overloaded extends Data.TaggedError("Overloaded")<{ readonly retryAfterSeconds: number }> {}

/** A store is down, and nothing was issued; ask again after `retryAfterSeconds`. */
export class Unavailable extends Data.TaggedError("Unavailable")<{
  readonly retryAfterSeconds: number
  /** For the log, never for the client. */
  readonly cause?: unknown
}> {}

/** The ledger failed while committing and has not told yet which way: ask again, or look up what became of it. */
export class OutcomeUnknown extends Data.TaggedError("OutcomeUnknown") {}

/** The campaign is at another version than the caller expected: somebody else changed it, and nothing was changed now. */
export class Conflict extends Data.TaggedError("Conflict") {}

/** The caller's own timeout ran out first; a claim may still be issued, so ask again, or look it up. */
export class DeadlineExceeded extends Data.TaggedError("DeadlineExceeded") {}

/** The call needs a key or a token, and there is none, or none that is valid; `reason` says what to send, never what was sent. */
export class Unauthenticated extends Data.TaggedError("Unauthenticated")<{ readonly reason: string }> {}

/** It is known who calls, and that they may not do this. */
export class PermissionDenied extends Data.TaggedError("PermissionDenied")<{ readonly reason: string }> {}

/** The API key has made as many calls as it may; ask again after `retryAfterSeconds`. Nothing was done. */
export class RateLimited extends Data.TaggedError("RateLimited")<{ readonly retryAfterSeconds: number }> {}

/** Everything a claim may end with instead of a coupon. */
export type ClaimFailure =
  | RecordNotFound
  | CampaignNotStarted
  | CouponAlreadyClaimed
  | CampaignEnded
  | CampaignPaused
  | CouponSoldOut
  | Overloaded
  | Unavailable
  | OutcomeUnknown
  | DeadlineExceeded

/** Everything the public API may fail with; `contract/FailureTable` gives each its message and code. */
export type IssueFailure =
  | InvalidArgument
  | RecordNotFound
  | CampaignNotStarted
  | CouponAlreadyClaimed
  | CampaignEnded
  | CampaignPaused
  | CouponSoldOut
  | Overloaded
  | Unavailable
  | OutcomeUnknown
  | Conflict
  | DeadlineExceeded
  | Unauthenticated
  | PermissionDenied
  | RateLimited
