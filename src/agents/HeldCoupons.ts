import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CampaignId } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import type { EpochMillis } from "../domain/Time.ts"
import * as Agent from "./Agent.ts"
import * as CouponCache from "./CouponCache.ts"
import { Ledger } from "../ports/Ledger.ts"

/**
 * Coupons that this instance has seen in the ledger, for users who ask again. A coupon never changes, so none is ever
 * stale, unless the ledger itself is restored to an earlier state.
 */
export class HeldCoupons extends Context.Tag("coupon/issuance/HeldCoupons")<HeldCoupons, {
  /** `undefined` also while the campaign has not started: not started comes before already claimed. */
  readonly find: (campaignId: CampaignId, userId: UserId) => Coupon | undefined
  readonly remember: (coupon: Coupon) => void
  /** The ledger no longer has what it had. */
  readonly forget: (campaignId: CampaignId) => void
  /** When the campaign starts, which somebody may have put off when coupons were issued already. */
  readonly opensAt: (campaignId: CampaignId, startTime: EpochMillis) => void
  /** The campaigns of which there are coupons here. */
  readonly campaigns: () => ReadonlyArray<CampaignId>
}>() {}

/** 2^13 sets: the latest 32,768 coupons or so, 1.5 MB. */
const SET_BITS = 13

/** How soon an instance learns of a start that was put off at another one: within the clocks' slack at the gate. */
const WATCH_INTERVAL = "1 second"

/** Campaigns asked about at a time, which is as many as `Ledger.startTimes` takes. */
const WATCHED = 2_000

export const make = (setBits: number): HeldCoupons["Type"] => {
  const cache = CouponCache.make(setBits)
  /** Campaigns that have coupons and yet lie in the future: hardly ever any. */
  const closed = new Map<CampaignId, EpochMillis>()

  const isClosed = (campaignId: CampaignId): boolean => {
    const startTime = closed.get(campaignId)
    if (startTime === undefined) return false
    if (Date.now() < startTime) return true
    closed.delete(campaignId)
    return false
  }

  return {
    ...cache,
    find: (campaignId, userId) => closed.size > 0 && isClosed(campaignId) ? undefined : cache.find(campaignId, userId),
    opensAt: (campaignId, startTime) => {
      if (startTime > Date.now()) closed.set(campaignId, startTime)
      else closed.delete(campaignId)
    }
  }
}

export const layer = Layer.scoped(
  HeldCoupons,
  Effect.gen(function*() {
    const ledger = yield* Ledger
    const held = make(SET_BITS)
    const learn = Effect.suspend(() =>
      Effect.forEach(Chunk.chunksOf(Chunk.unsafeFromArray(held.campaigns()), WATCHED), (some) =>
        Effect.map(ledger.startTimes(Chunk.toReadonlyArray(some)), (starts) =>
          starts.forEach(({ campaignId, startTime }) => held.opensAt(campaignId, startTime))), { discard: true })
    )
    yield* Agent.run("the watch for starts that are put off", learn, Effect.sleep(WATCH_INTERVAL))
    return held
  })
)
