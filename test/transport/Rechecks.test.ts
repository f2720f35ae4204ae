import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { Unauthenticated, Unavailable } from "../../src/domain/Failure.ts"
import * as Rechecks from "../../src/rpc/streams/Rechecks.ts"
import type { Rejection } from "../../src/security/Guard.ts"

beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }))
afterEach(() => void vi.useRealTimers())

/** One caller, whose right can be taken away. */
const caller = () => {
  let failure: Rejection | undefined
  let looks = 0
  return {
    look: Effect.suspend(() => {
      looks++
      return failure === undefined ? Effect.void : Effect.fail(failure)
    }),
    looks: () => looks,
    fail: (next: Rejection | undefined) => void (failure = next)
  }
}

/** A call of a stream: how it ended, and how it leaves. */
const call = (rechecks: Rechecks.Rechecks, key: string, look: Effect.Effect<unknown, Rejection>) => {
  const scope = Effect.runSync(Scope.make())
  const ends: Array<string> = []
  Effect.runSync(Scope.extend(rechecks.add(key, look, ({ _tag }) => ends.push(_tag)), scope))
  return { ends, leave: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

const second = () => vi.advanceTimersByTimeAsync(1_000)

it("looks once a second for all calls of a caller, and ends them all when it fails", async () => {
  const rechecks = Effect.runSync(Rechecks.make)
  const [one, other] = [caller(), caller()]
  const calls = [call(rechecks, "one", one.look), call(rechecks, "one", one.look), call(rechecks, "other", other.look)]
  await second()
  await second()
  expect([one.looks(), other.looks()]).toEqual([2, 2])
  one.fail(new Unauthenticated({ reason: "revoked" }))
  await second()
  expect(calls.map(({ ends }) => ends)).toEqual([["Unauthenticated"], ["Unauthenticated"], []])
  // Each has ended once, and is looked at no more.
  await second()
  expect([one.looks(), other.looks()]).toEqual([3, 4])
  expect(calls[0]!.ends).toEqual(["Unauthenticated"])
})

it("looks at a call that came after others of its key had ended, and at none that has left", async () => {
  const rechecks = Effect.runSync(Rechecks.make)
  const one = caller()
  const [first, second_] = [call(rechecks, "one", one.look), call(rechecks, "one", one.look)]
  await first.leave()
  one.fail(new Unavailable({ retryAfterSeconds: 1 }))
  await second()
  expect([first.ends, second_.ends]).toEqual([[], ["Unavailable"]])

  one.fail(undefined)
  const third = call(rechecks, "one", one.look)
  // The one before is released only now.
  await second_.leave()
  await second()
  one.fail(new Unavailable({ retryAfterSeconds: 1 }))
  await second()
  expect(third.ends).toEqual(["Unavailable"])

  const looks = one.looks()
  await third.leave()
  await second()
  expect(one.looks()).toBe(looks)
  expect(vi.getTimerCount()).toBe(0)
})

it("goes on after a look that fails by a defect", async () => {
  const rechecks = Effect.runSync(Rechecks.make)
  let isBroken = true
  const look = Effect.suspend(() =>
    isBroken ? Effect.die("broken") : Effect.fail(new Unavailable({ retryAfterSeconds: 1 })))
  const only = call(rechecks, "one", look)
  await second()
  expect(only.ends).toEqual([])
  isBroken = false
  await second()
  expect(only.ends).toEqual(["Unavailable"])
})
