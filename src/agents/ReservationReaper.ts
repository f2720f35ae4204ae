import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../config/AppConfig.ts"
import type { CampaignId } from "../domain/Campaign.ts"
import * as Agent from "./Agent.ts"
import { Gate } from "../ports/Gate.ts"
import * as GateMetrics from "../metrics/GateMetrics.ts"
import * as CouponSinks from "./outbox/CouponSinks.ts"
import type { SinkUnavailable } from "./outbox/CouponSinks.ts"
import { KnownCampaigns } from "./KnownCampaigns.ts"
import { Ledger, type LedgerUnavailable } from "../ports/Ledger.ts"

/** What one look at a campaign's expired reservations did. */
export interface Reaped {
  readonly confirmed: number
  readonly released: number
}

/**
 * Resolves reservations without an outcome (a killed instance, a lost reply). If the ledger has the coupon, the gate
 * confirms it; if not, the slot is released. A release that comes too early lets one claim too many through to the
 * ledger, which rejects it.
 */
export class ReservationReaper extends Context.Tag("coupon/issuance/ReservationReaper")<ReservationReaper, {
  /** Looks at the campaigns with claims lately; every fifth run at all that are known. */
  readonly runOnce: Effect.Effect<void, LedgerUnavailable | SinkUnavailable>
  /** Looks at one campaign. */
  readonly reap: (campaignId: CampaignId) => Effect.Effect<Reaped, LedgerUnavailable | SinkUnavailable>
}>() {}

/** One run in so many looks at all known campaigns: all claims of a campaign may have gone to an instance that died. */
const LOOK_AT_ALL = 5

/** Reservations resolved in one look; more wait for the next. */
const BATCH_SIZE = 1_000

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const gate = yield* Gate
  const handOver = yield* CouponSinks.make
  const ledger = yield* Ledger
  const known = yield* KnownCampaigns
  const age = Duration.toMillis(config.reservationTimeout)

  const reap = (campaignId: CampaignId) =>
    Effect.gen(function*() {
      const expired = yield* gate.expired(campaignId, age, BATCH_SIZE)
      if (expired.length === 0) return { confirmed: 0, released: 0 }
      const coupons = yield* ledger.findCoupons(campaignId, expired.map(({ userId }) => userId))
      const holders = new Set(coupons.map(({ userId }) => userId))
      const absent = expired.filter(({ userId }) => !holders.has(userId))
      // To every sink: after a lost tail the relay's events are settled, and the reservation alone is left.
      if (coupons.length > 0) yield* handOver(campaignId, coupons)
      if (absent.length > 0) yield* gate.release(campaignId, absent)
      GateMetrics.reaped.confirmed.add(coupons.length)
      GateMetrics.reaped.released.add(absent.length)
      yield* Effect.logInfo("resolved expired reservations").pipe(
        Effect.annotateLogs({ campaignId, confirmed: coupons.length, released: absent.length })
      )
      return { confirmed: coupons.length, released: absent.length }
    })

  let looks = 0
  const runOnce = Effect.suspend(() =>
    Agent.forEach(looks++ % LOOK_AT_ALL === 0 ? known.all() : known.active(), reap)
  )
  return ReservationReaper.of({ runOnce, reap })
})

export const layer = Layer.effect(ReservationReaper, make)
