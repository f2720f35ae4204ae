import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import * as ReaderTurns from "../../src/agents/events/ReaderTurns.ts"

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }))
afterEach(() => void vi.useRealTimers())

/** Readers that wait for their turns, and which of them went on, in their order. */
const readers = (turns: ReaderTurns.ReaderTurns, count: number) => {
  const went: Array<number> = []
  const fibers = Array.from({ length: count }, (_, k) =>
    Effect.runFork(Effect.andThen(turns.next, Effect.sync(() => void went.push(k)))))
  return { went, fibers }
}

it("lets readers go on in order, some at a time, and fewer a second while the loop is busy", async () => {
  let utilization = 0.1
  const { went } = readers(ReaderTurns.make(() => utilization), 40)
  await vi.advanceTimersByTimeAsync(1)
  expect(went).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  await vi.advanceTimersByTimeAsync(10)
  expect(went).toHaveLength(16)
  utilization = 0.9
  await vi.advanceTimersByTimeAsync(10)
  expect(went).toHaveLength(24)
  await vi.advanceTimersByTimeAsync(79)
  expect(went).toHaveLength(24)
  await vi.advanceTimersByTimeAsync(1)
  expect(went).toHaveLength(32)
  await vi.advanceTimersByTimeAsync(80)
  expect(went).toEqual(Array.from({ length: 40 }, (_, k) => k))
})

it("gives no turn to a reader that has left", async () => {
  const { fibers, went } = readers(ReaderTurns.make(() => 0), 10)
  await Promise.all(fibers.slice(0, 3).map((fiber) => Effect.runPromise(Fiber.interrupt(fiber))))
  await vi.advanceTimersByTimeAsync(1)
  expect(went).toEqual([3, 4, 5, 6, 7, 8, 9])
})
