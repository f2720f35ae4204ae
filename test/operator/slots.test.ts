import { EventEmitter } from "node:events"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import type { Principal } from "../../src/domain/Principal.ts"
import {
  FOR_ADMIN, make, MOST_CALLS, MOST_OF_A_KEY, UNREAD_MILLIS
} from "../../src/operator/admission/OperatorSlots.ts"
import type { Response } from "../../src/rpc/Request.ts"

/** As many unread answers of a key are kept. */
const KEPT = 16

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

class Answer extends EventEmitter {
  destroyed = false
  writableFinished = false

  destroy() {
    this.destroyed = true
    this.emit("close")
  }
}

const answer = () => new Answer() as Answer & Response

const key = (keyId: string, role: Principal["role"] = "VIEWER"): Principal => ({ keyId, name: keyId, role })

it("a key has so many calls at once, all keys so many, and some are kept for ADMINs", () => {
  const slots = make()
  const take = (principal: Principal, times: number) =>
    Array.from({ length: times }, () => slots.take(principal, answer())).filter((slot) => slot !== undefined).length
  expect(take(key("one"), MOST_OF_A_KEY + 1)).toBe(MOST_OF_A_KEY)
  expect(take(key("two"), MOST_OF_A_KEY)).toBe(MOST_OF_A_KEY)
  expect(take(key("three"), MOST_OF_A_KEY)).toBe(MOST_CALLS - FOR_ADMIN - 2 * MOST_OF_A_KEY)
  expect(take(key("admin", "ADMIN"), MOST_OF_A_KEY)).toBe(FOR_ADMIN)
})

it("an answer that is written frees its slot once, read or not", () => {
  const slots = make()
  const [first, ...others] = Array.from({ length: MOST_OF_A_KEY }, () => slots.take(key("one"), answer())!)
  expect(slots.take(key("one"), answer())).toBeUndefined()
  first!.written()
  first!.written()
  expect(slots.take(key("one"), answer())).toBeDefined()
  expect(slots.take(key("one"), answer())).toBeUndefined()
  expect(others).toHaveLength(MOST_OF_A_KEY - 1)
})

it(`of more than ${KEPT} unread answers of a key the oldest end, and those of other keys stay`, () => {
  const slots = make()
  const written = (principal: Principal) => {
    const one = answer()
    slots.take(principal, one)!.written()
    return one
  }
  const other = written(key("other"))
  const answers = Array.from({ length: KEPT + 2 }, () => written(key("one")))
  expect(answers.map(({ destroyed }) => destroyed)).toEqual(answers.map((_, index) => index < 2))
  // One that is read makes room.
  answers[2]!.emit("finish")
  const last = written(key("one"))
  expect([other, ...answers.slice(3), last].filter(({ destroyed }) => destroyed)).toEqual([])
})

it("an answer that is not read ends in time, one that was read does not", () => {
  const slots = make()
  const [read, unread] = [answer(), answer()]
  for (const one of [read, unread]) slots.take(key("one"), one)!.written()
  read.emit("finish")
  vi.advanceTimersByTime(UNREAD_MILLIS - 1)
  expect(unread.destroyed).toBe(false)
  vi.advanceTimersByTime(1)
  expect([read.destroyed, unread.destroyed]).toEqual([false, true])
})
