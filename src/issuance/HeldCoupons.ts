import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CampaignId } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"

/**
 * Coupons that this instance has seen in the ledger, for users who ask again. A coupon never changes, so none is ever
 * stale, unless the ledger itself is restored to an earlier state.
 */
export class HeldCoupons extends Context.Tag("coupon/issuance/HeldCoupons")<HeldCoupons, {
  readonly find: (campaignId: CampaignId, userId: UserId) => Coupon | undefined
  readonly remember: (coupon: Coupon) => void
  /** The ledger no longer has what it had. */
  readonly forget: (campaignId: CampaignId) => void
}>() {}

/** Some 5 MB of coupons. */
const CAPACITY = 20_000

/** Keeps at most `capacity` coupons; beyond that, those remembered first go first. */
export const make = (capacity: number): HeldCoupons["Type"] => {
  const campaigns = new Map<CampaignId, Map<UserId, Coupon>>()
  let size = 0

  const dropOldest = () => {
    const [campaignId, users] = campaigns.entries().next().value!
    users.delete(users.keys().next().value!)
    if (users.size === 0) campaigns.delete(campaignId)
    size--
  }

  return {
    find: (campaignId, userId) => campaigns.get(campaignId)?.get(userId),
    remember: (coupon) => {
      let users = campaigns.get(coupon.campaignId)
      if (users === undefined) campaigns.set(coupon.campaignId, users = new Map())
      const before = users.size
      users.set(coupon.userId, coupon)
      size += users.size - before
      if (size > capacity) dropOldest()
    },
    forget: (campaignId) => {
      size -= campaigns.get(campaignId)?.size ?? 0
      campaigns.delete(campaignId)
    }
  }
}

export const layer = Layer.effect(HeldCoupons, Effect.sync(() => make(CAPACITY)))
