import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as EventNews from "../../src/agents/events/EventNews.ts"
import * as EventTails from "../../src/agents/events/EventTails.ts"
import { type CampaignEvent, type CampaignEventType, EventLog } from "../../src/ports/EventLog.ts"

const CAMPAIGN = 1
const PATIENCE = Duration.seconds(15)
const STEP_MILLIS = 50

/** No wait of a tail is longer. */
const LONG_STEP_MILLIS = 250

/** A log in memory, whose appends are news, and the tails of it. */
const world = Effect.gen(function*() {
  const events: Array<CampaignEvent> = []
  let coupons = 0
  let at = 0
  let reads = 0
  const log = Layer.mock(EventLog, {
    head: () => Effect.sync(() => events.length),
    heads: () => Effect.sync(() => [{ campaignId: CAMPAIGN, sequence: events.length, movedAt: at }]),
    read: (_campaignId, after, limit) =>
      Effect.sync(() => {
        reads++
        return events.slice(after, after + limit)
      })
  })
  const built = yield* Layer.build(Layer.provideMerge(EventTails.layer, Layer.merge(log, EventNews.layer)))
  const { publish } = yield* Effect.provide(EventNews.EventNews, built)
  const tails = yield* Effect.provide(EventTails.EventTails, built)

  const append = (type: CampaignEventType, firstNumber: number, lastNumber: number) => {
    events.push({ campaignId: CAMPAIGN, sequence: events.length + 1, type, firstNumber, lastNumber, payload: {}, at })
    publish([CAMPAIGN])
  }
  return {
    issue: (count: number) => {
      append("coupon.issued", coupons + 1, coupons + count)
      coupons += count
    },
    pause: () => append("campaign.paused", 0, 0),
    /** By the ledger's clock alone. */
    pass: (millis: number) => void (at += millis),
    reads: () => reads,
    /** A reader's next event, in short, or that there was none. */
    open: (intervalSeconds: number) =>
      Effect.map(tails.open(CAMPAIGN, Duration.seconds(intervalSeconds)), ({ head, next }) => {
        let cursor = head()
        return Effect.map(Effect.suspend(() => next(cursor, PATIENCE)), (event) => {
          if (event === undefined) return "none"
          const { firstNumber, firstSequence, lastNumber, sequence, type } = event
          expect(firstSequence).toBe(cursor + 1)
          cursor = sequence
          return type === "coupon.issued" ? `coupons ${firstNumber}-${lastNumber}` : type
        })
      })
  }
})

/** Lets this time pass in steps, so that what waits again and again does so in it. */
const elapse = (millis: number) =>
  Effect.repeatN(TestClock.adjust(LONG_STEP_MILLIS), millis / LONG_STEP_MILLIS - 1)

/** What comes of an effect within this time. */
const within = <A, E>(millis: number, effect: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(effect)
    yield* elapse(millis)
    return yield* Fiber.join(fiber)
  })

describe("a reader of a log with an interval", () => {
  it.scoped("gets the first coupons at once, and then many together after the interval", () =>
    Effect.gen(function*() {
      const { issue, open } = yield* world
      const [slow, fast] = [yield* open(10), yield* open(0)]
      issue(100)
      // Those who wait get their turn together.
      const first = yield* within(500, Effect.all([slow, fast], { concurrency: 2 }))
      expect(first).toEqual(["coupons 1-100", "coupons 1-100"])
      const next = yield* Effect.fork(slow)
      for (let second = 1; second <= 9; second++) {
        issue(100)
        expect(yield* within(1_000, fast)).toBe(`coupons ${100 * second + 1}-${100 * second + 100}`)
        expect(next.unsafePoll()).toBeNull()
      }
      yield* elapse(1_000)
      expect(yield* Fiber.join(next)).toBe("coupons 101-1000")
      // A sale that rested for the interval is as live as at first.
      yield* elapse(10_000)
      issue(100)
      expect(yield* within(500, slow)).toBe("coupons 1001-1100")
    }))

  it.scoped("does not wait with a few coupons", () =>
    Effect.gen(function*() {
      const { issue, open } = yield* world
      const slow = yield* open(60)
      for (let k = 0; k < 3; k++) {
        issue(5)
        expect(yield* within(1_000, slow)).toBe(`coupons ${5 * k + 1}-${5 * k + 5}`)
      }
    }))

  it.scoped("does not wait with any other event, nor with the coupons before that", () =>
    Effect.gen(function*() {
      const { issue, open, pause } = yield* world
      const [slow, fast] = [yield* open(60), yield* open(0)]
      issue(100)
      expect(yield* within(500, slow)).toBe("coupons 1-100")
      const next = yield* Effect.fork(slow)
      issue(50)
      expect(yield* within(1_000, fast)).toBe("coupons 1-150")
      issue(50)
      expect(yield* within(1_000, fast)).toBe("coupons 151-200")
      expect(next.unsafePoll()).toBeNull()
      pause()
      issue(50)
      yield* elapse(500)
      expect(yield* Fiber.join(next)).toBe("coupons 101-200")
      expect(yield* within(500, slow)).toBe("campaign.paused")
      const last = yield* Effect.fork(slow)
      expect(yield* within(1_000, Effect.zipRight(fast, fast))).toBe("coupons 201-250")
      expect(last.unsafePoll()).toBeNull()
      pause()
      yield* elapse(500)
      expect(yield* Fiber.join(last)).toBe("coupons 201-250")
    }))

  it.scoped("says that it waits, and gets all that came, also of an interval with more events than a page", () =>
    Effect.gen(function*() {
      const { issue, open, pass } = yield* world
      const slow = yield* open(60)
      issue(10)
      expect(yield* within(500, slow)).toBe("coupons 1-10")
      const quiet = yield* Effect.fork(Effect.all([slow, slow, slow]))
      for (let k = 0; k < 600; k++) {
        issue(10)
        pass(80)
        yield* TestClock.adjust(80)
      }
      expect(yield* Fiber.join(quiet)).toEqual(["none", "none", "none"])
      expect(yield* within(15_000, slow)).toBe("coupons 11-6010")
    }))
})

describe("the reads of a log that grows all the time", () => {
  it.scoped("are four a second while all of its readers have an interval, and else twenty", () =>
    Effect.gen(function*() {
      const { issue, open, reads } = yield* world
      yield* open(10)
      const readsOfTwoSeconds = Effect.gen(function*() {
        const before = reads()
        for (let millis = 0; millis < 2_000; millis += STEP_MILLIS) {
          issue(1)
          yield* TestClock.adjust(STEP_MILLIS)
        }
        return reads() - before
      })
      const rare = expect.toSatisfy((count: number) => count >= 7 && count <= 9)
      expect(yield* readsOfTwoSeconds).toEqual(rare)
      const scope = yield* Scope.make()
      yield* Scope.extend(open(0), scope)
      yield* elapse(500)
      expect(yield* readsOfTwoSeconds).toBeGreaterThan(30)
      yield* Scope.close(scope, Exit.void)
      yield* elapse(500)
      expect(yield* readsOfTwoSeconds).toEqual(rare)
    }))
})
