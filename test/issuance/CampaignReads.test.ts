import { expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CampaignEvents } from "../../src/campaigns/CampaignEvents.ts"
import { Campaigns } from "../../src/campaigns/Campaigns.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import * as MemoryGate from "../../src/memory/MemoryGate.ts"
import { CampaignStore } from "../../src/ports/CampaignStore.ts"
import * as EventStream from "../../src/ports/EventStream.ts"
import * as Issuance from "../../src/UseCases.ts"
import * as TestLedgerLayer from "./TestLedger.ts"
import { TestLedger } from "./TestLedger.ts"

it.scopedLive("calls of every kind that come together share one read of their campaign", () => {
  let reads = 0
  const ledger = Layer.map(TestLedgerLayer.layer, (context) => {
    const store = Context.get(context, CampaignStore)
    const find: typeof store.find = (id) => Effect.zipRight(Effect.sync(() => reads++), store.find(id))
    return Context.add(context, CampaignStore, { ...store, find })
  })
  const world = Issuance.layer.pipe(
    Layer.provideMerge(Layer.mergeAll(MemoryGate.layer, EventStream.layerOff, ledger)),
    Layer.provideMerge(AppConfig.layerTest({ AUDIT_INTERVAL: "60 seconds" })),
    Layer.orDie
  )
  return Effect.gen(function*() {
    const campaigns = yield* Campaigns
    const events = yield* CampaignEvents
    const { campaignId } = (yield* TestLedger).addCampaign({ couponLimit: 1 })
    reads = 0
    yield* Effect.all([campaigns.get(campaignId, 0, ""), events.list(campaignId, 0n, 0)], { concurrency: 2 })
    expect(reads).toBe(1)
  }).pipe(Effect.provide(world))
})
