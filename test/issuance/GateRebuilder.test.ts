import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as AppConfig from "../../src/config/AppConfig.ts"
import * as EventStream from "../../src/ports/EventStream.ts"
import { Gate } from "../../src/ports/Gate.ts"
import * as GateRebuilder from "../../src/agents/GateRebuilder.ts"
import { Ledger, LedgerUnavailable } from "../../src/ports/Ledger.ts"
import * as MemoryGate from "../../src/memory/MemoryGate.ts"
import { batchOf } from "../ports/ledger.exercise.ts"
import * as TestLedgerLayer from "./TestLedger.ts"
import { TestLedger } from "./TestLedger.ts"

/**
 * A rebuilder over pages of two, whose `n`th look at a page (from 1) fails if `fails` says so; `cursors` shows all
 * looks.
 */
const world = (cursors: Array<number>, fails: (look: number) => boolean) =>
  GateRebuilder.layer.pipe(
    Layer.provide(Layer.effect(
      Ledger,
      Effect.map(Ledger, (ledger) => ({
        ...ledger,
        listCoupons: (campaignId, afterId, limit) =>
          Effect.suspend(() =>
            fails(cursors.push(afterId))
              ? Effect.fail(new LedgerUnavailable({ cause: "away" }))
              : ledger.listCoupons(campaignId, afterId, limit)
          )
      }))
    )),
    Layer.provideMerge(Layer.mergeAll(MemoryGate.layer, EventStream.layerOff, TestLedgerLayer.layer)),
    Layer.provideMerge(AppConfig.layerTest({ HYDRATE_PAGE_SIZE: "2" })),
    Layer.orDie
  )

const fiveIssued = Effect.gen(function*() {
  const { campaignId } = (yield* TestLedger).addCampaign()
  yield* Effect.flatMap(Ledger, (ledger) => ledger.issue(batchOf(campaignId, [1, 2, 3, 4, 5])))
  return campaignId
})

describe("GateRebuilder", () => {
  it.scopedLive("goes on with the page that could not be read, not with the first one", () => {
    const cursors: Array<number> = []
    return Effect.gen(function*() {
      const campaignId = yield* fiveIssued
      expect(yield* Effect.flatMap(GateRebuilder.GateRebuilder, (rebuilder) => rebuilder.runOnce(campaignId)))
        .toBe("Ready")
      expect(cursors).toEqual([0, 2, 2, 2, 4])
      expect(yield* Effect.flatMap(Gate, (gate) => gate.inspect(campaignId))).toMatchObject({
        hydrated: true,
        issued: 5
      })
    }).pipe(Effect.provide(world(cursors, (look) => look === 2 || look === 3)))
  })

  it.scopedLive("gives up on a ledger that stays away, and leaves the gate cold", () => {
    const cursors: Array<number> = []
    return Effect.gen(function*() {
      const campaignId = yield* fiveIssued
      const failure = yield* Effect.flip(
        Effect.flatMap(GateRebuilder.GateRebuilder, (rebuilder) => rebuilder.runOnce(campaignId))
      )
      expect(failure._tag).toBe("LedgerUnavailable")
      expect(new Set(cursors)).toEqual(new Set([0, 2]))
      expect(yield* Effect.flatMap(Gate, (gate) => gate.inspect(campaignId))).toMatchObject({ hydrated: false })
    }).pipe(Effect.provide(world(cursors, (look) => look > 1)))
  })
})
