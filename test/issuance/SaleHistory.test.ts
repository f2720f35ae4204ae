import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as SaleCounts from "../../src/agents/sale/SaleCounts.ts"
import * as SaleHistory from "../../src/agents/sale/SaleHistory.ts"
import {
  CampaignPaused,
  CodesExhausted,
  CouponSoldOut,
  OutcomeUnknown,
  Overloaded,
  RecordNotFound
} from "../../src/domain/Failure.ts"
import {
  added,
  MAX_SALE_SECONDS,
  type SaleCount,
  saleCounts,
  type SaleSecond
} from "../../src/domain/sale/SaleSecond.ts"
import * as RequestMetrics from "../../src/metrics/RequestMetrics.ts"

const issued = Exit.succeed("a coupon")
const soldOut = Exit.fail(new CouponSoldOut())

const named = ([, ...counts]: SaleSecond): Partial<Record<SaleCount, number>> =>
  Object.fromEntries(saleCounts.flatMap((name, k) => counts[k] === 0 ? [] : [[name, counts[k]]]))

/** A history whose clock shows `clock.second`. */
const world = Effect.gen(function*() {
  const counts = SaleCounts.make()
  const clock = { second: 1_000 }
  const history = yield* Effect.provideService(
    SaleHistory.make(() => clock.second * 1_000 + 1),
    SaleCounts.SaleCounts,
    counts
  )
  const at = (second: number) =>
    Effect.suspend(() => {
      clock.second = second
      return history.runOnce
    })
  return { counts, history, at }
})

describe("the counts of campaigns", () => {
  it("have each claim in its kind, and none of a campaign that is not there", () => {
    const counts = SaleCounts.make()
    const failures = [
      new CouponSoldOut(), new CodesExhausted(), new CampaignPaused(), new Overloaded({ retryAfterSeconds: 1 }),
      new OutcomeUnknown()
    ]
    for (const failure of failures) counts.ended(1, Exit.fail(failure))
    counts.ended(1, issued)
    counts.ended(1, Exit.die("a bug"))
    counts.ended(2, Exit.fail(new RecordNotFound()))
    expect(counts.all().map(({ campaignId }) => campaignId)).toEqual([1])
    expect(named([0, ...counts.all()[0]!.values])).toEqual({ issued: 1, soldOut: 2, closed: 1, shed: 1, failed: 2 })
  })

  it("are bounded, and claims of invented campaigns displace none that is real", () => {
    const counts = SaleCounts.make()
    const ids = () => counts.all().map(({ campaignId }) => campaignId)
    for (let id = 1; id < SaleCounts.MAX_COUNTED; id++) counts.ended(id, issued)
    for (let id = 5_000; id < 5_500; id++) counts.ended(id, Exit.fail(new Overloaded({ retryAfterSeconds: 1 })))
    expect(ids()).toHaveLength(SaleCounts.MAX_COUNTED)
    expect(ids().filter((id) => id < 5_000)).toHaveLength(SaleCounts.MAX_COUNTED - 1)
    // One of which this instance only delivers coupons is real as well.
    counts.add(8_000, "delivered", 1)
    expect(ids().filter((id) => id < 5_000 || id === 8_000)).toHaveLength(SaleCounts.MAX_COUNTED)
    // Of the real ones, that which was claimed last the longest ago goes first.
    counts.all().forEach((one, k) => one.changedAt = one.campaignId === 7 ? 0 : 1 + k)
    counts.ended(9_001, issued)
    expect(ids()).not.toContain(7)
    expect(ids()).toHaveLength(SaleCounts.MAX_COUNTED)
    // What comes anew begins at 0.
    counts.ended(7, soldOut)
    expect(named([0, ...counts.all().find(({ campaignId }) => campaignId === 7)!.values])).toEqual({ soldOut: 1 })
  })
})

describe("the history of a sale", () => {
  it.effect("has what was counted in each second, and no second without a claim", () =>
    Effect.gen(function*() {
      const { at, counts, history } = yield* world
      counts.ended(1, issued)
      yield* at(1_000)
      yield* at(1_001)
      counts.ended(1, issued)
      counts.ended(1, soldOut)
      counts.add(1, "delivered", 2)
      counts.ended(2, soldOut)
      yield* at(1_002)
      expect(history.since(1, 0).map((one) => [one[0], named(one)])).toEqual([
        [1_000, { issued: 1 }],
        [1_002, { issued: 1, soldOut: 1, delivered: 2 }]
      ])
      expect(history.since(1, 1_001)).toHaveLength(1)
      expect(history.since(2, 0).map(named)).toEqual([{ soldOut: 1 }])
      expect(history.since(3, 0)).toEqual([])
    }))

  it.effect("spreads a late look over the seconds that it missed, and loses nothing", () =>
    Effect.gen(function*() {
      const { at, counts, history } = yield* world
      yield* at(1_000)
      for (let k = 0; k < 10; k++) counts.ended(1, issued)
      yield* at(1_003)
      expect(history.since(1, 0).map((one) => [one[0], one[1]])).toEqual([[1_001, 3], [1_002, 3], [1_003, 4]])
      // Twice in a second; and after a clock that was set back, or an instance that stood still.
      counts.ended(1, issued)
      yield* at(1_003)
      counts.ended(1, issued)
      yield* at(900)
      counts.ended(1, issued)
      yield* at(5_000)
      expect(history.since(1, 0).map((one) => [one[0], one[1]])).toEqual(
        [[1_001, 3], [1_002, 3], [1_003, 6], [5_000, 1]]
      )
    }))

  it.effect("keeps the latest seconds", () =>
    Effect.gen(function*() {
      const { at, counts, history } = yield* world
      for (let second = 1; second <= MAX_SALE_SECONDS + 50; second++) {
        counts.ended(1, issued)
        yield* at(second)
      }
      const seconds = history.since(1, 0)
      expect(seconds.map(([second]) => second)).toEqual(Array.from({ length: MAX_SALE_SECONDS }, (_, k) => 51 + k))
      expect(seconds.reduce(added)[1]).toBe(MAX_SALE_SECONDS)
    }))

  it.effect("has what was shed before it was read, while there are other claims", () =>
    Effect.gen(function*() {
      const { at, counts, history } = yield* world
      yield* at(1_000)
      counts.ended(1, issued)
      for (let k = 0; k < 5; k++) RequestMetrics.rpc("IssueCoupon").rejected("Overloaded")
      yield* at(1_001)
      expect(named(history.since(1, 0)[0]!)).toEqual({ issued: 1, unread: 5 })
    }))
})
