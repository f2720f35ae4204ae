import type { CampaignId } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"

/** What `SingleFlight` needs of a claim. */
interface Flight {
  readonly campaignId: CampaignId
  readonly userId: UserId
  /** Until when it may wait for another claim of its user, in milliseconds of `performance.now()`. */
  readonly expiresAt: number
}

/** How claims continue. `enter` calls none of these itself, except `leads` for the claim that enters. */
export interface FlightSteps<C> {
  /** The claim is now its user's only one under way. It must end by `leave`, exactly once. */
  readonly leads: (claim: C) => void
  /** The claim waited for one that ended with the user holding this coupon. It has left. */
  readonly landed: (claim: C, coupon: Coupon) => void
  /** The claim's time ran out while it waited. It has left and takes no further step. */
  readonly expired: (claim: C) => void
}

/**
 * At most one claim per user and campaign is under way in this process; the user's other claims follow it. This keeps
 * ledger batches free of duplicates, and a user who clicks twice takes one place in the queue.
 */
export interface SingleFlight<C> {
  /**
   * `Leads`: `steps.leads` was called. `Follows`: the claim waits, and exactly one of the three steps will be called.
   * `Full`: the campaign has as many leading claims as it may; nothing was kept.
   */
  readonly enter: (claim: C) => "Leads" | "Follows" | "Full"
  /**
   * Ends the leading claim. With a coupon, all followers end with it. Without one, the follower that came first leads
   * next, and the others continue to wait.
   */
  readonly leave: (claim: C, coupon: Coupon | undefined) => void
}

interface Follower<C> {
  readonly claim: C
  readonly timer: NodeJS.Timeout
}

/** `limit`: leading claims per campaign. */
export const make = <C extends Flight>(limit: number, steps: FlightSteps<C>): SingleFlight<C> => {
  // `undefined` until a second claim comes: nearly every claim is its user's only one.
  const campaigns = new Map<CampaignId, Map<UserId, Set<Follower<C>> | undefined>>()

  const follow = (users: Map<UserId, Set<Follower<C>> | undefined>, claim: C): void => {
    let followers = users.get(claim.userId)
    if (followers === undefined) users.set(claim.userId, followers = new Set())
    const waiting = followers
    const follower: Follower<C> = {
      claim,
      timer: setTimeout(() => {
        waiting.delete(follower)
        steps.expired(claim)
      }, claim.expiresAt - performance.now())
    }
    waiting.add(follower)
  }

  return {
    enter: (claim) => {
      let users = campaigns.get(claim.campaignId)
      if (users === undefined) campaigns.set(claim.campaignId, users = new Map())
      if (users.has(claim.userId)) {
        follow(users, claim)
        return "Follows"
      }
      if (users.size >= limit) return "Full"
      users.set(claim.userId, undefined)
      steps.leads(claim)
      return "Leads"
    },
    leave: ({ campaignId, userId }, coupon) => {
      const users = campaigns.get(campaignId)!
      const followers = users.get(userId)
      if (coupon === undefined && followers !== undefined) {
        for (const next of followers) {
          followers.delete(next)
          clearTimeout(next.timer)
          return steps.leads(next.claim)
        }
      }
      users.delete(userId)
      if (users.size === 0) campaigns.delete(campaignId)
      if (coupon === undefined || followers === undefined) return
      for (const { claim, timer } of followers) {
        clearTimeout(timer)
        steps.landed(claim, coupon)
      }
    }
  }
}
