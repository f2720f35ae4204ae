import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as CouponExports from "../../src/campaigns/CouponExports.ts"
import type { Coupon } from "../../src/domain/Coupon.ts"
import * as RequestMetrics from "../../src/metrics/RequestMetrics.ts"
import { LedgerUnavailable } from "../../src/ports/Ledger.ts"

const { EXPORT_PAGE, LONGEST_PAUSE_MILLIS, MOST_EXPORTS } = CouponExports

const couponsAfter = (campaignId: number, afterId: number, limit: number): ReadonlyArray<Coupon> =>
  Array.from({ length: limit }, (_, k) => ({
    campaignId,
    id: afterId + k + 1,
    userId: BigInt(k + 1),
    code: "code",
    issuedAt: 0
  }))

describe("CouponExports", () => {
  it.live("reads pages of all exports one at a time, and each export at most one ahead", () =>
    Effect.scoped(Effect.gen(function*() {
      let [under, most, reads] = [0, 0, 0]
      const exports = CouponExports.make((campaignId, afterId, limit) =>
        Effect.gen(function*() {
          most = Math.max(most, ++under)
          reads++
          yield* Effect.sleep("1 millis")
          under--
          return couponsAfter(campaignId, afterId, limit)
        }))
      const issued = 3 * EXPORT_PAGE + 7
      const all = (campaignId: number) =>
        Effect.gen(function*() {
          const { lastNumber, next } = yield* exports.open(campaignId, 5, issued)
          expect(lastNumber).toBe(issued)
          const numbers: Array<number> = []
          for (let page = yield* next; page !== undefined; page = yield* next) {
            numbers.push(...page.map(({ id }) => id))
          }
          expect(yield* next).toBeUndefined()
          return numbers
        })
      const expected = Array.from({ length: issued - 5 }, (_, k) => k + 6)
      const found = yield* Effect.forEach([1, 2, 3], all, { concurrency: 3 })
      for (const numbers of found) expect(numbers).toEqual(expected)
      expect(most).toBe(1)
      reads = 0
      const { next } = yield* exports.open(1, 0, issued)
      yield* next
      yield* Effect.sleep("20 millis")
      expect(reads).toBe(2)
    })))

  it.live("rejects one too many, and goes on when one has ended, however it did", () =>
    Effect.gen(function*() {
      const reading = yield* Deferred.make<void>()
      const exports = CouponExports.make((campaignId, afterId, limit) =>
        afterId === 666
          ? Effect.fail(new LedgerUnavailable({ cause: "test" }))
          : Effect.as(Deferred.await(reading), couponsAfter(campaignId, afterId, limit)))
      const scopes = yield* Effect.forEach(Array.from({ length: MOST_EXPORTS }), () => Scope.make())
      for (const scope of scopes) yield* Scope.extend(exports.open(1, 0, 10), scope)
      const failure = yield* Effect.flip(Effect.scoped(exports.open(1, 0, 10)))
      expect(failure._tag).toBe("Overloaded")
      yield* Scope.close(scopes[0]!, Exit.void)
      const { next } = yield* Scope.extend(exports.open(1, 0, 10), scopes[1]!)
      // One that leaves while it reads gives up its turn.
      const waiting = yield* Effect.fork(next)
      yield* Effect.sleep("5 millis")
      yield* Fiber.interrupt(waiting)
      yield* Scope.close(scopes[1]!, Exit.void)
      const failing = yield* Scope.extend(exports.open(1, 666, 1_000), scopes[2]!)
      expect((yield* Effect.flip(failing.next))._tag).toBe("Unavailable")
      yield* Deferred.succeed(reading, undefined)
      const last = yield* Effect.scoped(Effect.flatMap(exports.open(1, 0, 10), ({ next }) => next))
      expect(last).toHaveLength(10)
      for (const scope of scopes.slice(2)) yield* Scope.close(scope, Exit.void)
    }))

  it.effect("leaves the loop to claims while there are any", () =>
    Effect.scoped(Effect.gen(function*() {
      const exports = CouponExports.make((campaignId, afterId, limit) =>
        Effect.sync(() => couponsAfter(campaignId, afterId, limit)))
      const claims = RequestMetrics.rpc("IssueCoupon")
      const turns = Effect.repeatN(Effect.yieldNow(), 100)
      for (const isBusy of [true, false, true, false]) {
        const { next } = yield* exports.open(1, 0, EXPORT_PAGE)
        if (isBusy) claims.ended("OK", 0)
        const fiber = yield* Effect.fork(next)
        yield* turns
        expect(Option.isNone(yield* Fiber.poll(fiber))).toBe(isBusy)
        if (isBusy) yield* TestClock.adjust(Duration.millis(LONGEST_PAUSE_MILLIS))
        expect(yield* Fiber.join(fiber)).toHaveLength(EXPORT_PAGE)
      }
    })))
})
