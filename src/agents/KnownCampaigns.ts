import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../config/AppConfig.ts"
import type { CampaignId } from "../domain/Campaign.ts"

/** Campaigns beyond this many are forgotten, those without a claim for longest first. */
const MAX_KNOWN = 2_000

/** A campaign is active for this long after its last claim, and until its reservations have expired. */
const ACTIVE_MILLIS = 60_000

/** The campaigns that this instance has seen claims for: what the reaper and the reconciler look after. */
export class KnownCampaigns extends Context.Tag("coupon/issuance/KnownCampaigns")<KnownCampaigns, {
  /** Notes a claim; called for every one of them. */
  readonly touch: (campaignId: CampaignId) => void
  /** Notes campaigns without a claim, the newest last; those that are known already keep their place. */
  readonly learn: (campaignIds: ReadonlyArray<CampaignId>) => void
  /** Those whose claims may still be in flight, or were so lately. */
  readonly active: () => ReadonlyArray<CampaignId>
  /** All that are known, also those at rest. */
  readonly all: () => ReadonlyArray<CampaignId>
}>() {}

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const activeMillis = Math.max(ACTIVE_MILLIS, 3 * Duration.toMillis(config.reservationTimeout))
  const lastClaim = new Map<CampaignId, number>()

  const touch = (campaignId: CampaignId) => {
    // Map keeps the order of insertion. Moving an entry on every claim would cost more than a claim's share of a run.
    const now = performance.now()
    const last = lastClaim.get(campaignId)
    if (last !== undefined && now - last < 1000) return
    lastClaim.delete(campaignId)
    lastClaim.set(campaignId, now)
    if (lastClaim.size > MAX_KNOWN) lastClaim.delete(lastClaim.keys().next().value!)
  }

  return KnownCampaigns.of({
    touch,
    learn: (campaignIds) => {
      for (const campaignId of campaignIds) if (!lastClaim.has(campaignId)) touch(campaignId)
    },
    active: () => {
      const since = performance.now() - activeMillis
      return [...lastClaim].filter(([, last]) => last >= since).map(([campaignId]) => campaignId)
    },
    all: () => [...lastClaim.keys()]
  })
})

export const layer = Layer.effect(KnownCampaigns, make)
