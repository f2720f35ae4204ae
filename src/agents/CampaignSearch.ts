import * as Effect from "effect/Effect"
import { Ledger } from "../ports/Ledger.ts"
import { KnownCampaigns } from "./KnownCampaigns.ts"

/** How many of the newest campaigns an instance learns of without a claim. */
const NEWEST = 100

/**
 * Adds the newest campaigns of the ledger to the known ones. So reservations of a dead instance are found even if no
 * claim for their campaign arrives here.
 */
export const make = Effect.gen(function*() {
  const known = yield* KnownCampaigns
  const ledger = yield* Ledger
  return {
    runOnce: Effect.map(ledger.newestCampaignIds(NEWEST), (newest) => known.learn(newest.toReversed()))
  }
})
