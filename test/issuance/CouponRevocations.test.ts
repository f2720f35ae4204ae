import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { GateRebuilder } from "../../src/agents/GateRebuilder.ts"
import { CouponRedemptions } from "../../src/campaigns/CouponRedemptions.ts"
import { CouponRevocations } from "../../src/campaigns/CouponRevocations.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { named } from "../../src/domain/Actor.ts"
import type { Campaign, CampaignTerms } from "../../src/domain/Campaign.ts"
import * as MemoryGate from "../../src/memory/MemoryGate.ts"
import { CampaignStore } from "../../src/ports/CampaignStore.ts"
import * as EventStream from "../../src/ports/EventStream.ts"
import { Gate, GateUnavailable } from "../../src/ports/Gate.ts"
import * as Issuance from "../../src/UseCases.ts"
import { claim as claimCoupon } from "./claim.ts"
import * as TestLedgerLayer from "./TestLedger.ts"
import { TestLedger } from "./TestLedger.ts"

/** What the gate received as terms, and whether it can be reached. */
class Line extends Context.Tag("test/Line")<Line, { away: boolean; readonly received: Array<CampaignTerms> }>() {}

const gate = Layer.effectContext(Effect.gen(function*() {
  const inner = yield* Gate
  const line: Line["Type"] = { away: false, received: [] }
  const configure: Gate["Type"]["configure"] = (terms) =>
    Effect.suspend(() => {
      if (line.away) return Effect.fail(new GateUnavailable({ cause: "test" }))
      line.received.push(terms)
      return inner.configure(terms)
    })
  return Context.make(Gate, { ...inner, configure }).pipe(Context.add(Line, line))
})).pipe(Layer.provide(MemoryGate.layer))

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

const claim = (userId: number) =>
  Effect.match(claimCoupon(1, userId), { onFailure: ({ _tag }) => _tag, onSuccess: () => "OK" })

/** Campaign 1, sold out to users 1 to `count`, with a gate that knows it. */
const soldOut = (count: number, terms: Partial<Campaign> = {}) =>
  Effect.gen(function*() {
    const ledger = yield* TestLedger
    ledger.addCampaign({ couponLimit: count, ...terms })
    yield* Effect.flatMap(GateRebuilder, (rebuilder) => rebuilder.runOnce(1))
    for (let user = 1; user <= count; user++) expect(yield* claim(user)).toBe("OK")
    expect(yield* claim(count + 1)).toBe("CouponSoldOut")
    const line = yield* Line
    line.received.length = 0
    return { ledger, line }
  })

/** `OK at` its sequence, or the failure. */
const revoke = (userId: number, requestId: string, returnSlot = true) =>
  Effect.flatMap(CouponRevocations, (revocations) =>
    Effect.match(
      revocations.revoke({
        campaignId: 1, key: { userId: BigInt(userId) }, requestId, reason: "", returnSlot, actor: named("test")
      }),
      { onFailure: ({ _tag }) => _tag, onSuccess: ({ redemption }) => `OK at ${redemption.sequence}` }
    ))

const campaign = Effect.flatMap(CampaignStore, (store) => store.find(1))

describe("revoking", () => {
  it.scopedLive("announces the raise before it returns a slot, and has configured the gate when it answers", () =>
    Effect.gen(function*() {
      const { ledger, line } = yield* soldOut(2)
      ledger.onRedeem = () =>
        Effect.sync(() => {
          expect(line.received.map(({ couponLimit, version }) => [couponLimit, version])).toEqual([[3, 1]])
          return "commit"
        })
      expect(yield* revoke(1, "a")).toBe("OK at 1")
      expect(line.received.at(-1)).toMatchObject({ couponLimit: 3, version: 2 })
      expect([yield* claim(1), yield* claim(3), yield* claim(4)])
        .toEqual(["CouponAlreadyClaimed", "OK", "CouponSoldOut"])
    }).pipe(Effect.provide(world)))

  it.scopedLive("returns nothing while the gate is away, and keeps slots without it", () =>
    Effect.gen(function*() {
      const { line } = yield* soldOut(2)
      line.away = true
      expect(yield* revoke(1, "a")).toBe("Unavailable")
      expect(yield* campaign).toMatchObject({ couponLimit: 2, returned: 0, version: 1 })
      expect(yield* revoke(1, "b", false)).toBe("OK at 1")
      line.away = false
      // What was not stored may be tried again; by now another answer applies.
      expect(yield* revoke(1, "a")).toBe("CouponRevoked")
    }).pipe(Effect.provide(world)))

  it.scopedLive("announces nothing for a coupon that cannot be revoked", () =>
    Effect.gen(function*() {
      const { line } = yield* soldOut(2)
      const redemptions = yield* CouponRedemptions
      const details = { terminalId: "", orderRef: "", reason: "", occurredAt: undefined }
      yield* redemptions.redeem(1, { userId: 1n }, "till", details)
      expect(yield* revoke(1, "a")).toBe("CouponRedeemed")
      expect(yield* campaign).toMatchObject({ announcedLimit: 2, couponLimit: 2, version: 1 })
      expect(line.received).toEqual([])
      yield* redemptions.undo(1, { userId: 1n }, "undo", details)
      expect([yield* revoke(1, "a"), yield* revoke(1, "b")]).toEqual(["CouponRedeemed", "OK at 3"])
    }).pipe(Effect.provide(world)))

  it.scopedLive("decides again if the campaign was changed meanwhile", () =>
    Effect.gen(function*() {
      const { ledger } = yield* soldOut(2)
      let changes = 0
      ledger.onRedeem = () =>
        Effect.sync(() => {
          if (changes++ < 2) ledger.change(1, { name: `renamed ${changes}` })
          return "commit"
        })
      expect(yield* revoke(2, "a")).toBe("OK at 1")
      expect(yield* campaign).toMatchObject({ name: "renamed 2", couponLimit: 3, returned: 1, version: 4 })
    }).pipe(Effect.provide(world)))

  it.scopedLive("resolves a commit in doubt before it answers", () =>
    Effect.gen(function*() {
      const { ledger } = yield* soldOut(3)
      ledger.onRedeem = () => Effect.succeed("doubtCommitted")
      expect(yield* revoke(1, "a")).toBe("OK at 1")
      expect(yield* revoke(2, "b", false)).toBe("OK at 2")
      ledger.onRedeem = () => Effect.succeed("doubtLost")
      expect(yield* revoke(3, "c")).toBe("Unavailable")
      ledger.onRedeem = () => Effect.succeed("commit")
      expect([yield* revoke(1, "a"), yield* revoke(3, "c")]).toEqual(["OK at 1", "OK at 3"])
      expect(yield* campaign).toMatchObject({ couponLimit: 5, returned: 2 })
    }).pipe(Effect.provide(world)))

  it.scopedLive("returns no slot that no other user could have, and still answers a repeated request", () =>
    Effect.gen(function*() {
      const { ledger } = yield* soldOut(2)
      expect(yield* revoke(1, "a")).toBe("OK at 1")
      ledger.change(1, { status: "ENDED" })
      expect([yield* revoke(2, "b"), yield* revoke(1, "a")]).toEqual(["CampaignEnded", "OK at 1"])
      expect(yield* revoke(2, "b", false)).toBe("OK at 2")
      expect(yield* revoke(9, "c")).toBe("RecordNotFound")
    }).pipe(Effect.provide(world)))

  it.scopedLive("raises no limit above the greatest", () =>
    Effect.gen(function*() {
      const ledger = yield* TestLedger
      ledger.addCampaign({ couponLimit: 10_000_000 })
      expect(yield* claim(1)).toBe("OK")
      expect([yield* revoke(1, "a"), yield* revoke(1, "b", false)]).toEqual(["InvalidArgument", "OK at 1"])
    }).pipe(Effect.provide(world)))
})
