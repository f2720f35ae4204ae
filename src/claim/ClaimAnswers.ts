import * as Exit from "effect/Exit"
import {
  CampaignEnded,
  CampaignNotStarted,
  CampaignPaused,
  CouponAlreadyClaimed,
  CouponSoldOut,
  DeadlineExceeded,
  OutcomeUnknown,
  Overloaded,
  RecordNotFound,
  Unavailable
} from "../domain/Failure.ts"
import type { ClaimFailure } from "../domain/Failure.ts"
import type { IssuedCoupon } from "../domain/redemption/Redemption.ts"

// How a claim ends without a new coupon. Built once, as exits: creating an error takes its stack trace, which costs
// more than the rest of a rejection.
export const notFound = Exit.fail(new RecordNotFound())
export const notStarted = Exit.fail(new CampaignNotStarted())
export const ended = Exit.fail(new CampaignEnded())
export const paused = Exit.fail(new CampaignPaused())
export const soldOut = Exit.fail(new CouponSoldOut())
export const overloaded = Exit.fail(new Overloaded({ retryAfterSeconds: 1 }))
export const unavailable = Exit.fail(new Unavailable({ retryAfterSeconds: 1 }))
export const deadlineExceeded = Exit.fail(new DeadlineExceeded())
export const outcomeUnknown = Exit.fail(new OutcomeUnknown())

/** Without a stack trace, which costs 3 µs and shows nothing: this is an expected answer. */
export const alreadyClaimed = (coupon: IssuedCoupon): Exit.Exit<never, CouponAlreadyClaimed> => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  const failure = new CouponAlreadyClaimed({ coupon })
  Error.stackTraceLimit = stackTraceLimit
  return Exit.fail(failure)
}

/** The coupon that the user holds by the end of this claim, as far as it shows. */
export const heldBy = (exit: Exit.Exit<IssuedCoupon, ClaimFailure>): IssuedCoupon | undefined =>
  exit._tag === "Success"
    ? exit.value
    : exit.cause._tag === "Fail" && exit.cause.error._tag === "CouponAlreadyClaimed"
    ? exit.cause.error.coupon
    : undefined
