import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as AppConfig from "../../src/config/AppConfig.ts"
import type { CampaignId } from "../../src/domain/Campaign.ts"
import { Reconciler } from "../../src/agents/Reconciler.ts"
import * as EventStream from "../../src/ports/EventStream.ts"
import { foreignState, Gate, GateUnavailable } from "../../src/ports/Gate.ts"
import { GateRebuilder } from "../../src/agents/GateRebuilder.ts"
import * as Issuance from "../../src/UseCases.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import { OutboxRelay } from "../../src/agents/outbox/OutboxRelay.ts"
import * as MemoryGate from "../../src/memory/MemoryGate.ts"
import { batchOf } from "../ports/ledger.exercise.ts"
import { claim } from "./claim.ts"
import * as TestLedgerLayer from "./TestLedger.ts"
import { TestLedger } from "./TestLedger.ts"

/** What a test makes of single campaigns' gates. */
interface Trouble {
  /** Whose gate answers nothing. */
  readonly away: Set<CampaignId>
  /** Whose gate is another deployment's. */
  readonly foreign: Set<CampaignId>
  /** Whose gate cannot be read until it is forgotten. */
  readonly broken: Set<CampaignId>
}

const HOUR = 3_600_000
/** The service, whose agents run only when a test has them, on gates of which some are in trouble. */
const world = (trouble: Trouble, settings: Record<string, string> = {}) => {
  const gate = Layer.map(MemoryGate.layer, (context) => {
    const own = Context.get(context, Gate)
    const unlessAway = <A>(campaignId: CampaignId, effect: Effect.Effect<A, GateUnavailable>) =>
      Effect.suspend(() =>
        trouble.away.has(campaignId) || trouble.broken.has(campaignId) ? new GateUnavailable({ cause: "test" }) : effect
      )
    return Context.make(Gate, {
      ...own,
      reserve: (campaignId, requests) =>
        trouble.foreign.has(campaignId)
          ? Effect.succeed(requests.map(() => ({ _tag: "Cold" as const })))
          : unlessAway(campaignId, own.reserve(campaignId, requests)),
      confirm: (campaignId, coupons) =>
        trouble.foreign.has(campaignId) ? Effect.void : unlessAway(campaignId, own.confirm(campaignId, coupons)),
      forget: (campaignId) => {
        trouble.broken.delete(campaignId)
        return own.forget(campaignId)
      },
      hydrateBegin: (terms, token, lease) =>
        trouble.foreign.has(terms.campaignId)
          ? Effect.succeed("Foreign" as const)
          : unlessAway(terms.campaignId, own.hydrateBegin(terms, token, lease)),
      inspect: (campaignId) =>
        trouble.foreign.has(campaignId)
          ? Effect.succeed(foreignState)
          : trouble.broken.has(campaignId)
          ? Effect.succeed({ ...foreignState, condition: "Broken" as const })
          : unlessAway(campaignId, own.inspect(campaignId))
    })
  })
  return Issuance.layer.pipe(
    Layer.provideMerge(Layer.mergeAll(gate, EventStream.layerOff, TestLedgerLayer.layer)),
    Layer.provideMerge(
      AppConfig.layerTest({
        RELAY_INTERVAL: "10s",
        REAPER_INTERVAL: "60s",
        AUDIT_INTERVAL: "60s",
        COLD_WAIT: "100ms",
        ...settings
      })
    ),
    Layer.orDie
  )
}

const noTrouble = (): Trouble => ({ away: new Set(), foreign: new Set(), broken: new Set() })

const until = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(condition, { schedule: Schedule.spaced("2 millis"), until: (met) => met })

describe("a campaign whose gate is in trouble", () => {
  it.scopedLive("keeps its own events, and none of another campaign, however many they are", () => {
    const trouble = noTrouble()
    return Effect.gen(function*() {
      const control = yield* TestLedger
      const ledger = yield* Ledger
      const relay = yield* OutboxRelay
      const [ill, well] = [control.addCampaign().campaignId, control.addCampaign().campaignId]
      trouble.away.add(ill)
      for (let user = 1; user <= 5; user++) yield* ledger.issue(batchOf(ill, [user]))
      yield* ledger.issue(batchOf(well, [1]))
      // Two events a poll: those of the ill one fill more than that.
      expect(yield* Effect.flip(relay.runOnce)).toBeInstanceOf(GateUnavailable)
      expect(yield* relay.runOnce).toMatchObject({ taken: 1, settled: 1 })
      expect([...control.outbox.values()].map(({ campaignId }) => campaignId)).toEqual([ill, ill, ill, ill, ill])
      // With nothing else to do, it is a failure of the relay.
      expect(yield* Effect.flip(relay.runOnce)).toBeInstanceOf(GateUnavailable)
      trouble.away.clear()
      yield* until(Effect.map(Effect.ignore(relay.runOnce), () => control.outbox.size === 0))
    }).pipe(Effect.provide(world(trouble, { RELAY_BATCH_SIZE: "2" })))
  })

  it.scopedLive("is rebuilt by the reconciler if unreadable, and left alone if another deployment owns it", () => {
    const trouble = noTrouble()
    return Effect.gen(function*() {
      const control = yield* TestLedger
      const reconciler = yield* Reconciler
      const gate = yield* Gate
      const [broken, foreign] = [control.addCampaign().campaignId, control.addCampaign().campaignId]
      yield* Effect.flatMap(Ledger, (ledger) => ledger.issue(batchOf(broken, [1, 2])))
      trouble.broken.add(broken)
      trouble.foreign.add(foreign)
      expect(yield* reconciler.reconcile(broken)).toBe("Broken")
      expect(yield* gate.inspect(broken)).toMatchObject({ condition: "Sound", hydrated: true, issued: 2 })
      expect(yield* reconciler.reconcile(broken)).toBe("Agrees")
      expect(yield* reconciler.reconcile(foreign)).toBe("Foreign")
    }).pipe(Effect.provide(world(trouble)))
  })

  it.scopedLive("is issued by the ledger alone while another deployment owns its gate; only first claims wait", () => {
    const trouble = noTrouble()
    return Effect.gen(function*() {
      const control = yield* TestLedger
      const { campaignId } = control.addCampaign({ couponLimit: 3 })
      trouble.foreign.add(campaignId)
      const waiting = yield* Effect.fork(Effect.flatMap(GateRebuilder, (rebuilder) => rebuilder.ensure(campaignId)))
      // It does not end as long as that is so, but an attempt does.
      yield* Effect.flatMap(GateRebuilder, (rebuilder) => rebuilder.attempt(campaignId))
      expect(yield* claim(campaignId, 1)).toMatchObject({ id: 1 })
      expect(yield* claim(campaignId, 2)).toMatchObject({ id: 2 })
      expect(yield* claim(campaignId, 3)).toMatchObject({ id: 3 })
      expect(yield* Effect.flip(claim(campaignId, 4))).toMatchObject({ _tag: "CouponSoldOut" })
      expect(waiting.unsafePoll()).toBeNull()
      trouble.foreign.clear()
      yield* Fiber.join(waiting)
      expect(yield* Effect.flatMap(Gate, (gate) => gate.inspect(campaignId))).toMatchObject({
        condition: "Sound",
        hydrated: true,
        issued: 3
      })
    }).pipe(Effect.provide(world(trouble)))
  })
})

describe("a campaign that is over for long", () => {
  it.scopedLive.each([
    ["ended", { status: "ENDED", updatedAt: Date.now() - 2 * HOUR }],
    ["past its end", { endTime: Date.now() - 2 * HOUR }]
  ] as const)("%s: is not brought back into the gate, and late claims get the right answer", ([, terms]) =>
    Effect.gen(function*() {
      const control = yield* TestLedger
      const gate = yield* Gate
      const { campaignId } = control.addCampaign({ couponLimit: 9 })
      yield* Effect.flatMap(Ledger, (ledger) => ledger.issue(batchOf(campaignId, [1, 2])))
      control.change(campaignId, terms)
      yield* Effect.flatMap(OutboxRelay, (relay) => relay.settle)
      yield* gate.forget(campaignId)
      const tags = yield* Effect.forEach([1, 5], (user) =>
        Effect.map(Effect.flip(claim(campaignId, user)), ({ _tag }) => _tag))
      expect(tags).toEqual(["CouponAlreadyClaimed", "CampaignEnded"])
      expect(yield* gate.inspect(campaignId)).toMatchObject({ condition: "Retired", issued: 0 })
      expect(yield* Effect.flatMap(Reconciler, ({ reconcile }) => reconcile(campaignId))).toBe("Agrees")
    }).pipe(Effect.provide(world(noTrouble(), { GATE_KEPT_AFTER_END: "1h" }))))

  it.scopedLive("comes back into the gate when its end is put off", () =>
    Effect.gen(function*() {
      const control = yield* TestLedger
      const gate = yield* Gate
      const reconciler = yield* Reconciler
      const { campaignId } = control.addCampaign({ endTime: Date.now() - 2 * HOUR })
      yield* Effect.flatMap(GateRebuilder, (rebuilder) => rebuilder.runOnce(campaignId))
      expect(yield* gate.inspect(campaignId)).toMatchObject({ condition: "Retired" })
      control.change(campaignId, { endTime: undefined, version: 2 })
      expect(yield* reconciler.reconcile(campaignId)).toBe("Outdated")
      expect(yield* reconciler.reconcile(campaignId)).toBe("Cold")
      expect(yield* gate.inspect(campaignId)).toMatchObject({ condition: "Sound", hydrated: true })
      expect(yield* claim(campaignId, 1)).toMatchObject({ id: 1 })
    }).pipe(Effect.provide(world(noTrouble(), { GATE_KEPT_AFTER_END: "1h" }))))
})
