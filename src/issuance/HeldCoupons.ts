import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CampaignId } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import type { EpochMillis } from "../domain/Time.ts"
import * as Agent from "./Agent.ts"
import { Ledger } from "./Ledger.ts"

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

/** Some 5 MB of coupons. */
const CAPACITY = 20_000

/** How soon an instance learns of a start that was put off at another one: within the clocks' slack at the gate. */
const WATCH_INTERVAL = "1 second"

/** Campaigns asked about at a time, which is as many as `Ledger.startTimes` takes. */
const WATCHED = 2_000

type Generation = Map<CampaignId, Map<UserId, Coupon>>

/**
 * Keeps at most `capacity` coupons, and at least the latest half of that: two generations, of which the older one goes as a
 * whole. To drop one coupon at a time costs 9 µs each, because the first key of a map hides behind those deleted before it.
 */
export const make = (capacity: number): HeldCoupons["Type"] => {
  let young: Generation = new Map()
  let old: Generation = new Map()
  let room = Math.ceil(capacity / 2)
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
    find: (campaignId, userId) =>
      closed.size > 0 && isClosed(campaignId) ? undefined : young.get(campaignId)?.get(userId) ?? old.get(campaignId)?.get(userId),
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
    },
    opensAt: (campaignId, startTime) => {
      if (startTime > Date.now()) closed.set(campaignId, startTime)
      else closed.delete(campaignId)
    },
    campaigns: () => [...new Set([...young.keys(), ...old.keys()])]
  }
}

export const layer = Layer.scoped(
  HeldCoupons,
  Effect.gen(function*() {
    const ledger = yield* Ledger
    const held = make(CAPACITY)
    const learn = Effect.suspend(() => ledger.startTimes(held.campaigns().slice(-WATCHED))).pipe(
      Effect.map((starts) => starts.forEach(({ campaignId, startTime }) => held.opensAt(campaignId, startTime)))
    )
    yield* Agent.run("the watch for starts that are put off", learn, Effect.sleep(WATCH_INTERVAL))
    return held
  })
)
