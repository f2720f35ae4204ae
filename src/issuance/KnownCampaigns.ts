import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { AppConfig } from "../AppConfig.ts"
import type { CampaignId } from "../domain/Campaign.ts"
import { Ledger } from "./Ledger.ts"

/** Campaigns beyond this many are forgotten, those without a claim for longest first. */
const MOST_KNOWN = 10_000

/** A campaign is active for this long after its last claim, and for as long as a reservation of it may take to expire. */
const ACTIVE_MILLIS = 60_000

/** How many of the newest campaigns an instance knows when it starts. */
const KNOWN_AT_START = 100

/** The campaigns that this instance has seen claims for: what the reaper and the auditor look after. */
export class KnownCampaigns extends Context.Tag("coupon/issuance/KnownCampaigns")<KnownCampaigns, {
  /** Notes a claim; called for every one of them. */
  readonly touch: (campaignId: CampaignId) => void
  /** Those whose claims may still be in flight, or were so lately. */
  readonly active: () => ReadonlyArray<CampaignId>
  /** All that are known, also those at rest. */
  readonly all: () => ReadonlyArray<CampaignId>
}>() {}

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const ledger = yield* Ledger
  const activeMillis = Math.max(ACTIVE_MILLIS, 3 * Duration.toMillis(config.reservationTimeout))
  const lastClaim = new Map<CampaignId, number>()

  const touch = (campaignId: CampaignId) => {
    // Map keeps the order of insertion; moving on every claim would cost more than a claim's share of the audit.
    const now = performance.now()
    const last = lastClaim.get(campaignId)
    if (last !== undefined && now - last < 1000) return
    lastClaim.delete(campaignId)
    lastClaim.set(campaignId, now)
    if (lastClaim.size > MOST_KNOWN) lastClaim.delete(lastClaim.keys().next().value!)
  }

  // Reservations that an earlier life of this instance left behind are found even if nobody claims again.
  yield* ledger.newestCampaignIds(KNOWN_AT_START).pipe(
    Effect.retry(Schedule.spaced("1 second")),
    Effect.tap((newest) => Effect.sync(() => newest.toReversed().forEach(touch))),
    Effect.forkScoped
  )

  return KnownCampaigns.of({
    touch,
    active: () => {
      const since = performance.now() - activeMillis
      return [...lastClaim].filter(([, last]) => last >= since).map(([campaignId]) => campaignId)
    },
    all: () => [...lastClaim.keys()]
  })
})

export const layer = Layer.scoped(KnownCampaigns, make)
