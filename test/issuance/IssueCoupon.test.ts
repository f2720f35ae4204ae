import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { named } from "../../src/domain/Actor.ts"
import { afterIssueDefaults } from "../../src/domain/Campaign.ts"
import { defaultCodes } from "../../src/domain/codes/CampaignCodes.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { Reconciler } from "../../src/agents/Reconciler.ts"
import { Campaigns } from "../../src/campaigns/Campaigns.ts"
import * as EventStream from "../../src/ports/EventStream.ts"
import { Gate, GateUnavailable } from "../../src/ports/Gate.ts"
import { GateRebuilder } from "../../src/agents/GateRebuilder.ts"
import * as Issuance from "../../src/UseCases.ts"
import { OutboxRelay } from "../../src/agents/outbox/OutboxRelay.ts"
import { ReservationReaper } from "../../src/agents/ReservationReaper.ts"
import * as MemoryGate from "../../src/memory/MemoryGate.ts"
import { claim } from "./claim.ts"
import * as TestLedgerLayer from "./TestLedger.ts"
import { TestLedger } from "./TestLedger.ts"

/** Agents hardly ever run by themselves here: tests call `runOnce`. */
const quiet = {
  RELAY_INTERVAL: "10 seconds",
  REAPER_INTERVAL: "60 seconds",
  AUDIT_INTERVAL: "60 seconds",
  COLD_WAIT: "1 second"
}

const world = (
  settings: Record<string, string> = {},
  gate: Layer.Layer<Gate, never, AppConfig.AppConfig> = MemoryGate.layer
) =>
  Issuance.layer.pipe(
    Layer.provideMerge(Layer.mergeAll(gate, EventStream.layerOff, TestLedgerLayer.layer)),
    Layer.provideMerge(AppConfig.layerTest({ ...quiet, ...settings })),
    Layer.orDie
  )

const tagOf = (exit: Exit.Exit<unknown, { readonly _tag: string }>) =>
  Exit.match(exit, {
    onSuccess: () => "OK",
    onFailure: (cause) => cause._tag === "Fail" ? cause.error._tag : cause._tag
  })

/** Waits for a condition that some fiber is about to bring about. */
const until = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(condition, { schedule: Schedule.spaced("2 millis"), until: (met) => met })

// Each in a world of its own; they wait for deadlines side by side.
describe.concurrent("IssueCoupon", () => {
  it.scopedLive("issues exactly as many coupons as there are, one a user, and says so to the rest", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const { campaignId } = ledger.addCampaign({ couponLimit: 10 })
      const exits = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, i) => i + 1),
        (user) => Effect.exit(claim(campaignId, user)),
        {
          concurrency: "unbounded"
        }
      )
      const tags = exits.map(tagOf)
      expect(tags.filter((tag) => tag === "OK")).toHaveLength(10)
      expect(tags.filter((tag) => tag === "CouponSoldOut")).toHaveLength(40)
      expect(ledger.coupons(campaignId)).toHaveLength(10)
      // A holder gets their coupon, also after sold out.
      const holder = ledger.coupons(campaignId)[0]!
      const again = yield* Effect.flip(claim(campaignId, holder.userId))
      expect(again).toMatchObject({ _tag: "CouponAlreadyClaimed", coupon: holder })
    }).pipe(Effect.provide(world())))

  it.scopedLive("answers twenty claims of one user at once with one coupon and nineteen times its code", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const { campaignId } = ledger.addCampaign()
      const exits = yield* Effect.forEach(Array.from({ length: 20 }), () => Effect.exit(claim(campaignId, 7)), {
        concurrency: "unbounded"
      })
      const coupon = ledger.coupons(campaignId)[0]!
      expect(exits.filter(Exit.isSuccess)).toEqual([Exit.succeed(coupon)])
      for (const exit of exits.filter(Exit.isFailure)) {
        expect(exit.cause).toMatchObject({ _tag: "Fail", error: { _tag: "CouponAlreadyClaimed", coupon } })
      }
    }).pipe(Effect.provide(world())))

  it.scopedLive("commits what queued during a commit as one batch without duplicates, in order of arrival", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const { campaignId } = ledger.addCampaign({ couponLimit: 3 })
      const hold = yield* Deferred.make<void>()
      ledger.onIssue = () => Effect.as(Deferred.await(hold), "commit")
      const first = yield* Effect.fork(claim(campaignId, 1))
      yield* until(Effect.sync(() => ledger.batches.length === 1))
      const rest = yield* Effect.forEach([5, 4, 4, 5], (user) => Effect.fork(Effect.exit(claim(campaignId, user))))
      const gate = yield* Gate
      yield* until(Effect.map(gate.inspect(campaignId), ({ pending }) => pending === 3))
      yield* Deferred.succeed(hold, undefined)
      yield* Fiber.join(first)
      yield* Fiber.join(Fiber.all(rest))
      expect(ledger.batches.map((batch) => batch.claims.map(({ userId }) => userId))).toEqual([[1n], [5n, 4n]])
    }).pipe(Effect.provide(world())))

  it.scopedLive("rejects a claim whose user was erased right after the commit, and issues the rest of its batch", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const { campaignId } = ledger.addCampaign({ couponLimit: 3 })
      const hold = yield* Deferred.make<void>()
      ledger.onIssue = () => Effect.as(Deferred.await(hold), "commit")
      const first = yield* Effect.fork(claim(campaignId, 1))
      yield* until(Effect.sync(() => ledger.batches.length === 1))
      ledger.onIssue = () => Effect.succeed("firstErased")
      const erased = yield* Effect.fork(Effect.flip(claim(campaignId, 2)))
      const gate = yield* Gate
      yield* until(Effect.map(gate.inspect(campaignId), ({ pending }) => pending === 2))
      const other = yield* Effect.fork(claim(campaignId, 3))
      yield* until(Effect.map(gate.inspect(campaignId), ({ pending }) => pending === 3))
      yield* Deferred.succeed(hold, undefined)
      yield* Fiber.join(first)
      expect((yield* Fiber.join(erased))._tag).toBe("Unavailable")
      expect(yield* Fiber.join(other)).toEqual(ledger.coupons(campaignId)[1])
      expect(ledger.batches.map(({ claims }) => claims.length)).toEqual([1, 2])
      yield* Effect.flatMap(OutboxRelay, (relay) => relay.settle)
      // The slot of the rejected claim was given back.
      yield* until(Effect.map(gate.inspect(campaignId), ({ pending }) => pending === 0))
    }).pipe(Effect.provide(world())))

  it.scopedLive("refuses in the documented order: not found, not started, ended, paused", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const future = Date.now() + 3_600_000
      const cases = [
        ["CampaignNotStarted", ledger.addCampaign({ startTime: future, status: "PAUSED" })],
        ["CampaignEnded", ledger.addCampaign({ status: "ENDED" })],
        ["CampaignEnded", ledger.addCampaign({ startTime: 0, endTime: Date.now() - 60_000 })],
        ["CampaignPaused", ledger.addCampaign({ status: "PAUSED" })]
      ] as const
      for (const [tag, { campaignId }] of cases) expect((yield* Effect.flip(claim(campaignId, 1)))._tag).toBe(tag)
      expect((yield* Effect.flip(claim(999, 1)))._tag).toBe("RecordNotFound")
      expect(ledger.batches).toHaveLength(0)
    }).pipe(Effect.provide(world())))

  it.scopedLive("answers OK for a commit in doubt that is found committed, and UNAVAILABLE for one that is not", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const gate = yield* Gate
      const { campaignId } = ledger.addCampaign()
      ledger.onIssue = () => Effect.succeed("doubtCommitted")
      expect(yield* claim(campaignId, 1)).toEqual(ledger.coupons(campaignId)[0])
      ledger.onIssue = () => Effect.succeed("doubtLost")
      expect((yield* Effect.flip(claim(campaignId, 2)))._tag).toBe("Unavailable")
      ledger.onIssue = () => Effect.succeed("commit")
      yield* Effect.flatMap(OutboxRelay, (relay) => relay.settle)
      // The slot of the lost one was given back.
      yield* until(Effect.map(gate.inspect(campaignId), ({ pending }) => pending === 0))
      expect(yield* claim(campaignId, 2)).toMatchObject({ userId: 2n })
    }).pipe(Effect.provide(world())))

  it.scopedLive("answers OUTCOME_UNKNOWN at its deadline while the commit is in doubt, and still resolves it", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const { campaignId } = ledger.addCampaign()
      yield* claim(campaignId, 1)
      ledger.onIssue = () => Effect.sync(() => (ledger.down = true, "doubtCommitted" as const))
      expect((yield* Effect.flip(claim(campaignId, 2)))._tag).toBe("OutcomeUnknown")
      ledger.down = false
      ledger.onIssue = () => Effect.succeed("commit")
      expect(yield* Effect.flip(claim(campaignId, 2))).toMatchObject({ _tag: "CouponAlreadyClaimed" })
    }).pipe(Effect.provide(world({ REQUEST_TIMEOUT: "2 seconds" }))))

  it.scopedLive("answers UNAVAILABLE at once while an earlier commit is in doubt and the ledger away", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const { campaignId } = ledger.addCampaign()
      yield* claim(campaignId, 1)
      ledger.onIssue = () => Effect.sync(() => (ledger.down = true, "doubtCommitted" as const))
      const doubtful = yield* Effect.fork(claim(campaignId, 2))
      yield* until(Effect.sync(() => ledger.down))
      ledger.onIssue = () => Effect.succeed("unavailable")
      for (const user of [3, 4, 5]) expect((yield* Effect.flip(claim(campaignId, user)))._tag).toBe("Unavailable")
      // They did not wait for the one before them: it is in doubt for as long as the ledger is away.
      expect((yield* Fiber.status(doubtful))._tag).not.toBe("Done")
      ledger.down = false
      expect(yield* Fiber.join(doubtful)).toMatchObject({ userId: 2n })
    }).pipe(Effect.provide(world({ REQUEST_TIMEOUT: "8 seconds" }))))

  it.scopedLive("honours the caller's own deadline and gives the slot back if the claim was still queued", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const gate = yield* Gate
      const { campaignId } = ledger.addCampaign()
      const hold = yield* Deferred.make<void>()
      ledger.onIssue = () => Effect.as(Deferred.await(hold), "commit")
      const first = yield* Effect.fork(claim(campaignId, 1))
      yield* until(Effect.sync(() => ledger.batches.length === 1))
      expect((yield* Effect.flip(claim(campaignId, 2, 60)))._tag).toBe("DeadlineExceeded")
      yield* until(Effect.map(gate.inspect(campaignId), ({ pending }) => pending === 1))
      yield* Deferred.succeed(hold, undefined)
      yield* Fiber.join(first)
      expect(ledger.coupons(campaignId).map(({ userId }) => userId)).toEqual([1n])
    }).pipe(Effect.provide(world())))

  it.scopedLive("sheds beyond the queue's bound before a slot is taken", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const gate = yield* Gate
      const { campaignId } = ledger.addCampaign()
      const hold = yield* Deferred.make<void>()
      ledger.onIssue = () => Effect.as(Deferred.await(hold), "commit")
      const admitted = yield* Effect.forEach([1, 2], (user) => Effect.fork(claim(campaignId, user)))
      yield* until(Effect.map(gate.inspect(campaignId), ({ pending }) => pending === 2))
      expect((yield* Effect.flip(claim(campaignId, 3)))._tag).toBe("Overloaded")
      expect((yield* gate.inspect(campaignId)).pending).toBe(2)
      yield* Deferred.succeed(hold, undefined)
      yield* Fiber.join(Fiber.all(admitted))
    }).pipe(Effect.provide(world({ ISSUE_QUEUE_LIMIT: "2" }))))

  it.scopedLive("says UNAVAILABLE when the ledger is away, and the slot is free again", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const gate = yield* Gate
      const { campaignId } = ledger.addCampaign({ couponLimit: 1 })
      ledger.onIssue = () => Effect.succeed("unavailable")
      expect((yield* Effect.flip(claim(campaignId, 1)))._tag).toBe("Unavailable")
      yield* until(Effect.map(gate.inspect(campaignId), ({ pending }) => pending === 0))
      ledger.onIssue = () => Effect.succeed("commit")
      expect(yield* claim(campaignId, 2)).toMatchObject({ userId: 2n })
    }).pipe(Effect.provide(world())))

  it.scopedLive("never calls a full gate sold out: it waits, and then asks to come back", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const gate = yield* Gate
      const { campaignId } = ledger.addCampaign({ couponLimit: 1 })
      yield* Effect.flatMap(GateRebuilder, (rebuilder) => rebuilder.runOnce(campaignId))
      const [held] = yield* gate.reserve(campaignId, [{ userId: 99n, nonce: "elsewhere" }])
      expect((yield* Effect.flip(claim(campaignId, 1)))._tag).toBe("Overloaded")
      // Once the other one lets go, the waiting claim gets the slot.
      const waiting = yield* Effect.fork(claim(campaignId, 1))
      yield* gate.release(campaignId, [{ userId: 99n, value: (held as { value: string }).value }])
      expect(yield* Fiber.join(waiting)).toMatchObject({ userId: 1n })
    }).pipe(Effect.provide(world())))

  it.scopedLive("goes past a gate that stays cold for COLD_WAIT, until the gate is rebuilt", () => {
    const rebuilding = { elsewhere: true }
    /** A gate that another instance is rebuilding. */
    const busy = Layer.map(MemoryGate.layer, (context) => {
      const gate = Context.get(context, Gate)
      return Context.make(Gate, {
        ...gate,
        hydrateBegin: (...args) =>
          Effect.suspend(() => rebuilding.elsewhere ? Effect.succeed("Busy" as const) : gate.hydrateBegin(...args))
      })
    })
    return Effect.gen(function*() {
      const ledger = yield* TestLedger
      const gate = yield* Gate
      const { campaignId } = ledger.addCampaign({ couponLimit: 3 })
      expect(yield* Effect.flip(claim(999, 1))).toMatchObject({ _tag: "RecordNotFound" })
      expect(yield* claim(campaignId, 1)).toMatchObject({ userId: 1n })
      // Those after the first do not wait: they are decided while the gate is as cold as it was.
      expect(yield* claim(campaignId, 2)).toMatchObject({ userId: 2n })
      expect(yield* Effect.flip(claim(campaignId, 1))).toMatchObject({ _tag: "CouponAlreadyClaimed" })
      expect(yield* gate.inspect(campaignId)).toMatchObject({ hydrated: false, pending: 0 })
      rebuilding.elsewhere = false
      yield* until(Effect.map(gate.inspect(campaignId), ({ hydrated }) => hydrated))
      yield* Effect.flatMap(OutboxRelay, (relay) => relay.settle)
      expect(yield* claim(campaignId, 3)).toMatchObject({ userId: 3n })
      expect((yield* Effect.flip(claim(campaignId, 4)))._tag).toBe("CouponSoldOut")
      expect(ledger.coupons(campaignId)).toHaveLength(3)
    }).pipe(Effect.provide(world({ COLD_WAIT: "50 millis" }, busy)))
  })

  it.scopedLive("serves a user whose slot a dead instance holds", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const gate = yield* Gate
      const { campaignId } = ledger.addCampaign()
      yield* Effect.flatMap(GateRebuilder, (rebuilder) => rebuilder.runOnce(campaignId))
      yield* gate.reserve(campaignId, [{ userId: 1n, nonce: "dead" }])
      expect(yield* claim(campaignId, 1)).toMatchObject({ userId: 1n })
    }).pipe(Effect.provide(world())))
})

describe("IssueCoupon past its gate", () => {
  /** A gate that notes which users it was asked to reserve for. */
  const noting = (asked: Array<bigint>) =>
    Layer.map(MemoryGate.layer, (context) => {
      const gate = Context.get(context, Gate)
      return Context.make(Gate, {
        ...gate,
        reserve: (campaignId, requests) => {
          asked.push(...requests.map(({ userId }) => userId))
          return gate.reserve(campaignId, requests)
        }
      })
    })

  /** A campaign whose gate is ready, so that no claim asks it twice. */
  const openCampaign = (terms: Parameters<TestLedger["Type"]["addCampaign"]>[0] = {}) =>
    Effect.gen(function*() {
      const { campaignId } = (yield* TestLedger).addCampaign(terms)
      yield* Effect.flatMap(GateRebuilder, (rebuilder) => rebuilder.runOnce(campaignId))
      return campaignId
    })

  const claimAll = (campaignId: number, users: ReadonlyArray<number>) =>
    Effect.forEach(users, (user) => Effect.map(Effect.exit(claim(campaignId, user)), tagOf))

  it.scopedLive("goes past the gate after enough coupons in a row, until the ledger rejects a claim", () => {
    const asked: Array<bigint> = []
    return Effect.gen(function*() {
      const ledger = yield* TestLedger
      const gate = yield* Gate
      const relay = yield* OutboxRelay
      const campaignId = yield* openCampaign({ couponLimit: 6 })
      expect(yield* claimAll(campaignId, [1, 2, 3, 4, 5])).toEqual(["OK", "OK", "OK", "OK", "OK"])
      expect(asked).toEqual([1n, 2n, 3n])
      // The gate learns of the others as of any coupon.
      yield* relay.settle
      expect(yield* gate.inspect(campaignId)).toMatchObject({ issued: 5, pending: 0 })
      expect(yield* claimAll(campaignId, [6, 7])).toEqual(["OK", "CouponSoldOut"])
      expect(asked).toEqual([1n, 2n, 3n])
      yield* relay.settle
      // User 7 was sent to the ledger, which is asked no more.
      expect(yield* claimAll(campaignId, [8, 9])).toEqual(["CouponSoldOut", "CouponSoldOut"])
      expect(asked).toEqual([1n, 2n, 3n, 8n])
      expect(ledger.batches.flatMap(({ claims }) => claims.map(({ userId }) => userId))).toEqual([
        1n, 2n, 3n, 4n, 5n, 6n, 7n
      ])
    }).pipe(Effect.provide(world({ GATE_BYPASS_AFTER: "3" }, noting(asked))))
  })

  it.scopedLive("counts anew after each refusal of the gate, and one campaign apart from another", () => {
    const asked: Array<bigint> = []
    return Effect.gen(function*() {
      const ledger = yield* TestLedger
      const campaignId = yield* openCampaign()
      const other = yield* openCampaign()
      const paused = yield* openCampaign({ status: "PAUSED" })
      expect(yield* claimAll(campaignId, [1, 2])).toEqual(["OK", "OK"])
      expect(yield* claimAll(paused, [1])).toEqual(["CampaignPaused"])
      ledger.change(campaignId, { status: "PAUSED" })
      yield* Effect.flatMap(Reconciler, (reconciler) => reconciler.reconcile(campaignId))
      expect(yield* claimAll(campaignId, [3])).toEqual(["CampaignPaused"])
      ledger.change(campaignId, { status: "ACTIVE" })
      yield* Effect.flatMap(Reconciler, (reconciler) => reconciler.reconcile(campaignId))
      asked.length = 0
      expect(yield* claimAll(campaignId, [4, 5, 6, 7, 8])).toEqual(["OK", "OK", "OK", "OK", "OK"])
      expect(yield* claimAll(other, [9])).toEqual(["OK"])
      expect(asked).toEqual([4n, 5n, 6n, 9n])
    }).pipe(Effect.provide(world({ GATE_BYPASS_AFTER: "3" }, noting(asked))))
  })

  it.scopedLive("always asks the gate if configured so", () => {
    const asked: Array<bigint> = []
    return Effect.gen(function*() {
      const campaignId = yield* openCampaign()
      yield* claimAll(campaignId, [1, 2, 3, 4])
      expect(asked).toEqual([1n, 2n, 3n, 4n])
    }).pipe(Effect.provide(world({ GATE_BYPASS_AFTER: "0" }, noting(asked))))
  })

  it.scopedLive("goes on over a gate that lost everything, which the reconciler has rebuilt", () =>
    Effect.gen(function*() {
      const gate = yield* Gate
      const campaignId = yield* openCampaign({ couponLimit: 5 })
      yield* claimAll(campaignId, [1, 2])
      yield* Effect.flatMap(OutboxRelay, (relay) => relay.settle)
      yield* gate.forget(campaignId)
      expect(yield* claimAll(campaignId, [3, 4])).toEqual(["OK", "OK"])
      expect(yield* gate.inspect(campaignId)).toMatchObject({ hydrated: false })
      yield* Effect.flatMap(OutboxRelay, (relay) => relay.settle)
      expect(yield* Effect.flatMap(Reconciler, (reconciler) => reconciler.reconcile(campaignId))).toBe("Cold")
      expect(yield* gate.inspect(campaignId)).toMatchObject({ hydrated: true, issued: 4, pending: 0 })
      expect(yield* claimAll(campaignId, [5, 6, 7])).toEqual(["OK", "CouponSoldOut", "CouponSoldOut"])
    }).pipe(Effect.provide(world({ GATE_BYPASS_AFTER: "2" }))))
})

describe("IssueCoupon without its gate", () => {
  /** A gate that fails whenever `down` is set. */
  const breakable = (switchOf: { down: boolean }) =>
    Layer.map(MemoryGate.layer, (context) => {
      const gate = (context as unknown as { unsafeMap: Map<string, Gate["Type"]> }).unsafeMap.get(Gate.key)!
      const fail = Effect.suspend(() =>
        switchOf.down ? Effect.fail(new GateUnavailable({ cause: "test" })) : Effect.void
      )
      const guarded = Object.fromEntries(
        Object.entries(gate).map(([name, operation]) => [
          name,
          typeof operation === "function" && name !== "events"
            ? (...args: Array<never>) =>
              Effect.zipRight(fail, (operation as unknown as (...a: Array<never>) => Effect.Effect<unknown>)(...args))
            : operation
        ])
      )
      ;(context as unknown as { unsafeMap: Map<string, unknown> }).unsafeMap.set(Gate.key, guarded)
      return context
    })

  const worldWith = (switchOf: { down: boolean }, settings: Record<string, string> = {}) =>
    Issuance.layer.pipe(
      Layer.provideMerge(Layer.mergeAll(breakable(switchOf), EventStream.layerOff, TestLedgerLayer.layer)),
      Layer.provideMerge(AppConfig.layerTest({ ...quiet, ...settings })),
      Layer.orDie
    )

  const outage = { down: false }
  it.scopedLive("goes on with the ledger alone, exactly, and the gate catches up when it is back", () =>
    Effect.gen(function*() {
      outage.down = true
      const ledger = yield* TestLedger
      const gate = yield* Gate
      const { campaignId } = ledger.addCampaign({ couponLimit: 5 })
      const exits = yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7, 1], (user) => Effect.exit(claim(campaignId, user)), {
        concurrency: "unbounded"
      })
      expect(exits.map(tagOf).toSorted()).toEqual([
        "CouponAlreadyClaimed", "CouponSoldOut", "CouponSoldOut", "OK", "OK", "OK", "OK", "OK"
      ])
      outage.down = false
      yield* Effect.flatMap(OutboxRelay, (relay) => relay.settle)
      yield* Effect.flatMap(Reconciler, (reconciler) => reconciler.reconcile(campaignId))
      expect(yield* gate.inspect(campaignId)).toMatchObject({ hydrated: true, issued: 5, pending: 0 })
    }).pipe(Effect.provide(worldWith(outage))))
})

describe.concurrent("the agents", () => {
  it.scopedLive("relay: confirms what was committed and settles it; a lost gate is rebuilt from the ledger", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const gate = yield* Gate
      const relay = yield* OutboxRelay
      const { campaignId } = ledger.addCampaign()
      yield* Effect.forEach([1, 2, 3], (user) => claim(campaignId, user), { concurrency: "unbounded" })
      yield* relay.settle
      expect(ledger.outbox.size).toBe(0)
      expect(yield* gate.inspect(campaignId)).toMatchObject({ hydrated: true, issued: 3, pending: 0 })
      yield* gate.forget(campaignId)
      // A coupon that this instance knows needs no gate; anybody else's claim has it rebuilt.
      expect(yield* Effect.flip(claim(campaignId, 2))).toMatchObject({ _tag: "CouponAlreadyClaimed" })
      expect(yield* gate.inspect(campaignId)).toMatchObject({ hydrated: false })
      expect(yield* claim(campaignId, 4)).toMatchObject({ userId: 4n })
      expect(yield* gate.inspect(campaignId)).toMatchObject({ hydrated: true, issued: 3 })
    }).pipe(Effect.provide(world())))

  it.scopedLive("reaper: confirms the reservation of an issued coupon and releases that of an abandoned claim", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const gate = yield* Gate
      const reaper = yield* ReservationReaper
      const { campaignId } = ledger.addCampaign()
      yield* claim(campaignId, 1)
      yield* gate.reserve(campaignId, [{ userId: 2n, nonce: "dead" }])
      // Nothing is reaped before the reservation is as old as RESERVATION_TIMEOUT below, by the gate's own clock.
      expect(yield* reaper.reap(campaignId)).toEqual({ confirmed: 0, released: 0 })
      yield* until(Effect.map(reaper.reap(campaignId), ({ confirmed, released }) => confirmed === 0 && released === 1))
      expect(yield* gate.inspect(campaignId)).toMatchObject({ issued: 1, pending: 0 })
    }).pipe(Effect.provide(world({ RESERVATION_TIMEOUT: "3 seconds", REQUEST_TIMEOUT: "2 seconds" }))))

  it.scopedLive("reaper: frees the slot of a dead instance although this one has had no claim on the campaign", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const gate = yield* Gate
      const campaign = ledger.addCampaign()
      const { campaignId } = campaign
      // As another instance left it: the gate open, a slot held, its owner gone.
      expect(yield* gate.hydrateBegin(campaign, "elsewhere", 1_000)).toBe("Granted")
      expect(yield* gate.hydrateEnd(campaignId, "elsewhere", 0)).toBe(true)
      yield* gate.reserve(campaignId, [{ userId: 1n, nonce: "dead" }])
      expect(yield* gate.inspect(campaignId)).toMatchObject({ pending: 1 })
      yield* until(Effect.map(gate.inspect(campaignId), ({ pending }) => pending === 0))
    }).pipe(Effect.provide(world({ RESERVATION_TIMEOUT: "3s", REQUEST_TIMEOUT: "2s", REAPER_INTERVAL: "50ms" }))))

  it.scopedLive("reconciler: rebuilds a gate that has fewer or more coupons than the ledger, and no other", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const gate = yield* Gate
      const relay = yield* OutboxRelay
      const reconciler = yield* Reconciler
      const { campaignId } = ledger.addCampaign()
      yield* Effect.forEach([1, 2, 3], (user) => claim(campaignId, user), { concurrency: "unbounded" })
      // Unrelayed coupons are no disagreement.
      expect(yield* reconciler.reconcile(campaignId)).toBe("Agrees")
      yield* relay.settle
      expect(yield* reconciler.reconcile(campaignId)).toBe("Agrees")
      // The gate's memory of the last coupon is lost: settled in the outbox, absent from the gate.
      yield* claim(campaignId, 4)
      ledger.outbox.clear()
      yield* gate.forget(campaignId)
      yield* gate.confirm(campaignId, ledger.coupons(campaignId).slice(0, 3))
      const terms = {
        campaignId,
        couponLimit: 100,
        status: "ACTIVE",
        startTime: 0,
        endTime: undefined,
        version: 1
      } as const
      expect(yield* gate.hydrateBegin(terms, "stale", 1000)).toBe("Granted")
      expect(yield* gate.hydrateEnd(campaignId, "stale", 0)).toBe(true)
      expect(yield* reconciler.reconcile(campaignId)).toBe("Lost")
      expect((yield* gate.inspect(campaignId)).issued).toBe(4)
      // The ledger is restored to an earlier state.
      ledger.restore(campaignId, 2)
      expect(yield* reconciler.reconcile(campaignId)).toBe("Ghosts")
      expect(yield* gate.inspect(campaignId)).toMatchObject({ hydrated: true, issued: 2 })
      expect(yield* claim(campaignId, 4)).toMatchObject({ userId: 4n, id: 3 })
    }).pipe(Effect.provide(world())))
})

describe("Campaigns", () => {
  it.scopedLive("pages the codes in order of issue and refuses a token of another campaign", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const campaigns = yield* Campaigns
      const draft = {
        ...{ name: "pages", couponLimit: 100, startTime: 0, endTime: undefined, codes: defaultCodes },
        ...afterIssueDefaults
      }
      const { campaignId } = yield* campaigns.create({ draft, requestId: undefined, tooLate: undefined }, named("test"))
      const other = ledger.addCampaign()
      for (const user of [1, 2, 3, 4, 5]) yield* claim(campaignId, user)
      const pages: Array<ReadonlyArray<number>> = []
      let token: string | undefined = ""
      while (token !== undefined) {
        const page: Effect.Effect.Success<ReturnType<typeof campaigns.get>> = yield* campaigns.get(campaignId, 2, token)
        pages.push(page.coupons!.map(({ id }) => id))
        token = page.nextPageToken
      }
      expect(pages).toEqual([[1, 2], [3, 4], [5]])
      const second = (yield* campaigns.get(campaignId, 2, "")).nextPageToken!
      expect(yield* Effect.flip(campaigns.get(other.campaignId, 2, second))).toMatchObject({
        _tag: "InvalidArgument",
        field: "pageToken"
      })
      expect(yield* Effect.flip(campaigns.get(campaignId, -1, ""))).toMatchObject({
        _tag: "InvalidArgument",
        field: "pageSize"
      })
      expect(yield* Effect.flip(campaigns.get(999, 0, ""))).toMatchObject({ _tag: "RecordNotFound" })
      expect(yield* campaigns.getCoupon(campaignId, 3n)).toMatchObject({ id: 3 })
      expect(yield* Effect.flip(campaigns.getCoupon(campaignId, 42n))).toMatchObject({ _tag: "RecordNotFound" })
    }).pipe(Effect.provide(world())))
})
