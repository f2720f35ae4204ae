import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CampaignId } from "../domain/Campaign.ts"
import type { UserId } from "../domain/Coupon.ts"
import type { IssuedCoupon } from "../domain/redemption/Redemption.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { WallClock } from "../base/WallClock.ts"
import * as CouponCache from "./CouponCache.ts"

/**
 * Coupons that this instance has seen in the ledger, for users who ask again. A coupon never changes, so none is ever
 * stale, unless its user is erased, or the ledger itself is restored to an earlier state.
 */
export class HeldCoupons extends Context.Tag("coupon/issuance/HeldCoupons")<HeldCoupons, {
  /** `undefined` also while the campaign has not started: not started comes before already claimed. */
  readonly find: (campaignId: CampaignId, userId: UserId) => IssuedCoupon | undefined
  readonly remember: (coupon: IssuedCoupon) => void
  /** The ledger no longer has what it had. */
  readonly forget: (campaignId: CampaignId) => void
  /** Their users were erased. */
  readonly drop: (numbers: ReadonlyMap<CampaignId, ReadonlySet<number>>) => void
  /** Users may have been erased that are not known here. */
  readonly clear: () => void
  /** When the campaign starts. A start may be postponed after coupons were issued. */
  readonly opensAt: (campaignId: CampaignId, startTime: EpochMillis) => void
  /** The campaigns of which there are coupons here. */
  readonly campaigns: () => ReadonlyArray<CampaignId>
}>() {}

/** 2^13 sets: the latest 32,768 coupons or so, 2 MB. */
const SET_BITS = 13

export const make = (setBits: number, now = (): EpochMillis => Date.now()): HeldCoupons["Type"] => {
  const cache = CouponCache.make(setBits)
  /** Campaigns that have coupons and yet lie in the future: hardly ever any. */
  const closed = new Map<CampaignId, EpochMillis>()

  const isClosed = (campaignId: CampaignId): boolean => {
    const startTime = closed.get(campaignId)
    if (startTime === undefined) return false
    if (now() < startTime) return true
    closed.delete(campaignId)
    return false
  }

  return {
    ...cache,
    find: (campaignId, userId) => closed.size > 0 && isClosed(campaignId) ? undefined : cache.find(campaignId, userId),
    opensAt: (campaignId, startTime) => {
      if (startTime > now()) closed.set(campaignId, startTime)
      else closed.delete(campaignId)
    }
  }
}

export const layer = Layer.effect(HeldCoupons, Effect.map(WallClock, ({ now }) => make(SET_BITS, now)))
