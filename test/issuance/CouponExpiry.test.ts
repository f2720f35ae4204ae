import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { afterEach, beforeEach, vi } from "vitest"
import { HeldCoupons } from "../../src/agents/HeldCoupons.ts"
import { CouponRedemptions } from "../../src/campaigns/CouponRedemptions.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { named } from "../../src/domain/Actor.ts"
import { settingsOf } from "../../src/domain/Campaign.ts"
import { changeBy } from "../../src/domain/ChangeRecord.ts"
import type { Coupon } from "../../src/domain/Coupon.ts"
import { type CouponValidity, expiryOf, parseValidity } from "../../src/domain/validity/CouponValidity.ts"
import { rulesOfZone } from "../../src/domain/validity/ZoneRules.ts"
import * as CouponExpiry from "../../src/expiry/CouponExpiry.ts"
import * as MemoryGate from "../../src/memory/MemoryGate.ts"
import { CampaignStore } from "../../src/ports/CampaignStore.ts"
import * as EventStream from "../../src/ports/EventStream.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import { Redemptions } from "../../src/ports/Redemptions.ts"
import * as Issuance from "../../src/UseCases.ts"
import { inLongProfile } from "../support/profile.ts"
import { claim } from "./claim.ts"
import * as TestLedgerLayer from "./TestLedger.ts"
import { TestLedger } from "./TestLedger.ts"

const world = Issuance.layer.pipe(
  Layer.provideMerge(Layer.mergeAll(MemoryGate.layer, EventStream.layerOff, TestLedgerLayer.layer)),
  Layer.provideMerge(AppConfig.layerTest({ RELAY_INTERVAL: "10 seconds", AUDIT_INTERVAL: "60 seconds" })),
  Layer.orDie
)

const validity = (after: string, endOfDayZone = ""): CouponValidity =>
  Either.getOrThrow(parseValidity({ until: "", after, endOfDayZone }))!

const noDetails = { terminalId: "", orderRef: "", reason: "", occurredAt: undefined }

/** `OK`, or why not, of a redemption by this user. */
const redeem = (userId: number, requestId: string) =>
  Effect.flatMap(CouponRedemptions, (redemptions) =>
    Effect.match(redemptions.redeem(1, { userId: BigInt(userId) }, requestId, noDetails), {
      onFailure: ({ _tag }) => _tag,
      onSuccess: ({ coupon }) => coupon.state
    }))

// The ledger of the tests reads this clock; timers run as ever.
beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }))
afterEach(() => void vi.useRealTimers())

describe("a coupon's time", () => {
  const cases: ReadonlyArray<readonly [zone: string, after: string, issuedAt: string, expiresAt: string]> = [
    // The day after that is one of 23 hours, and one of 25.
    ["America/New_York", "P1D", "2026-03-07T12:00:00Z", "2026-03-09T04:00:00Z"],
    ["America/New_York", "P1D", "2026-10-31T12:00:00Z", "2026-11-02T05:00:00Z"],
    // Midnight is left out.
    ["Africa/Cairo", "P1D", "2026-04-22T12:00:00Z", "2026-04-23T22:00:00Z"],
    // By half an hour.
    ["Australia/Lord_Howe", "P1D", "2026-04-03T12:00:00Z", "2026-04-04T13:00:00Z"],
    // A leap day, and none.
    ["Asia/Seoul", "P1Y", "2028-02-29T03:00:00Z", "2029-02-28T15:00:00Z"],
    ["Asia/Seoul", "P1M", "2028-01-31T03:00:00Z", "2028-02-29T15:00:00Z"]
  ]
  it.scopedLive.each(cases)("in %s, for %s from %s on, is until %s", ([zone, after, issuedAt, expiresAt]) =>
    Effect.gen(function*() {
      vi.setSystemTime(Date.parse(issuedAt))
      const ledger = yield* TestLedger
      ledger.addCampaign({ validity: validity(after, zone) })
      for (const user of [1, 2]) yield* claim(1, user)
      const redemptions = yield* CouponRedemptions
      const shown = yield* redemptions.known(ledger.coupons(1)[0]!)
      expect([shown.state, shown.expiresAt]).toEqual(["ISSUED", Date.parse(expiresAt)])
      vi.setSystemTime(Date.parse(expiresAt) - 1)
      expect(yield* redeem(1, "in time")).toBe("REDEEMED")
      vi.setSystemTime(Date.parse(expiresAt))
      expect(yield* redeem(2, "late")).toBe("CouponExpired")
      expect((yield* redemptions.known(ledger.coupons(1)[1]!)).state).toBe("EXPIRED")
    }).pipe(Effect.provide(world)))
})

describe("the answer to a user who claims again", () => {
  /** The world, with the reads of validities counted. */
  const counting = (reads: Array<number>) =>
    Issuance.layer.pipe(
      Layer.provideMerge(Layer.mergeAll(MemoryGate.layer, EventStream.layerOff)),
      Layer.provideMerge(Layer.effect(
        Redemptions,
        Effect.map(Redemptions, (redemptions) =>
          Redemptions.of({
            ...redemptions,
            validities: (ids) => Effect.suspend(() => {
              reads.push(...ids)
              return redemptions.validities(ids)
            })
          }))
      )),
      Layer.provideMerge(TestLedgerLayer.layer),
      Layer.provideMerge(AppConfig.layerTest({ RELAY_INTERVAL: "10 seconds", AUDIT_INTERVAL: "60 seconds" })),
      Layer.orDie
    )

  it.scopedLive("says when the coupon expires, and nothing is read for that", () => {
    const reads: Array<number> = []
    return Effect.gen(function*() {
      const issuedAt = Date.parse("2026-11-30T12:00:00Z")
      vi.setSystemTime(issuedAt)
      const ledger = yield* TestLedger
      ledger.addCampaign({ validity: validity("P30D") })
      for (const user of [1, 2, 3]) yield* claim(1, user)
      expect(reads).toEqual([1])
      const again = Effect.forEach([1, 2, 3], (user) => Effect.flip(claim(1, user)))
      const held = [1, 2, 3].map((id) => ({
        _tag: "CouponAlreadyClaimed", coupon: { id, expiresAt: issuedAt + 30 * 86_400_000 }
      }))
      expect(yield* again).toMatchObject(held)
      // As it is at an instance that sees these coupons for the first time, and has issued later ones.
      const { clear } = yield* HeldCoupons
      clear()
      expect(yield* again).toMatchObject(held)
      expect(reads).toEqual([1])
    }).pipe(Effect.provide(counting(reads)))
  })

  it.scopedLive("says nothing of it where that would take a read", () => {
    const reads: Array<number> = []
    return Effect.gen(function*() {
      const ledger = yield* TestLedger
      ledger.addCampaign({ validity: validity("P30D") })
      yield* claim(1, 1)
      const expiry = yield* CouponExpiry.make
      const [coupon] = ledger.coupons(1)
      expect(expiry.ifRemembered(coupon!)).toBe(coupon)
      expect(reads).toEqual([1])
    }).pipe(Effect.provide(counting(reads)))
  })
})

const policies: ReadonlyArray<CouponValidity | undefined> = [
  undefined,
  validity("PT1H"),
  validity("P30D"),
  validity("P1M", "America/New_York"),
  { _tag: "Until", until: Date.UTC(2030, 0) }
]

type Step =
  /** `dated`: the instance that committed them, and says when they expire; `undefined`: one that is not looked at. */
  | { readonly _tag: "Claim"; readonly count: number; readonly dated: number | undefined }
  | { readonly _tag: "Set"; readonly policy: number }
  | { readonly _tag: "Rename" }
  | { readonly _tag: "Wait"; readonly millis: number }
  /** An instance shows all coupons that there are. `slow`: its read of the ledger ends by the next `Arrive`. */
  | { readonly _tag: "Look"; readonly instance: number; readonly slow: boolean }
  | { readonly _tag: "Arrive" }

const steps: FastCheck.Arbitrary<ReadonlyArray<Step>> = FastCheck.array(
  FastCheck.oneof(
    FastCheck.record({
      _tag: FastCheck.constant("Claim" as const),
      count: FastCheck.integer({ min: 1, max: 3 }),
      dated: FastCheck.constantFrom(undefined, 0, 1)
    }),
    FastCheck.record({ _tag: FastCheck.constant("Set" as const), policy: FastCheck.nat(policies.length - 1) }),
    FastCheck.constant<Step>({ _tag: "Rename" }),
    FastCheck.record({ _tag: FastCheck.constant("Wait" as const), millis: FastCheck.nat(40 * 86_400_000) }),
    FastCheck.record({
      _tag: FastCheck.constant("Look" as const), instance: FastCheck.nat(1), slow: FastCheck.boolean()
    }),
    FastCheck.constant<Step>({ _tag: "Arrive" })
  ),
  { minLength: 5, maxLength: 40 }
)

/** Runs the steps; every time that an instance shows has to be the one that was right when the coupon was issued. */
const run = (plan: ReadonlyArray<Step>) =>
  Effect.gen(function*() {
    const store = yield* CampaignStore
    const ledger = yield* Ledger
    const control = yield* TestLedger
    const redemptions = yield* Redemptions
    const { campaignId } = control.addCampaign({ couponLimit: 1_000 })
    let latch = yield* Effect.makeLatch(true)
    const slowly = Redemptions.of({
      ...redemptions,
      validities: (ids) => Effect.suspend(() => Effect.zipLeft(redemptions.validities(ids), latch.await))
    })
    const instance = Effect.provideService(CouponExpiry.make, Redemptions, slowly)
    const instances = yield* Effect.all([instance, instance])
    const promised: Array<number | undefined> = []
    let policy: CouponValidity | undefined
    let users = 0
    const looks: Array<Fiber.RuntimeFiber<void, unknown>> = []

    const look = (instance: number, coupons: ReadonlyArray<Coupon>) =>
      Effect.map(instances[instance]!.of(coupons), (times) => {
        expect(times).toEqual(coupons.map(({ id }) => promised[id - 1]))
      })
    const change = (settings: { readonly validity?: CouponValidity | undefined; readonly name?: string }) =>
      Effect.gen(function*() {
        const from = (yield* store.find(campaignId))!
        const to = { ...settingsOf(from), ...settings }
        yield* store.change({ ...changeBy(named("test")), action: "campaign.update", from, to })
      })

    for (const step of plan) {
      switch (step._tag) {
        case "Claim": {
          const claims = Array.from({ length: step.count }, () => ({ userId: BigInt(++users), code: `code ${users}` }))
          const verdicts = yield* ledger.issue({ batchId: String(users).padStart(32, "0"), campaignId, claims })
          const zone = policy?._tag === "After" ? policy.zone : undefined
          const rules = zone === undefined ? undefined : rulesOfZone(zone.name)
          for (const { issuedAt } of control.coupons(campaignId).slice(promised.length)) {
            promised.push(policy === undefined ? undefined : expiryOf(policy, rules, issuedAt))
          }
          const issued = verdicts.findLast((verdict) => verdict._tag === "Issued")
          if (issued?.validity !== undefined && step.dated !== undefined) {
            const { coupon, validity } = issued
            looks.push(yield* Effect.fork(Effect.map(instances[step.dated]!.ofIssued(coupon, validity), (time) => {
              expect(time).toBe(promised[coupon.id - 1])
            })))
          }
          for (const { ifRemembered } of instances) {
            for (const coupon of control.coupons(campaignId)) {
              expect([undefined, promised[coupon.id - 1]]).toContain(ifRemembered(coupon).expiresAt)
            }
          }
          break
        }
        case "Set":
          policy = policies[step.policy]
          yield* change({ validity: policy })
          break
        case "Rename":
          yield* change({ name: `name ${Math.random()}` })
          break
        case "Wait":
          vi.setSystemTime(Date.now() + step.millis)
          break
        case "Look": {
          if (step.slow) yield* latch.close
          looks.push(yield* Effect.fork(look(step.instance, [...control.coupons(campaignId)])))
          yield* Effect.yieldNow()
          break
        }
        case "Arrive":
          yield* latch.open
          latch = yield* Effect.makeLatch(true)
          yield* Effect.yieldNow()
          break
      }
    }
    yield* latch.open
    for (const fiber of looks) yield* Fiber.join(fiber)
    for (const instance of [0, 1]) yield* look(instance, control.coupons(campaignId))
  }).pipe(Effect.provide(TestLedgerLayer.layer), Effect.scoped)

describe("an expiry that was promised", () => {
  it("never moves, in whatever order claims, changes and looks come", { timeout: 60_000 }, () =>
    FastCheck.assert(
      FastCheck.asyncProperty(steps, (plan) => {
        vi.setSystemTime(Date.UTC(2026, 9, 20))
        return Effect.runPromise(run(plan))
      }),
      { numRuns: inLongProfile(400, 150) }
    ))
})
