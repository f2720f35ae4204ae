import * as Effect from "effect/Effect"
import type { CampaignId } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import type { IssueFailure } from "../domain/IssueFailure.ts"

/** How a claim that found another one of its user under way goes on. */
interface Fallback<R> {
  /** The campaign has as many claims under way as it may. */
  readonly full: R
  /** The other one ended with the user holding this coupon. */
  readonly landed: (coupon: Coupon) => R
  /** The other one ended without a coupon. */
  readonly vanished: R
  /** The other one took longer than this one may. */
  readonly expired: () => R
}

type Waiter = (coupon: Coupon | undefined) => void

/** Claims under way in this process, at most one a user and campaign: what also keeps a ledger batch free of duplicates. */
export interface UserFlights {
  /**
   * Runs `leader` as the user's one claim, uninterruptibly, or waits for the one under way and goes on as `fallback`
   * says. A user never occupies two places of the bound.
   */
  readonly fly: (
    claim: { readonly campaignId: CampaignId; readonly userId: UserId; readonly expiresAt: number },
    leader: Effect.Effect<Coupon, IssueFailure>,
    fallback: Fallback<Effect.Effect<Coupon, IssueFailure>>
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
    fly: ({ campaignId, expiresAt, userId }, leader, fallback) =>
      Effect.suspend(() => {
        let users = campaigns.get(campaignId)
        if (users === undefined) campaigns.set(campaignId, users = new Map())
        if (users.has(userId)) {
          return Effect.async<Coupon, IssueFailure>((resume) => {
            const waiters = users.get(userId) ?? []
            users.set(userId, waiters)
            const timer = setTimeout(() => resume(fallback.expired()), expiresAt - performance.now())
            waiters.push((coupon) => {
              clearTimeout(timer)
              resume(coupon === undefined ? fallback.vanished : fallback.landed(coupon))
            })
          })
        }
        if (users.size >= limit) return fallback.full
        users.set(userId, undefined)
        return Effect.uninterruptible(Effect.matchCauseEffect(leader, {
          onSuccess: (coupon) => {
            land(campaignId, userId, coupon)
            return Effect.succeed(coupon)
          },
          onFailure: (cause) => {
            const held = cause._tag === "Fail" && cause.error._tag === "CouponAlreadyClaimed" ? cause.error.coupon : undefined
            land(campaignId, userId, held)
            return Effect.failCause(cause)
          }
        }))
      })
  }
}
