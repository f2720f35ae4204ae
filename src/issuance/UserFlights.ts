import * as Effect from "effect/Effect"
import type { CampaignId } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import type { IssueFailure } from "../domain/IssueFailure.ts"

/** What a claim needs to fly. */
interface Passenger {
  readonly campaignId: CampaignId
  readonly userId: UserId
  /** How long it may wait for another one, in milliseconds of `performance.now()`. */
  readonly expiresAt: number
}

/** How a claim goes on. */
interface Courses<C, R> {
  /** It is its user's only one. */
  readonly leads: (claim: C) => R
  /** The campaign has as many claims under way as it may. */
  readonly full: R
  /** The one that was under way ended with the user holding this coupon. */
  readonly landed: (coupon: Coupon) => R
  /** The one that was under way ended without a coupon. */
  readonly vanished: (claim: C) => R
  /** The one that was under way took longer than this one may. */
  readonly expired: (claim: C) => R
}

type Waiter = (coupon: Coupon | undefined) => void

/** Claims under way in this process, at most one a user and campaign: what also keeps a ledger batch free of duplicates. */
export interface UserFlights {
  /**
   * Runs the claim as its user's only one, or waits for the one under way, and goes on as `courses` says. To be called in
   * an uninterruptible region that runs the result at once, or the user's place is never left again. A user never occupies two places of the bound.
   */
  readonly fly: <C extends Passenger>(
    claim: C,
    courses: Courses<C, Effect.Effect<Coupon, IssueFailure>>
  ) => Effect.Effect<Coupon, IssueFailure>
}

/** `limit`: claims under way per campaign. */
export const makeFlights = (limit: number): UserFlights => {
  // `undefined` until somebody waits: nearly every claim is its user's only one.
  const campaigns = new Map<CampaignId, Map<UserId, Array<Waiter> | undefined>>()

  const land = (campaignId: CampaignId, userId: UserId, coupon: Coupon | undefined) => {
    const users = campaigns.get(campaignId)!
    const waiters = users.get(userId)
    users.delete(userId)
    if (users.size === 0) campaigns.delete(campaignId)
    if (waiters !== undefined) for (const waiter of waiters) waiter(coupon)
  }

  return {
    fly: (claim, courses) => {
      const { campaignId, expiresAt, userId } = claim
      let users = campaigns.get(campaignId)
      if (users === undefined) campaigns.set(campaignId, users = new Map())
      if (users.has(userId)) {
        const waiters = users.get(userId) ?? []
        users.set(userId, waiters)
        return Effect.async<Coupon, IssueFailure>((resume) => {
          const timer = setTimeout(() => resume(courses.expired(claim)), expiresAt - performance.now())
          waiters.push((coupon) => {
            clearTimeout(timer)
            resume(coupon === undefined ? Effect.suspend(() => courses.vanished(claim)) : courses.landed(coupon))
          })
        })
      }
      if (users.size >= limit) return courses.full
      users.set(userId, undefined)
      return Effect.matchCauseEffect(courses.leads(claim), {
        onSuccess: (coupon) => {
          land(campaignId, userId, coupon)
          return Effect.succeed(coupon)
        },
        onFailure: (cause) => {
          const held = cause._tag === "Fail" && cause.error._tag === "CouponAlreadyClaimed" ? cause.error.coupon : undefined
          land(campaignId, userId, held)
          return Effect.failCause(cause)
        }
      })
    }
  }
}
