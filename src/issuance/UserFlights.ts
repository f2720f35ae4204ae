import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
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

/** Ends a claim, once: with its result, or with an Effect that is left to be run for it. */
export type Done = (result: Effect.Effect<Coupon, IssueFailure>) => void

/** How a claim goes on. */
interface Courses<C> {
  /** It is its user's only one. */
  readonly leads: (claim: C, done: Done) => void
  /** The campaign has as many claims under way as it may. */
  readonly full: Effect.Effect<Coupon, IssueFailure>
  /** The one that was under way ended with the user holding this coupon. */
  readonly landed: (coupon: Coupon) => Effect.Effect<Coupon, IssueFailure>
  /** The one that was under way ended without a coupon. */
  readonly vanished: (claim: C) => Effect.Effect<Coupon, IssueFailure>
  /** The one that was under way took longer than this one may. */
  readonly expired: (claim: C) => Effect.Effect<Coupon, IssueFailure>
}

type Waiter = (coupon: Coupon | undefined) => void

/** Claims under way in this process, at most one a user and campaign: what also keeps a ledger batch free of duplicates. */
export interface UserFlights {
  /**
   * Runs the claim as its user's only one, or waits for the one under way, and goes on as `courses` says. An Effect that
   * `done` is given must be run, or the user's place is never left again. A user never occupies two
   * places of the bound.
   */
  readonly fly: <C extends Passenger>(claim: C, courses: Courses<C>, done: Done) => void
}

const heldBy = (exit: Exit.Exit<Coupon, IssueFailure>): Coupon | undefined =>
  exit._tag === "Success"
    ? exit.value
    : exit.cause._tag === "Fail" && exit.cause.error._tag === "CouponAlreadyClaimed"
    ? exit.cause.error.coupon
    : undefined

/** `limit`: claims under way per campaign. */
export const makeFlights = (limit: number): UserFlights => {
  // `undefined` until somebody waits: nearly every claim is its user's only one.
  const campaigns = new Map<CampaignId, Map<UserId, Array<Waiter> | undefined>>()

  const land = (campaignId: CampaignId, userId: UserId, exit: Exit.Exit<Coupon, IssueFailure>) => {
    const users = campaigns.get(campaignId)!
    const waiters = users.get(userId)
    users.delete(userId)
    if (users.size === 0) campaigns.delete(campaignId)
    if (waiters === undefined) return
    const coupon = heldBy(exit)
    for (const waiter of waiters) waiter(coupon)
  }

  return {
    fly: (claim, courses, done) => {
      const { campaignId, expiresAt, userId } = claim
      let users = campaigns.get(campaignId)
      if (users === undefined) campaigns.set(campaignId, users = new Map())
      if (users.has(userId)) {
        const waiters = users.get(userId) ?? []
        users.set(userId, waiters)
        const timer = setTimeout(() => done(courses.expired(claim)), expiresAt - performance.now())
        waiters.push((coupon) => {
          clearTimeout(timer)
          done(coupon === undefined ? courses.vanished(claim) : courses.landed(coupon))
        })
        return
      }
      if (users.size >= limit) {
        done(courses.full)
        return
      }
      users.set(userId, undefined)
      courses.leads(claim, (result) => {
        if (Exit.isExit(result)) {
          land(campaignId, userId, result as Exit.Exit<Coupon, IssueFailure>)
          done(result)
        } else {
          done(Effect.uninterruptible(Effect.onExit(result, (exit) => Effect.sync(() => land(campaignId, userId, exit)))))
        }
      })
    }
  }
}
