import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Batcher from "../claim/Batcher.ts"
import type { Campaign, CampaignId } from "../domain/Campaign.ts"
import { RecordNotFound, Unavailable } from "../domain/Failure.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import type { LedgerUnavailable } from "../ports/Ledger.ts"

/**
 * Reads of single campaigns. Those of one campaign that wait together are one read of the ledger, whichever calls they
 * are for.
 */
export class CampaignReads extends Context.Tag("coupon/campaigns/CampaignReads")<CampaignReads, {
  /**
   * The campaign as the ledger has it at some moment between the call and its answer; `undefined`: there is none. A
   * call never joins a read that has begun, so it sees every change that was acknowledged before it. Callers that share
   * a read get the same object. `expiresAt`: in milliseconds of `performance.now()`.
   */
  readonly find: (
    campaignId: CampaignId,
    expiresAt: number
  ) => Effect.Effect<Campaign | undefined, LedgerUnavailable | Batcher.BatchTimeout>
}>() {}

/** Callers that share a read: as many as there may be. */
const MOST_TOGETHER = 10_000

/** While one read is under way, the next one gathers callers; a second one keeps a slow one from delaying them. */
const READS_IN_FLIGHT = 2

export const make: Effect.Effect<CampaignReads["Type"], never, CampaignStore | Scope.Scope> = Effect.gen(function*() {
  const store = yield* CampaignStore
  const batcher = yield* Batcher.make<void, Campaign | undefined, LedgerUnavailable>({
    maxBatch: MOST_TOGETHER,
    maxInFlight: READS_IN_FLIGHT,
    run: (campaignId, callers) =>
      Effect.map(store.find(campaignId), (campaign) => callers.map(() => campaign))
  })
  return { find: (campaignId, expiresAt) => batcher.submit(campaignId, undefined, expiresAt) }
})

export const layer = Layer.scoped(CampaignReads, make)

/** As `find`, for calls that may take so long from now on. */
export const forCalls = (reads: CampaignReads["Type"], timeout: Duration.Duration) => {
  const millis = Duration.toMillis(timeout)
  return (campaignId: CampaignId): Effect.Effect<Campaign, RecordNotFound | Unavailable> =>
    Effect.suspend(() => reads.find(campaignId, performance.now() + millis)).pipe(
      Effect.mapError((cause) => new Unavailable({ retryAfterSeconds: 1, cause })),
      Effect.flatMap((campaign) =>
        campaign === undefined ? Effect.fail(new RecordNotFound()) : Effect.succeed(campaign))
    )
}
