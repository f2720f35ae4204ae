import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { CouponRedemptions } from "../../src/campaigns/CouponRedemptions.ts"
import { waves } from "../../src/claim/RedemptionCommit.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import type { RedemptionDetails } from "../../src/domain/redemption/Redemption.ts"
import * as MemoryGate from "../../src/memory/MemoryGate.ts"
import * as EventStream from "../../src/ports/EventStream.ts"
import type { RedemptionItem } from "../../src/ports/Redemptions.ts"
import * as Issuance from "../../src/UseCases.ts"
import { claim } from "./claim.ts"
import type { Fate } from "./TestLedger.ts"
import * as TestLedgerLayer from "./TestLedger.ts"
import { TestLedger } from "./TestLedger.ts"

const world = Issuance.layer.pipe(
  Layer.provideMerge(Layer.mergeAll(MemoryGate.layer, EventStream.layerOff, TestLedgerLayer.layer)),
  Layer.provideMerge(AppConfig.layerTest({ RELAY_INTERVAL: "10 seconds", AUDIT_INTERVAL: "60 seconds" })),
  Layer.orDie
)

const noDetails: RedemptionDetails = { terminalId: "", orderRef: "", reason: "", occurredAt: undefined }

/** `OK at` its sequence, or the failure. */
const redeem = (userId: number, requestId: string) =>
  Effect.flatMap(CouponRedemptions, (redemptions) =>
    Effect.match(redemptions.redeem(1, { userId: BigInt(userId) }, requestId, noDetails), {
      onFailure: ({ _tag }) => _tag,
      onSuccess: ({ redemption }) => `OK at ${redemption.sequence}`
    }))

/** A campaign whose users 1 to `count` hold coupons. */
const issued = (count: number) =>
  Effect.gen(function*() {
    const ledger = yield* TestLedger
    ledger.addCampaign()
    for (let user = 1; user <= count; user++) yield* claim(1, user)
    return ledger
  })

const item = (couponId: number, requestId: string): RedemptionItem =>
  ({ action: "REDEEM", couponId, expiresAt: undefined, requestId, details: noDetails, slotReturned: false })

describe("the batches of redemptions", () => {
  it("have each coupon and each request id once, and keep the order of both", () => {
    const items = [item(1, "a"), item(1, "b"), item(2, "a"), item(3, "c"), item(1, "c"), item(2, "d")]
    expect(waves(items)).toEqual([[0, 3], [1, 2], [4, 5]])
    expect(waves([])).toEqual([])
  })
})

describe("redeeming", () => {
  it.live("shares a commit among the requests of a moment", () =>
    Effect.gen(function*() {
      const ledger = yield* issued(21)
      const first = yield* Deferred.make<Fate>()
      const begun = yield* Deferred.make<void>()
      ledger.onRedeem = () => Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(first))
      const one = yield* Effect.fork(redeem(1, "1"))
      yield* Deferred.await(begun)
      const users = Array.from({ length: 20 }, (_, index) => index + 2)
      const others = yield* Effect.fork(
        Effect.forEach(users, (user) => redeem(user, String(user)), { concurrency: "unbounded" })
      )
      // Their coupons are looked up first.
      yield* Effect.sleep("50 millis")
      yield* Deferred.succeed(first, "commit")
      expect(yield* Fiber.join(one)).toBe("OK at 1")
      expect((yield* Fiber.join(others)).toSorted()).toEqual(users.map((user) => `OK at ${user}`).toSorted())
      expect(ledger.redemptionBatches.map(({ items }) => items.length)).toEqual([1, 20])
    }).pipe(Effect.provide(world)))

  it.live("lets one win of those that ask at the same moment, and answers copies alike", () =>
    Effect.gen(function*() {
      yield* issued(1)
      const requests = ["a", "b", "a", "c", "b", "a"]
      const answers = yield* Effect.forEach(requests, (id) => redeem(1, id), { concurrency: "unbounded" })
      expect(answers).toEqual(
        requests.map((id) => answers[requests.indexOf(id)])
      )
      expect(new Set(answers)).toEqual(new Set(["OK at 1", "CouponRedeemed"]))
      expect(new Set(requests.filter((_, index) => answers[index] === "OK at 1")).size).toBe(1)
    }).pipe(Effect.provide(world)))

  it.live("resolves a commit in doubt before it answers", () =>
    Effect.gen(function*() {
      const ledger = yield* issued(2)
      ledger.onRedeem = () => Effect.succeed("doubtCommitted")
      expect(yield* redeem(1, "a")).toBe("OK at 1")
      ledger.onRedeem = () => Effect.succeed("doubtLost")
      expect(yield* redeem(2, "b")).toBe("Unavailable")
      ledger.onRedeem = () => Effect.succeed("unavailable")
      expect(yield* redeem(2, "b")).toBe("Unavailable")
      ledger.onRedeem = () => Effect.succeed("commit")
      expect(yield* redeem(1, "a")).toBe("OK at 1")
      expect(yield* redeem(2, "b")).toBe("OK at 2")
    }).pipe(Effect.provide(world)))

  it.live("finds no coupon where there is none, and asks no commit for it", () =>
    Effect.gen(function*() {
      const ledger = yield* issued(1)
      expect(yield* redeem(7, "a")).toBe("RecordNotFound")
      expect(ledger.redemptionBatches).toEqual([])
      // The id is free still: nothing was stored under it.
      expect(yield* redeem(1, "a")).toBe("OK at 1")
    }).pipe(Effect.provide(world)))
})
