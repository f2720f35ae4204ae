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

type Generation = Map<CampaignId, Map<UserId, Coupon>>

/**
 * Keeps at most `capacity` coupons, and at least the latest half of that: two generations, of which the older one goes as a
 * whole. To drop one coupon at a time costs 9 µs each, because the first key of a map hides behind those deleted before it.
 */
export const make = (capacity: number): HeldCoupons["Type"] => {
  let young: Generation = new Map()
  let old: Generation = new Map()
  let room = Math.ceil(capacity / 2)

  return {
    find: (campaignId, userId) => young.get(campaignId)?.get(userId) ?? old.get(campaignId)?.get(userId),
    remember: (coupon) => {
      if (room === 0) {
        old = young
        young = new Map()
        room = Math.ceil(capacity / 2)
      }
      room--
      let users = young.get(coupon.campaignId)
      if (users === undefined) young.set(coupon.campaignId, users = new Map())
      users.set(coupon.userId, coupon)
    },
    forget: (campaignId) => {
      young.delete(campaignId)
      old.delete(campaignId)
    }
  }
}

export const layer = Layer.effect(HeldCoupons, Effect.sync(() => make(CAPACITY)))
