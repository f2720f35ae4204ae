import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import { CampaignStore } from "../ports/CampaignStore.ts"
import { HeldCoupons } from "./HeldCoupons.ts"

/** Campaigns asked about at a time: as many as `CampaignStore.startTimes` takes. */
const BATCH_SIZE = 2_000

/**
 * Reads the start times of the campaigns whose coupons this instance remembers. Another instance may have postponed a
 * start, and "not started" is answered before "already claimed".
 */
export const make = Effect.gen(function*() {
  const held = yield* HeldCoupons
  const store = yield* CampaignStore
  const learn = (campaigns: Chunk.Chunk<number>) =>
    Effect.map(store.startTimes(Chunk.toReadonlyArray(campaigns)), (starts) =>
      starts.forEach(({ campaignId, startTime }) => held.opensAt(campaignId, startTime)))
  return {
    runOnce: Effect.suspend(() =>
      Effect.forEach(Chunk.chunksOf(Chunk.unsafeFromArray(held.campaigns()), BATCH_SIZE), learn, { discard: true })
    )
  }
})
