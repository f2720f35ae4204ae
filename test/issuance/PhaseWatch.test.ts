import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fc from "fast-check"
import * as AppConfig from "../../src/config/AppConfig.ts"
import type { CampaignStatus } from "../../src/domain/Campaign.ts"
import { openedAt, type PhaseFacts, phaseOf, phasesReached, soldOutAt } from "../../src/domain/CampaignPhase.ts"
import { Campaigns } from "../../src/campaigns/Campaigns.ts"
import * as Issuance from "../../src/UseCases.ts"
import * as CampaignMetrics from "../../src/metrics/CampaignMetrics.ts"
import * as EventNews from "../../src/agents/events/EventNews.ts"
import * as KnownCampaigns from "../../src/agents/KnownCampaigns.ts"
import * as PhaseWatchLayer from "../../src/agents/PhaseWatch.ts"
import { PhaseWatch } from "../../src/agents/PhaseWatch.ts"
import * as EventStream from "../../src/ports/EventStream.ts"
import * as MemoryGate from "../../src/memory/MemoryGate.ts"
import { claim } from "./claim.ts"
import { request } from "./request.ts"
import * as TestLedgerLayer from "./TestLedger.ts"
import { TestLedger } from "./TestLedger.ts"

const world = Issuance.layer.pipe(
  Layer.provideMerge(Layer.mergeAll(MemoryGate.layer, EventStream.layerOff, TestLedgerLayer.layer)),
  Layer.provideMerge(AppConfig.layerTest({ AUDIT_INTERVAL: "60 seconds" })),
  Layer.orDie
)

describe("PhaseWatch", () => {
  it.scopedLive("records what a campaign reaches by claims and by changes", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const campaigns = yield* Campaigns
      const watch = yield* PhaseWatch
      const { campaignId } = ledger.addCampaign({ couponLimit: 1 })
      const before = CampaignMetrics.phasesReached.SOLD_OUT.value()
      const seen = () => ledger.phases(campaignId).map(({ phase }) => phase)
      yield* watch.runOnce
      expect(seen()).toEqual(["OPEN"])
      yield* claim(campaignId, 1)
      yield* watch.runOnce
      yield* watch.runOnce
      expect(seen()).toEqual(["OPEN", "SOLD_OUT"])
      expect(CampaignMetrics.phasesReached.SOLD_OUT.value() - before).toBe(1)
      yield* campaigns.pause(request(campaignId))
      yield* campaigns.resume(request(campaignId))
      yield* campaigns.end(request(campaignId))
      expect(seen()).toEqual(["OPEN", "SOLD_OUT", "PAUSED", "SOLD_OUT", "ENDED"])
    }).pipe(Effect.provide(world)))

  it.scopedLive("appends the end of a campaign by its time to the event log, and wakes the log's readers", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const watch = yield* PhaseWatch
      const woken: Array<number> = []
      yield* Effect.flatMap(EventNews.EventNews, (news) =>
        news.listen((campaignIds) => void woken.push(...campaignIds)))
      const ended = ledger.addCampaign({ startTime: Date.now() - 2_000, endTime: Date.now() - 1_000 }).campaignId
      const open = ledger.addCampaign().campaignId
      yield* Effect.forEach([ended, open], watch.look, { discard: true })
      yield* watch.runOnce
      expect(ledger.events(ended).map(({ type }) => type)).toEqual(["campaign.created", "campaign.ended"])
      expect(woken).toEqual([ended])
    }).pipe(Effect.provide(
      PhaseWatchLayer.layer.pipe(
        Layer.provideMerge(Layer.merge(KnownCampaigns.layer, EventNews.layer)),
        Layer.provideMerge(TestLedgerLayer.layer),
        Layer.provide(AppConfig.layerTest({})),
        Layer.orDie
      )
    )))

  it.scopedLive("counts nothing that another instance recorded, fails no change, and makes up for what failed", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const campaigns = yield* Campaigns
      const watch = yield* PhaseWatch
      const { campaignId } = ledger.addCampaign()
      const before = CampaignMetrics.phasesReached.OPEN.value()
      ledger.onRecord = () => "lost"
      yield* watch.look(campaignId)
      expect(CampaignMetrics.phasesReached.OPEN.value()).toBe(before)
      ledger.onRecord = () => "unavailable"
      expect(yield* campaigns.pause(request(campaignId))).toMatchObject({ phase: "PAUSED" })
      expect(ledger.phases(campaignId)).toEqual([])
      ledger.onRecord = () => "commit"
      yield* watch.runOnce
      expect(ledger.phases(campaignId).map(({ phase }) => phase)).toEqual(["OPEN", "PAUSED"])
    }).pipe(Effect.provide(world)))
})

describe("the phase of a campaign", () => {
  const facts: PhaseFacts = {
    status: "ACTIVE", startTime: 100, endTime: 200, couponLimit: 2, issuedCount: 0, createdAt: 10,
    since: 10, limitSince: 10, openedBefore: undefined, lastIssuedAt: undefined, now: 50
  }
  const soldOut = { issuedCount: 2, lastIssuedAt: 120 }

  it.each<readonly [Partial<PhaseFacts>, string]>([
    [{}, "SCHEDULED"], [{ now: 99 }, "SCHEDULED"], [{ now: 100 }, "OPEN"], [{ now: 199 }, "OPEN"],
    [{ now: 200 }, "ENDED"], [{ now: 150, ...soldOut }, "SOLD_OUT"], [{ now: 50, ...soldOut }, "SCHEDULED"],
    [{ now: 200, ...soldOut }, "ENDED"], [{ status: "PAUSED" }, "PAUSED"],
    [{ status: "PAUSED", now: 150, ...soldOut }, "PAUSED"], [{ status: "PAUSED", now: 200 }, "ENDED"],
    [{ status: "ENDED" }, "ENDED"], [{ status: "ENDED", now: 150 }, "ENDED"], [{ endTime: undefined, now: 1e9 }, "OPEN"]
  ])("with %j is %s", (some, phase) => {
    expect(phaseOf({ ...facts, ...some })).toBe(phase)
  })

  it.each<readonly [Partial<PhaseFacts>, number | undefined]>([
    [{}, undefined], [{ now: 150 }, 100], [{ now: 150, since: 130 }, 130],
    [{ now: 150, since: 130, openedBefore: 110 }, 110], [{ now: 250, since: 210 }, undefined], [{ now: 250 }, 100],
    [{ now: 150, status: "PAUSED" }, undefined],
    [{ now: 150, status: "ENDED", openedBefore: 101 }, 101]
  ])("with %j opened at %s", (some, at) => {
    expect(openedAt({ ...facts, ...some })).toBe(at)
  })

  it("is sold out since its last coupon, or since the limit was lowered", () => {
    expect(soldOutAt({ ...facts, ...soldOut })).toBe(120)
    expect(soldOutAt({ ...facts, ...soldOut, limitSince: 130 })).toBe(130)
    expect(soldOutAt({ ...facts, ...soldOut, couponLimit: 3, lastIssuedAt: undefined })).toBeUndefined()
  })

  it.each<
    readonly [
      string,
      Partial<PhaseFacts>,
      readonly [string, number] | undefined,
      ReadonlyArray<readonly [string, number]>
    ]
  >([
    ["made ahead", {}, undefined, [["SCHEDULED", 10]]],
    ["made open", { since: 150, createdAt: 150, now: 151 }, undefined, [["OPEN", 150]]],
    ["opened", { now: 101 }, ["SCHEDULED", 10], [["OPEN", 100]]],
    ["opened and sold out", { now: 130, ...soldOut }, ["SCHEDULED", 10], [["OPEN", 100], ["SOLD_OUT", 120]]],
    ["opened, sold out and over", { now: 230, ...soldOut }, ["SCHEDULED", 10], [
      ["OPEN", 100],
      ["SOLD_OUT", 120],
      ["ENDED", 200]
    ]],
    ["opened and over", { now: 230 }, ["SCHEDULED", 10], [["OPEN", 100], ["ENDED", 200]]],
    ["over before it could open", { now: 230, since: 210 }, ["PAUSED", 50], [["ENDED", 210]]],
    ["opened and paused", { now: 130, status: "PAUSED", since: 125, openedBefore: 100 }, ["SCHEDULED", 10], [[
      "OPEN",
      100
    ], ["PAUSED", 125]]],
    ["paused ahead", { now: 60, status: "PAUSED", since: 55 }, ["SCHEDULED", 10], [["PAUSED", 55]]],
    ["resumed", { now: 140, since: 130, openedBefore: 100 }, ["PAUSED", 110], [["OPEN", 130]]],
    ["resumed, being sold out", { now: 140, since: 130, openedBefore: 100, ...soldOut }, ["PAUSED", 125], [[
      "SOLD_OUT",
      130
    ]]],
    ["resumed, and sold out then", { now: 140, since: 115, openedBefore: 100, ...soldOut }, ["PAUSED", 110], [[
      "OPEN",
      115
    ], ["SOLD_OUT", 120]]],
    ["put off and back, being sold out", { now: 140, since: 130, openedBefore: 100, ...soldOut }, ["SCHEDULED", 125], [[
      "SOLD_OUT",
      130
    ]]],
    ["raised", { now: 140, limitSince: 130, couponLimit: 3, issuedCount: 2 }, ["SOLD_OUT", 120], [["OPEN", 130]]],
    ["raised and sold out", { now: 140, limitSince: 130, couponLimit: 2, issuedCount: 2, lastIssuedAt: 135 }, [
      "SOLD_OUT",
      120
    ],
      [["OPEN", 130], ["SOLD_OUT", 135]]],
    ["lowered to what is issued", { now: 140, limitSince: 130, couponLimit: 1, issuedCount: 1, lastIssuedAt: 110 }, [
      "OPEN",
      100
    ], [["SOLD_OUT", 130]]],
    ["lowered while sold out", { now: 140, limitSince: 130, couponLimit: 1, issuedCount: 1, lastIssuedAt: 110 }, [
      "SOLD_OUT",
      120
    ], []],
    ["sold out and ended", { now: 140, status: "ENDED", since: 135, ...soldOut }, ["OPEN", 100], [
      ["SOLD_OUT", 120],
      ["ENDED", 135]
    ]],
    ["ended", { now: 140, status: "ENDED", since: 135, openedBefore: 100 }, ["PAUSED", 130], [["ENDED", 135]]],
    ["ended after its end", { now: 240, status: "ENDED", since: 235 }, ["ENDED", 200], []],
    ["given a later end", { now: 240, endTime: 300, since: 235, openedBefore: 100 }, ["ENDED", 200], [["OPEN", 235]]]
  ])("%s", (_, some, recorded, expected) => {
    const before = recorded === undefined ? undefined : { phase: recorded[0] as "OPEN", at: recorded[1] }
    expect(phasesReached({ ...facts, ...some }, before).map(({ at, phase }) => [phase, at])).toEqual(expected)
  })

  it("reaches phases in order, ends in the one that it is in, and stays there", () => {
    const times = fc.integer({ min: 0, max: 30 })
    const any = fc.record({
      status: fc.constantFrom<CampaignStatus>("ACTIVE", "PAUSED", "ENDED"),
      startTime: times,
      window: fc.option(fc.integer({ min: 1, max: 20 })),
      issuedCount: fc.integer({ min: 0, max: 2 }),
      since: times, limitSince: times, lastIssuedAt: times, age: times, openedBefore: fc.option(times)
    })
    const phase = fc.constantFrom("SCHEDULED", "OPEN", "SOLD_OUT", "PAUSED", "ENDED")
    fc.assert(fc.property(any, fc.option(phase), (drawn, before) => {
      const { age, issuedCount, lastIssuedAt, limitSince, openedBefore, since, startTime, status, window } = drawn
      const now = Math.max(since, limitSince, lastIssuedAt, openedBefore ?? 0) + age
      const of: PhaseFacts = {
        status, startTime, issuedCount, since, limitSince, now,
        endTime: window === null ? undefined : startTime + window,
        couponLimit: 2,
        createdAt: 0,
        openedBefore: openedBefore ?? undefined,
        lastIssuedAt: issuedCount === 2 ? lastIssuedAt : undefined
      }
      const recorded = before === null ? undefined : { phase: before as "OPEN", at: 0 }
      const reached = phasesReached(of, recorded)
      if (reached.length === 0) expect(recorded?.phase).toBe(phaseOf(of))
      else expect(reached.at(-1)!.phase).toBe(phaseOf(of))
      for (const { at } of reached) expect(at).toBeLessThanOrEqual(now)
      for (const [k, { phase }] of reached.entries()) {
        expect(phase).not.toBe(k === 0 && reached.length === 1 ? recorded?.phase : reached[k - 1]?.phase)
      }
      expect(phasesReached(of, reached.at(-1) ?? recorded)).toEqual(reached.length === 0 ? [] : [])
    }), { numRuns: 5_000 })
  })
})
