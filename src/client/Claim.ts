import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { IssuedCoupon } from "../domain/redemption/Redemption.ts"
import type { CallFailure } from "./Calls.ts"
import { repetitionOf } from "./Repetition.ts"

/** What a claim comes to when the service decides it. */
export type ClaimOutcome = Data.TaggedEnum<{
  /** The user has got this coupon. It is durable. Without `expiresAt` it does not expire. */
  Claimed: { readonly coupon: IssuedCoupon }
  /**
   * The user holds this coupon; if `expiresAt` is absent, `getCoupon` says whether it expires. `mayBeNew`: a call
   * before this one had no answer, and may be what issued it; otherwise the user held it before the claim.
   */
  AlreadyHeld: { readonly coupon: IssuedCoupon; readonly mayBeNew: boolean }
  /** All coupons are issued. A higher limit opens the campaign again. */
  SoldOut: {}
  /** The pool has no code left, and the limit is not reached. */
  CodesExhausted: {}
  /** The campaign's start lies ahead. */
  NotStarted: {}
  /** The campaign's end has passed, or an operator ended it. */
  Ended: {}
  /** An operator paused the campaign. */
  Paused: {}
}>

/**
 * Makes outcomes, for tests, and matches them.
 *
 * @example
 * import { ClaimOutcome } from "coupon-issuance"
 *
 * const text = ClaimOutcome.$match({
 *   Claimed: ({ coupon }) => `Your code: ${coupon.code}`,
 *   AlreadyHeld: ({ coupon }) => `You have it already: ${coupon.code}`,
 *   SoldOut: () => "All gone",
 *   CodesExhausted: () => "All gone for now",
 *   NotStarted: () => "Not yet",
 *   Ended: () => "It is over",
 *   Paused: () => "One moment, please"
 * })
 * console.log(text(ClaimOutcome.SoldOut())) // All gone
 */
export const ClaimOutcome = Data.taggedEnum<ClaimOutcome>()

/** The failures that are outcomes of a claim. */
type Decided =
  | "CouponAlreadyClaimed"
  | "CouponSoldOut"
  | "CodesExhausted"
  | "CampaignNotStarted"
  | "CampaignEnded"
  | "CampaignPaused"

/** A claim that was not decided: there is no such campaign, the key is not valid, the service is away, … */
export type ClaimFailure = Exclude<CallFailure, { readonly _tag: Decided }>

/**
 * Claims until the claim is decided, as far as `retrying` goes. A claim is safe to repeat: a user never gets two
 * coupons of a campaign.
 */
export const claim = (
  send: Effect.Effect<IssuedCoupon, CallFailure>,
  retrying: (call: Effect.Effect<IssuedCoupon, CallFailure>) => Effect.Effect<IssuedCoupon, CallFailure>
): Effect.Effect<ClaimOutcome, ClaimFailure> =>
  Effect.suspend(() => {
    let mayBeNew = false
    const noted = Effect.tapError(send, (failure) => {
      if (repetitionOf(failure)?.mayBeDone === true) mayBeNew = true
      return Effect.void
    })
    return retrying(noted).pipe(
      Effect.map((coupon): ClaimOutcome => ClaimOutcome.Claimed({ coupon })),
      Effect.catchTags({
        CouponAlreadyClaimed: ({ coupon }) => Effect.succeed(ClaimOutcome.AlreadyHeld({ coupon, mayBeNew })),
        CouponSoldOut: () => Effect.succeed(ClaimOutcome.SoldOut()),
        CodesExhausted: () => Effect.succeed(ClaimOutcome.CodesExhausted()),
        CampaignNotStarted: () => Effect.succeed(ClaimOutcome.NotStarted()),
        CampaignEnded: () => Effect.succeed(ClaimOutcome.Ended()),
        CampaignPaused: () => Effect.succeed(ClaimOutcome.Paused())
      })
    )
  })
