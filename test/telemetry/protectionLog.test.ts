import { expect, it } from "vitest"
import { protections } from "../../src/metrics/ProtectionMetrics.ts"
import * as ProtectionLog from "../../src/telemetry/ProtectionLog.ts"

it("what was refused for protection has one line a minute, with what was counted meanwhile", () => {
  let time = 0
  protections.rate.add(5)
  const counts = ProtectionLog.make(() => time)
  expect(counts()).toBeUndefined()
  protections.rate.add(2)
  protections.idle.add()
  expect(counts()).toEqual({ rate: 2, idle: 1 })
  protections.rate.add(40)
  time += 59_000
  expect(counts()).toBeUndefined()
  time += 1_000
  expect(counts()).toEqual({ rate: 40 })
  time += 60_000
  expect(counts()).toBeUndefined()
})
