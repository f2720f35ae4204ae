import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { defaultCodes } from "../../src/domain/codes/CampaignCodes.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { named } from "../../src/domain/Actor.ts"
import {
  afterIssueDefaults, type CampaignDraft, type CampaignOrder, type CampaignTerms
} from "../../src/domain/Campaign.ts"
import { InvalidArgument } from "../../src/domain/Failure.ts"
import { Reconciler } from "../../src/agents/Reconciler.ts"
import { Campaigns } from "../../src/campaigns/Campaigns.ts"
import * as EventStream from "../../src/ports/EventStream.ts"
import { Gate, GateUnavailable } from "../../src/ports/Gate.ts"
import { GateRebuilder } from "../../src/agents/GateRebuilder.ts"
import { HeldCoupons } from "../../src/agents/HeldCoupons.ts"
import * as Issuance from "../../src/UseCases.ts"
import { OutboxRelay } from "../../src/agents/outbox/OutboxRelay.ts"
import * as MemoryGate from "../../src/memory/MemoryGate.ts"
import { claim as claimCoupon } from "./claim.ts"
import { request } from "./request.ts"
import * as TestLedgerLayer from "./TestLedger.ts"
import { TestLedger } from "./TestLedger.ts"

/** What a test does to `configure`: lets it through, loses it, or has the gate be away. */
class Line extends Context.Tag("test/Line")<Line, {
  mode: "up" | "away" | "lost"
  readonly received: Array<CampaignTerms>
}>() {}

const gate = Layer.effectContext(Effect.gen(function*() {
  const inner = yield* Gate
  const line: Line["Type"] = { mode: "up", received: [] }
  const configure: Gate["Type"]["configure"] = (terms) =>
    Effect.suspend(() => {
      if (line.mode === "away") return Effect.fail(new GateUnavailable({ cause: "test" }))
      line.received.push(terms)
      return line.mode === "lost" ? Effect.void : inner.configure(terms)
    })
  return Context.make(Gate, { ...inner, configure }).pipe(Context.add(Line, line))
})).pipe(Layer.provide(MemoryGate.layer))

/** The relay and the reconciler run when a test runs them. */
const quiet = {
  RELAY_INTERVAL: "10 seconds",
  REAPER_INTERVAL: "60 seconds",
  AUDIT_INTERVAL: "60 seconds",
  REQUEST_TIMEOUT: "2 seconds"
}

const world = Issuance.layer.pipe(
  Layer.provideMerge(Layer.mergeAll(gate, EventStream.layerOff, TestLedgerLayer.layer)),
  Layer.provideMerge(AppConfig.layerTest(quiet)),
  Layer.orDie
)

const claim = (campaignId: number, userId: number) =>
  Effect.match(claimCoupon(campaignId, userId), { onFailure: ({ _tag }) => _tag, onSuccess: () => "OK" })

const scene = Effect.all({
  campaigns: Campaigns,
  gate: Gate,
  held: HeldCoupons,
  ledger: TestLedger,
  line: Line,
  rebuilder: GateRebuilder,
  relay: OutboxRelay
})

describe("CampaignChanges", () => {
  it.scopedLive("announces a raise to ledger and gate first, and has configured the gate when it answers", () =>
    Effect.gen(function*() {
      const { campaigns, gate, ledger, line, rebuilder } = yield* scene
      const { campaignId } = ledger.addCampaign({ couponLimit: 1 })
      yield* rebuilder.runOnce(campaignId)
      expect([yield* claim(campaignId, 1), yield* claim(campaignId, 2)]).toEqual(["OK", "CouponSoldOut"])
      line.received.length = 0
      const order: Array<string> = []
      ledger.onChange = ({ actor, from }) =>
        Effect.sync(() => {
          expect(actor.name).toBe("test")
          const terms = line.received.map(({ couponLimit, version }) => `${couponLimit} at ${version}`).join()
          order.push(`changed while the gate received ${terms}`)
          expect(from.version).toBe(1)
          return "commit"
        })
      yield* campaigns.update(request(campaignId), { patch: { couponLimit: 2 }, allowPastEnd: false })
      expect(order).toEqual(["changed while the gate received 2 at 1"])
      expect(line.received.map(({ couponLimit, version }) => [couponLimit, version])).toEqual([[2, 1], [2, 2]])
      expect((yield* gate.inspect(campaignId)).version).toBe(2)
      expect([yield* claim(campaignId, 2), yield* claim(campaignId, 3)]).toEqual(["OK", "CouponSoldOut"])
    }).pipe(Effect.provide(world)))

  it.scopedLive("raises nothing that cannot be sent to the gate, and makes every other change without it", () =>
    Effect.gen(function*() {
      const { campaigns, ledger, line, rebuilder, relay } = yield* scene
      const { campaignId } = ledger.addCampaign({ couponLimit: 5 })
      yield* rebuilder.runOnce(campaignId)
      line.mode = "away"
      expect(
        (yield* Effect.flip(
          campaigns.update(request(campaignId), { patch: { couponLimit: 6 }, allowPastEnd: false })
        ))._tag
      ).toBe("Unavailable")
      expect(yield* campaigns.get(campaignId, 0, "")).toMatchObject({ campaign: { couponLimit: 5, version: 1 } })
      expect(yield* campaigns.pause(request(campaignId))).toMatchObject({ status: "PAUSED", version: 2 })
      // The gate does not know yet; the ledger does.
      expect(yield* claim(campaignId, 1)).toBe("CampaignPaused")
      expect(ledger.coupons(campaignId)).toEqual([])
      line.mode = "up"
      yield* relay.runOnce
      expect(yield* claim(campaignId, 2)).toBe("CampaignPaused")
      expect(ledger.outbox.size).toBe(0)
    }).pipe(Effect.provide(world)))

  it.scopedLive("says of a change in doubt what became of it, and that it does not know only when it cannot ask", () =>
    Effect.gen(function*() {
      const { campaigns, ledger } = yield* scene
      const { campaignId } = ledger.addCampaign()
      ledger.onChange = () => Effect.succeed("doubtCommitted")
      expect(yield* campaigns.pause(request(campaignId))).toMatchObject({ status: "PAUSED", version: 2 })
      ledger.onChange = () => Effect.succeed("doubtLost")
      expect((yield* Effect.flip(campaigns.resume(request(campaignId))))._tag).toBe("Unavailable")
      ledger.onChange = () =>
        Effect.sync(() => {
          ledger.down = true
          return "doubtCommitted"
        })
      expect((yield* Effect.flip(campaigns.resume(request(campaignId))))._tag).toBe("OutcomeUnknown")
      ledger.down = false
      // It did happen; asked again, there is nothing left to do.
      expect(yield* campaigns.resume(request(campaignId))).toMatchObject({ status: "ACTIVE", version: 3 })
      ledger.onChange = () => Effect.succeed("unavailable")
      expect((yield* Effect.flip(campaigns.end(request(campaignId))))._tag).toBe("Unavailable")
    }).pipe(Effect.provide(world)))

  it.scopedLive("answers a repeated creation with the campaign that it has made", () =>
    Effect.gen(function*() {
      const { campaigns } = yield* scene
      const ledger = yield* TestLedger
      const draft: CampaignDraft = {
        name: "once", couponLimit: 5, startTime: 0, endTime: 9_000, codes: defaultCodes, ...afterIssueDefaults
      }
      const order = { draft, requestId: "r1" }
      const create = (of: Partial<CampaignOrder>) =>
        campaigns.create({ ...order, tooLate: undefined, ...of }, named("test"))
      const tooLate = new InvalidArgument({ field: "endTime", reason: "test" })
      expect(yield* Effect.flip(create({ tooLate }))).toBe(tooLate)
      const [first, ...others] = yield* Effect.all(Array.from({ length: 5 }, () => create({})), {
        concurrency: "unbounded"
      })
      for (const other of others) expect(other.campaignId).toBe(first!.campaignId)
      // Also once its end has passed, and after it was changed.
      expect((yield* create({ tooLate })).campaignId).toBe(first!.campaignId)
      yield* campaigns.update(
        { campaignId: first!.campaignId, expected: undefined, actor: named("test") },
        { patch: { name: "renamed", endTime: undefined }, allowPastEnd: false }
      )
      expect(yield* create({})).toMatchObject({ campaignId: first!.campaignId, name: "renamed" })
      const different: ReadonlyArray<Partial<CampaignDraft>> = [
        { name: "other" },
        { couponLimit: 6 },
        { startTime: 1 },
        { endTime: undefined },
        { codes: { _tag: "Pool" } },
        { validity: { _tag: "After", after: "P1D", zone: undefined } },
        { undoWindowMillis: 1_000 }
      ]
      for (const other of different) {
        const failure = yield* Effect.flip(create({ draft: { ...draft, ...other } }))
        expect(failure._tag).toBe("Conflict")
      }
      expect((yield* create({ requestId: "r2" })).campaignId).not.toBe(first!.campaignId)
      const none = yield* create({ requestId: undefined })
      expect((yield* create({ requestId: undefined })).campaignId).not.toBe(none.campaignId)
      ledger.down = true
      expect((yield* Effect.flip(create({})))._tag).toBe("Unavailable")
    }).pipe(Effect.provide(world)))

  it.scopedLive("decides again when another operator was faster, unless a version was expected", () =>
    Effect.gen(function*() {
      const { campaigns, ledger } = yield* scene
      const { campaignId } = ledger.addCampaign()
      let others = 2
      ledger.onChange = () =>
        others-- > 0
          ? Effect.as(
            Effect.orDie(
              campaigns.update(request(campaignId), { patch: { name: `other ${others}` }, allowPastEnd: false })
            ),
            "commit" as const
          )
          : Effect.succeed("commit")
      expect(yield* campaigns.pause(request(campaignId))).toMatchObject({ status: "PAUSED", version: 4 })
      others = 1
      expect((yield* Effect.flip(campaigns.resume(request(campaignId, 4))))._tag).toBe("Conflict")
      expect((yield* campaigns.get(campaignId, 0, "")).campaign).toMatchObject({ status: "PAUSED", version: 5 })
    }).pipe(Effect.provide(world)))

  it.scopedLive("goes on telling the gate when the caller leaves", () =>
    Effect.gen(function*() {
      const { campaigns, gate, ledger, line, rebuilder } = yield* scene
      const { campaignId } = ledger.addCampaign()
      yield* rebuilder.runOnce(campaignId)
      line.mode = "away"
      const fiber = yield* Effect.fork(campaigns.pause(request(campaignId)))
      yield* Effect.repeat(Effect.sync(() => ledger.outbox.size), {
        schedule: Schedule.spaced("2 millis"),
        until: (size) => size === 1
      })
      yield* Fiber.interrupt(fiber)
      line.mode = "up"
      yield* Effect.repeat(gate.inspect(campaignId), {
        schedule: Schedule.spaced("2 millis"),
        until: ({ version }) => version === 2
      })
    }).pipe(Effect.provide(world)))

  it.scopedLive("lets the reconciler bring terms that a lost tail took, and forget a gate from the future", () =>
    Effect.gen(function*() {
      const { campaigns, gate, ledger, line, rebuilder, relay } = yield* scene
      const reconciler = yield* Reconciler
      const { campaignId } = ledger.addCampaign({ couponLimit: 1, status: "PAUSED" })
      yield* rebuilder.runOnce(campaignId)
      line.mode = "lost"
      yield* campaigns.resume(request(campaignId))
      yield* relay.runOnce
      expect(ledger.outbox.size).toBe(0)
      expect((yield* gate.inspect(campaignId)).version).toBe(1)
      line.mode = "up"
      expect(yield* reconciler.reconcile(campaignId)).toBe("Outdated")
      expect(yield* reconciler.reconcile(campaignId)).toBe("Agrees")
      expect(yield* claim(campaignId, 1)).toBe("OK")
      yield* relay.runOnce
      yield* gate.configure({
        campaignId,
        couponLimit: 9,
        status: "ACTIVE",
        startTime: 0,
        endTime: undefined,
        version: 9
      })
      expect(yield* reconciler.reconcile(campaignId)).toBe("Ghosts")
      expect(yield* gate.inspect(campaignId)).toMatchObject({ hydrated: true, version: 2 })
    }).pipe(Effect.provide(world)))

  it.scopedLive("answers holders CAMPAIGN_NOT_STARTED before a postponed start, at every instance", () =>
    Effect.gen(function*() {
      const { campaigns, held, ledger, rebuilder, relay } = yield* scene
      const future = Date.now() + 3_600_000
      const { campaignId } = ledger.addCampaign()
      yield* rebuilder.runOnce(campaignId)
      expect([yield* claim(campaignId, 1), yield* claim(campaignId, 1)]).toEqual(["OK", "CouponAlreadyClaimed"])
      yield* campaigns.update(request(campaignId), { patch: { startTime: future }, allowPastEnd: false })
      expect(yield* claim(campaignId, 1)).toBe("CampaignNotStarted")
      yield* campaigns.update(request(campaignId), { patch: { startTime: 0 }, allowPastEnd: false })
      expect(yield* claim(campaignId, 1)).toBe("CouponAlreadyClaimed")
      expect(held.find(campaignId, 1n)).toBeDefined()
      // As if by another instance: this one is not informed.
      ledger.change(campaignId, { startTime: future })
      yield* relay.runOnce
      yield* Effect.repeat(Effect.sync(() => held.find(campaignId, 1n)), {
        schedule: Schedule.spaced("20 millis"),
        until: (found) => found === undefined
      })
      expect(yield* claim(campaignId, 1)).toBe("CampaignNotStarted")
    }).pipe(Effect.provide(world)))
})
