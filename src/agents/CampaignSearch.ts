import * as Effect from "effect/Effect"
import { CampaignStore } from "../ports/CampaignStore.ts"
import { KnownCampaigns } from "./KnownCampaigns.ts"

/** How many of the newest campaigns an instance learns of without a claim. */
const NEWEST = 100

/**
 * Adds the newest campaigns of the ledger to the known ones. So reservations of a dead instance are found even if no
 * claim for their campaign arrives here.
 */
export const make = Effect.gen(function*() {
  const known = yield* KnownCampaigns
  const store = yield* CampaignStore
  return {
    runOnce: Effect.map(store.newestCampaignIds(NEWEST), (newest) => known.learn(newest.toReversed()))
  }
})
