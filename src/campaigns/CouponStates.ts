import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Coupon } from "../domain/Coupon.ts"
import { issuedCoupon, type KnownCoupon, redeemedCoupon, revokedCoupon } from "../domain/redemption/Redemption.ts"
import { CouponExpiry } from "../expiry/CouponExpiry.ts"
import type { LedgerUnavailable } from "../ports/Ledger.ts"
import { Redemptions } from "../ports/Redemptions.ts"

/** What became of coupons after they were issued. */
export class CouponStates extends Context.Tag("coupon/campaigns/CouponStates")<CouponStates, {
  /** These coupons of any campaigns, in their order, with their states by the ledger's clock. At most 1,000. */
  readonly of: (coupons: ReadonlyArray<Coupon>) => Effect.Effect<ReadonlyArray<KnownCoupon>, LedgerUnavailable>
}>() {}

const keyOf = (campaignId: number, couponId: number): string => `${campaignId} ${couponId}`

export const make = Effect.gen(function*() {
  const expiry = yield* CouponExpiry
  const redemptions = yield* Redemptions

  return CouponStates.of({
    of: (coupons) => {
      if (coupons.length === 0) return Effect.succeed([])
      return Effect.zipWith(expiry.of(coupons), redemptions.standings(coupons), (expiresAt, { now, standings }) => {
        const standing = new Map(standings.map((of) => [keyOf(of.campaignId, of.couponId), of]))
        return coupons.map((coupon, index): KnownCoupon => {
          const of = standing.get(keyOf(coupon.campaignId, coupon.id))
          if (of?.state === "REDEEMED") return redeemedCoupon(coupon, expiresAt[index], of)
          return of === undefined
            ? issuedCoupon(coupon, expiresAt[index], now)
            : revokedCoupon(coupon, expiresAt[index], of)
        })
      })
    }
  })
})

export const layer: Layer.Layer<CouponStates, never, CouponExpiry | Redemptions> = Layer.effect(CouponStates, make)
