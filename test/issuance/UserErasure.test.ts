import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as ErasureWatch from "../../src/agents/ErasureWatch.ts"
import * as GateRebuilder from "../../src/agents/GateRebuilder.ts"
import * as HeldCoupons from "../../src/agents/HeldCoupons.ts"
import { OutboxRelay } from "../../src/agents/outbox/OutboxRelay.ts"
import { UserErasure } from "../../src/campaigns/erasure/UserErasure.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { named } from "../../src/domain/Actor.ts"
import type { CampaignTerms } from "../../src/domain/Campaign.ts"
import * as MemoryGate from "../../src/memory/MemoryGate.ts"
import * as EventStream from "../../src/ports/EventStream.ts"
import { Gate, GateUnavailable } from "../../src/ports/Gate.ts"
import { Erasures } from "../../src/ports/operation/Erasures.ts"
import * as Issuance from "../../src/UseCases.ts"
import { claim as claimCoupon } from "./claim.ts"
import * as TestLedgerLayer from "./TestLedger.ts"
import { TestLedger } from "./TestLedger.ts"

/** Whether erasures reach the gate, and what happens right before one does. */
class Line extends Context.Tag("test/Line")<Line, {
  away: boolean
  before: Effect.Effect<unknown, GateUnavailable>
}>() {}

const gate = Layer.effectContext(Effect.gen(function*() {
  const inner = yield* Gate
  const line: Line["Type"] = { away: false, before: Effect.void }
  const erase: Gate["Type"]["erase"] = (campaignId, coupons) =>
    Effect.suspend(() =>
      line.away
        ? Effect.fail(new GateUnavailable({ cause: "test" }))
        : Effect.zipRight(line.before, inner.erase(campaignId, coupons))
    )
  return Context.make(Gate, { ...inner, erase }).pipe(Context.add(Line, line))
})).pipe(Layer.provide(MemoryGate.layer))

const settings = {
  RELAY_INTERVAL: "10 seconds",
  REAPER_INTERVAL: "60 seconds",
  AUDIT_INTERVAL: "60 seconds",
  // Coupons are old enough at once.
  REQUEST_TIMEOUT: "100 millis"
}

const stores = Layer.mergeAll(gate, EventStream.layerOff, TestLedgerLayer.layer)

const world = Issuance.layer.pipe(
  Layer.provideMerge(stores),
  Layer.provideMerge(AppConfig.layerTest(settings)),
  Layer.orDie
)

const claim = (userId: number, campaignId = 1) =>
  Effect.match(claimCoupon(campaignId, userId), { onFailure: ({ _tag }) => _tag, onSuccess: () => "OK" })

/** Campaigns of three coupons, in each of which user 1 has the first and user 2 the second. */
const issued = (campaigns: number) =>
  Effect.gen(function*() {
    const ledger = yield* TestLedger
    for (let id = 1; id <= campaigns; id++) {
      ledger.addCampaign({ couponLimit: 3 })
      yield* Effect.flatMap(GateRebuilder.GateRebuilder, (rebuilder) => rebuilder.runOnce(id))
      expect([yield* claim(1, id), yield* claim(2, id)]).toEqual(["OK", "OK"])
    }
    yield* Effect.flatMap(OutboxRelay, (relay) => relay.settle)
    // Held here as well.
    expect(yield* claim(1)).toBe("CouponAlreadyClaimed")
    yield* Effect.sleep("110 millis")
    return ledger
  })

const eraseOnce = (userId: number, afterCampaign?: number) =>
  Effect.flatMap(UserErasure, (erasure) =>
    erasure.erase({ userId: BigInt(userId), afterCampaign, reason: "", actor: named("officer") }))

/** How many coupons were erased, or the failure. */
const erase = (userId: number) =>
  Effect.match(eraseOnce(userId), { onFailure: ({ _tag }) => _tag, onSuccess: ({ coupons }) => coupons })

const look = Effect.flatMap(ErasureWatch.ErasureWatch, ({ runOnce }) => runOnce)

const recent = Effect.flatMap(Erasures, (erasures) => erasures.recent(undefined, 1_000))

const expectFollowed = Effect.gen(function*() {
  expect((yield* recent).every(({ userId }) => userId === undefined)).toBe(true)
  const ledger = yield* TestLedger
  const inGate = yield* Effect.flatMap(Gate, (gate) => gate.absent(1, ledger.coupons(1)))
  expect(inGate.coupons).toEqual([])
  expect(yield* Effect.flatMap(Gate, (gate) => gate.inspect(1)))
    .toMatchObject({ hydrated: true, issued: ledger.coupons(1).length })
})

const terms: CampaignTerms = {
  campaignId: 1, couponLimit: 3, startTime: 0, endTime: undefined, status: "ACTIVE", version: 1
}

describe("erasing a user", () => {
  it.scopedLive("has the ledger, the gate and this instance forget, and lets the user claim again", () =>
    Effect.gen(function*() {
      const ledger = yield* issued(2)
      expect(yield* erase(1)).toBe(2)
      expect([1, 2].map((id) => ledger.coupons(id).map(({ userId }) => userId))).toEqual([[-1n, 2n], [-1n, 2n]])
      yield* expectFollowed
      expect(yield* erase(1)).toBe(0)
      expect([yield* claim(1), yield* claim(1), yield* claim(2), yield* claim(3)])
        .toEqual(["OK", "CouponAlreadyClaimed", "CouponAlreadyClaimed", "CouponSoldOut"])
    }).pipe(Effect.provide(world)))

  it.scopedLive("is taken up by any instance if the one that erased dies before the gate has it", () =>
    Effect.gen(function*() {
      const ledger = yield* issued(1)
      const line = yield* Line
      line.away = true
      expect(yield* erase(1)).toBe(1)
      // Here it is forgotten all the same; and the gate's word for it is not the ledger's.
      expect(yield* recent).toEqual([{ campaignId: 1, couponId: 1, userId: 1n }])
      expect(yield* claim(1)).toBe("OK")
      line.away = false
      yield* look
      yield* Effect.flatMap(OutboxRelay, (relay) => relay.settle)
      yield* expectFollowed
      expect(ledger.coupons(1).map(({ userId }) => userId)).toEqual([-1n, 2n, 1n])
      expect(yield* claim(1)).toBe("CouponAlreadyClaimed")
      expect(yield* claim(3)).toBe("CouponSoldOut")
    }).pipe(Effect.provide(world)))

  it.scopedLive("keeps a user in the gate who claims again while it follows", () =>
    Effect.gen(function*() {
      const ledger = yield* issued(1)
      const line = yield* Line
      line.before = Effect.suspend(() => {
        line.before = Effect.void
        return Effect.zipRight(
          Effect.sync(() => void ledger.coupons(1).push({ ...ledger.coupons(1)[0]!, id: 3, userId: 1n, code: "C" })),
          Effect.flatMap(Gate, (gate) => gate.confirm(1, ledger.coupons(1).slice(2)))
        ).pipe(Effect.provide(held))
      })
      const held = Context.make(Gate, yield* Gate)
      expect(yield* erase(1)).toBe(1)
      yield* expectFollowed
    }).pipe(Effect.provide(world)))

  it.scopedLive("has a gate rebuilt that lacks the coupon", () =>
    Effect.gen(function*() {
      yield* issued(1)
      const gate = yield* Gate
      // Its latest writes are lost.
      yield* gate.forget(1)
      yield* gate.hydrateBegin(terms, "empty", 1_000)
      yield* gate.hydrateEnd(1, "empty", 0)
      expect(yield* erase(1)).toBe(1)
      yield* look
      yield* expectFollowed
    }).pipe(Effect.provide(world)))

  it.scopedLive("finds out what became of a commit in doubt, and goes on after a failure", () =>
    Effect.gen(function*() {
      const ledger = yield* issued(3)
      const fates = ["doubtCommitted", "doubtLost", "commit", "unavailable"] as const
      let sent = 0
      ledger.onErase = () => Effect.succeed(fates[sent++] ?? "commit")
      expect(yield* erase(1)).toBe("Unavailable")
      const rest = yield* erase(1)
      expect(rest).toBeLessThanOrEqual(2)
      expect([1, 2, 3].map((id) => ledger.coupons(id)[0]!.userId)).toEqual([-1n, -1n, -1n])
      yield* expectFollowed
      // Whatever was sent how often, each act is in the audit log once.
      expect(yield* erase(1)).toBe(0)
    }).pipe(Effect.provide(world)))

  it.scopedLive("waits for the relay, and for claims that may still be without an answer", () =>
    Effect.gen(function*() {
      const ledger = yield* issued(1)
      expect(yield* claim(3)).toBe("OK")
      yield* Effect.sleep("110 millis")
      expect(ledger.coupons(1)).toHaveLength(3)
      expect(yield* erase(3)).toBe(1)
      yield* expectFollowed
      ledger.onErase = (erasure) => {
        expect(erasure.settledMillis).toBe(100)
        return Effect.succeed("commit")
      }
      expect(yield* erase(2)).toBe(1)
    }).pipe(Effect.provide(world)))
})

describe("what an instance remembers", () => {
  const watch = ErasureWatch.layer.pipe(
    Layer.provideMerge(GateRebuilder.layer),
    Layer.provideMerge(Layer.merge(stores, HeldCoupons.layer)),
    Layer.provideMerge(AppConfig.layerTest(settings)),
    Layer.orDie
  )
  const coupon = (id: number) =>
    ({ campaignId: 1, id, userId: BigInt(id), code: `${id}`.padStart(10, "0"), issuedAt: 0 })

  it.scoped("is dropped again as long as a claim may remember it late, and altogether after a gap", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      const held = yield* HeldCoupons.HeldCoupons
      ledger.addCampaign()
      ledger.coupons(1).push(coupon(1), coupon(2))
      for (const id of [1, 2]) held.remember(coupon(id))
      const erased = yield* Effect.flatMap(Erasures, (erasures) =>
        erasures.erase({
          changeId: "0".repeat(32), actor: named("officer"), campaignId: 1, couponId: 1, userId: 1n, reason: "",
          settledMillis: 0
        }))
      expect(erased).toBe("Erased")
      yield* look
      expect([held.find(1, 1n), held.find(1, 2n)]).toEqual([undefined, coupon(2)])
      held.remember(coupon(1))
      yield* TestClock.adjust("29 seconds")
      yield* look
      expect([held.find(1, 1n), held.find(1, 2n)]).toEqual([undefined, coupon(2)])
      yield* TestClock.adjust("31 seconds")
      yield* look
      expect(held.find(1, 2n)).toBe(undefined)
    }).pipe(Effect.provide(watch)))
})
