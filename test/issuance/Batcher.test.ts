import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Batcher from "../../src/claim/Batcher.ts"

const never = Number.POSITIVE_INFINITY
const turn = Effect.async<void>((resume) => void setImmediate(() => setImmediate(() => resume(Effect.void))))

describe("Batcher", () => {
  it.live("puts the submissions of one turn into one batch a key, and answers each with its own result", () =>
    Effect.gen(function*() {
      const batches: Array<readonly [number, ReadonlyArray<number>]> = []
      const batcher = yield* Batcher.make<number, number, never>({
        maxBatch: 10,
        maxInFlight: 4,
        run: (key, items) => Effect.sync(() => (batches.push([key, items]), items.map((n) => n * 10)))
      })
      const submit = (key: number, n: number) => batcher.submit(key, n, never)
      const results = yield* Effect.all([submit(1, 1), submit(2, 2), submit(1, 3)], { concurrency: "unbounded" })
      expect(results).toEqual([10, 20, 30])
      expect(batches).toEqual([[1, [1, 3]], [2, [2]]])
      yield* batcher.idle
      expect(batcher.size()).toBe(0)
    }).pipe(Effect.scoped))

  it.live("runs at most maxInFlight batches of maxBatch items at a time; later items form the next batch", () =>
    Effect.gen(function*() {
      const gates: Array<Deferred.Deferred<void>> = []
      const batches: Array<ReadonlyArray<number>> = []
      const batcher = yield* Batcher.make<number, number, never>({
        maxBatch: 3,
        maxInFlight: 1,
        run: (_, items) =>
          Effect.gen(function*() {
            batches.push(items)
            const gate = yield* Deferred.make<void>()
            gates.push(gate)
            yield* Deferred.await(gate)
            return items
          })
      })
      const fibers = yield* Effect.forEach([1, 2, 3, 4, 5], (n) => Effect.fork(batcher.submit(1, n, never)))
      yield* turn
      expect(batches).toEqual([[1, 2, 3]])
      yield* Deferred.succeed(gates[0]!, undefined)
      yield* turn
      expect(batches).toEqual([[1, 2, 3], [4, 5]])
      yield* Deferred.succeed(gates[1]!, undefined)
      expect(yield* Fiber.join(Fiber.all(fibers))).toEqual([1, 2, 3, 4, 5])
    }).pipe(Effect.scoped))

  it.live("works a crowd in halves, so that those who ask again at once do not end up in one batch", () =>
    Effect.gen(function*() {
      const gates: Array<Deferred.Deferred<void>> = []
      const sizes: Array<number> = []
      const batcher = yield* Batcher.make<number, number, never>({
        maxBatch: 100,
        maxInFlight: 1,
        halvesAbove: 4,
        run: (_, items) =>
          Effect.gen(function*() {
            sizes.push(items.length)
            const gate = yield* Deferred.make<void>()
            gates.push(gate)
            yield* Deferred.await(gate)
            return items
          })
      })
      const submit = (count: number) =>
        Effect.forEach(Array.from({ length: count }, (_, n) => n), (n) => Effect.fork(batcher.submit(1, n, never)))
      const finish = (batch: number) => Effect.zipRight(Deferred.succeed(gates[batch]!, undefined), turn)
      yield* submit(20)
      yield* turn
      expect(sizes).toEqual([10])
      yield* finish(0)
      // Those ten come back while the other ten are under way; a few more would be split, too.
      yield* submit(12)
      yield* finish(1)
      expect(sizes).toEqual([10, 10, 11])
      yield* finish(2)
      // A crowd that has gone is forgotten bit by bit, and a handful is never split.
      expect(sizes).toEqual([10, 10, 11, 1])
      yield* finish(3)
      yield* submit(4)
      yield* turn
      expect(sizes).toEqual([10, 10, 11, 1, 4])
      yield* finish(4)
      yield* batcher.idle
    }).pipe(Effect.scoped))

  it.live("drops an item whose deadline passes while it queues, and abandons one that is under way", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const batches: Array<ReadonlyArray<string>> = []
      const abandoned: Array<string> = []
      const batcher = yield* Batcher.make<string, string, never>({
        maxBatch: 1,
        maxInFlight: 1,
        run: (_, items) =>
          Effect.as(Effect.zipRight(Effect.sync(() => batches.push(items)), Deferred.await(gate)), items),
        abandoned: (_, item) => abandoned.push(item)
      })
      const soon = performance.now() + 1_000
      const [running, queued, patient] = yield* Effect.all([
        Effect.fork(Effect.flip(batcher.submit(1, "running", soon))),
        Effect.fork(Effect.flip(batcher.submit(1, "queued", soon))),
        Effect.fork(batcher.submit(1, "patient", never))
      ])
      expect(yield* Fiber.join(running)).toEqual(new Batcher.BatchTimeout({ started: true }))
      expect(yield* Fiber.join(queued)).toEqual(new Batcher.BatchTimeout({ started: false }))
      yield* Deferred.succeed(gate, undefined)
      expect(yield* Fiber.join(patient)).toBe("patient")
      expect(batches).toEqual([["running"], ["patient"]])
      expect(abandoned).toEqual(["running"])
    }).pipe(Effect.scoped))

  it.live("gives a failed batch's failure to each of its items, and goes on", () =>
    Effect.gen(function*() {
      let fail = true
      const batcher = yield* Batcher.make<number, number, string>({
        maxBatch: 10,
        maxInFlight: 1,
        run: (_, items) => fail ? Effect.fail("broken") : Effect.succeed(items)
      })
      const exits = yield* Effect.all([
        Effect.exit(batcher.submit(1, 1, never)),
        Effect.exit(batcher.submit(1, 2, never))
      ], {
        concurrency: "unbounded"
      })
      expect(exits).toEqual([Exit.fail("broken"), Exit.fail("broken")])
      fail = false
      expect(yield* batcher.submit(1, 3, never)).toBe(3)
    }).pipe(Effect.scoped))

  it.live("runs the next batch when one steps aside, whose items still get their results or time out", () =>
    Effect.gen(function*() {
      const hold = yield* Deferred.make<void>()
      const batches: Array<ReadonlyArray<number>> = []
      const batcher = yield* Batcher.make<number, number, never>({
        maxBatch: 2,
        maxInFlight: 1,
        run: (_, items, stepAside) => {
          batches.push(items)
          if (items[0] !== 1) return Effect.succeed(items)
          stepAside()
          stepAside()
          return Effect.as(Deferred.await(hold), items)
        }
      })
      const patient = yield* Effect.fork(batcher.submit(1, 1, never))
      const late = yield* Effect.fork(batcher.submit(1, 2, performance.now() + 50))
      yield* turn
      expect(yield* batcher.submit(1, 3, never)).toBe(3)
      expect(batches).toEqual([[1, 2], [3]])
      expect(yield* Effect.flip(Fiber.join(late))).toEqual(new Batcher.BatchTimeout({ started: true }))
      expect(batcher.size()).toBe(2)
      yield* Deferred.succeed(hold, undefined)
      expect(yield* Fiber.join(patient)).toBe(1)
      yield* batcher.idle
      expect(batcher.size()).toBe(0)
    }).pipe(Effect.scoped))

  it.live("turns a defect into a defect of the items, not into silence", () =>
    Effect.gen(function*() {
      const batcher = yield* Batcher.make<number, number, never>({
        maxBatch: 1,
        maxInFlight: 1,
        run: () => Effect.die("bug")
      })
      expect(yield* Effect.exit(batcher.submit(1, 1, never))).toEqual(Exit.die("bug"))
    }).pipe(Effect.scoped))
})
