import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { describe, expect, it } from "vitest"
import * as PacedCalls from "../../src/rpc/dispatch/PacedCalls.ts"
import { until } from "./Stub.ts"

/** Calls that end when `finish` is called. */
const setup = () => {
  const paced = PacedCalls.make()
  const begun: Array<string> = []
  const gates: Array<Deferred.Deferred<void>> = []
  const call = (client: number, name: string) =>
    Effect.runFork(Effect.either(paced.run(client, Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      begun.push(name)
      gates.push(gate)
      yield* Deferred.await(gate)
      return name
    }))))
  const finish = () => Deferred.unsafeDone(gates.shift()!, Effect.void)
  return { begun, call, finish }
}

describe("paced calls", () => {
  it("run eight at a time, and of those that wait one of each client after the other", async () => {
    const { begun, call, finish } = setup()
    for (let n = 0; n < 12; n++) call(1, `a${n}`)
    for (let n = 0; n < 2; n++) call(2, `b${n}`)
    await until(() => begun.length === 8)
    for (let n = 9; n <= 14; n++) {
      finish()
      await until(() => begun.length === n)
    }
    expect(begun.slice(8)).toEqual(["a8", "b0", "a9", "b1", "a10", "a11"])
  })

  it("are rejected when many of a client wait, and others are not", async () => {
    const { call } = setup()
    const calls = Array.from({ length: 300 }, (_, n) => call(1, `a${n}`))
    const rejected = () => calls.filter((fiber) => fiber.unsafePoll() !== null)
    await until(() => rejected().length === 300 - 8 - 256)
    const outcome = await Effect.runPromise(Fiber.join(rejected()[0]!))
    expect(outcome._tag === "Left" && outcome.left._tag).toBe("Overloaded")
    const other = call(2, "b")
    await Effect.runPromise(Effect.yieldNow())
    expect(other.unsafePoll()).toBeNull()
  })

  it("lose no place when callers leave, whether they wait or run", async () => {
    const { begun, call } = setup()
    for (let round = 0; round < 20; round++) {
      const calls = Array.from({ length: 20 }, (_, n) => call(n, "left"))
      await Effect.runPromise(Fiber.interruptAll(calls))
    }
    begun.length = 0
    for (let n = 0; n < 9; n++) call(1, `a${n}`)
    await until(() => begun.length === 8)
    await Effect.runPromise(Effect.yieldNow())
    expect(begun).toHaveLength(8)
  })
})
