import { it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { describe, expect } from "vitest"
import * as AllInstances from "../../src/cli/AllInstances.ts"
import type { Connection } from "../../src/cli/Connection.ts"
import type { OperatorClient } from "../../src/client/OperatorClient.ts"
import type { Overview } from "../../src/contract/Overview.ts"
import * as OverviewSampler from "../../src/operator/OverviewSampler.ts"
import { inLongProfile } from "../support/profile.ts"

/** A sample each second, at whole seconds, and the latest one at once, as the sampler that all callers share has it. */
const samplesOf = (instance: string): Stream.Stream<Overview> => {
  const sample = Effect.map(Clock.currentTimeMillis, (now) =>
    ({ instance, at: now - now % 1_000, seconds: 1, campaigns: [] }) as unknown as Overview)
  return Stream.repeatEffectWithSchedule(sample, Schedule.fixed("1 second"))
}

describe("a call for samples", () => {
  it.effect("ends after ten minutes, between two samples, and has one for each second until then", () =>
    Effect.gen(function*() {
      const calls = yield* Effect.fork(Stream.runCollect(
        OverviewSampler.ofCall(samplesOf("a"), { name: "x", role: "VIEWER" }, Effect.never)
      ))
      yield* TestClock.adjust("599 seconds")
      expect(yield* Fiber.poll(calls)).toMatchObject({ _tag: "None" })
      yield* TestClock.adjust("2 seconds")
      const seen = Array.from(yield* Fiber.join(calls), ({ at }) => at / 1_000)
      expect(seen).toEqual(Array.from({ length: seen.length }, (_, k) => k))
      expect(seen.length).toBeGreaterThanOrEqual(600)
    }))

  it.effect("shows a key that is limited to campaigns no other one, and ends when the instance stops", () =>
    Effect.gen(function*() {
      const stopped = yield* Deferred.make<void>()
      const samples = Stream.map(samplesOf("a"), (sample) =>
        ({ ...sample, campaigns: [{ campaignId: 1 }, { campaignId: 2 }] }) as unknown as Overview)
      const caller = { name: "x", role: "VIEWER", campaigns: new Set([2, 3]) } as const
      const seen: Array<Overview> = []
      const call = yield* Effect.fork(Stream.runForEach(
        OverviewSampler.ofCall(samples, caller, Deferred.await(stopped)),
        (sample) => Effect.sync(() => void seen.push(sample))
      ))
      yield* TestClock.adjust("3 seconds")
      expect(seen.map(({ campaigns }) => campaigns)).toEqual(seen.map(() => [{ campaignId: 2 }]))
      yield* Deferred.succeed(stopped, undefined)
      yield* Fiber.join(call)
      expect(seen.length).toBeGreaterThan(0)
    }))
})

/** In each, calls end some times at every instance. */
const SECONDS = inLongProfile(60, 20)

describe("coupon watch", () => {
  it.scoped("has a sample of each instance for each second, once, however often their calls end", () =>
    Effect.gen(function*() {
      let turn = 0
      let calls = 0
      // Each call is led to the next instance, and ends after some seconds.
      const client = {
        Overview: () =>
          Stream.suspend(() => {
            calls++
            const nth = turn++ % 3
            return Stream.haltAfter(samplesOf(`instance ${nth}`), `${5 + nth} seconds`)
          })
      } as unknown as OperatorClient["Type"]
      const connection = { url: "http://127.0.0.1:1", timeoutMillis: 60_000 } as unknown as Connection
      const { known, samples } = yield* AllInstances.make(connection, () => Effect.succeed(client))
      const seen = new Map<string, Array<number>>()
      let most = 0
      let least = 3
      yield* Effect.forkScoped(Stream.runForEach(samples, ({ at, instance }) =>
        Effect.sync(() => {
          seen.set(instance, [...seen.get(instance) ?? [], at / 1_000])
          most = Math.max(most, known().size)
          // Once all are found, none is missing for a moment.
          if (most === 3) least = Math.min(least, known().size)
        })))
      // Small steps: what the calls do at one moment is done before the next.
      for (let step = 0; step < 10 * SECONDS; step++) {
        yield* TestClock.adjust("100 millis")
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      expect(calls).toBeGreaterThan(SECONDS / 2)
      expect([most, least]).toEqual([3, 3])
      for (const [name, seconds] of seen) {
        const from = seconds[0]!
        expect(seconds, name).toEqual(Array.from({ length: seconds.length }, (_, k) => from + k))
        expect(seconds.length, name).toBeGreaterThan(SECONDS - 10)
      }
    }))
})
