import { describe, expect, it } from "vitest"
import * as LatencyLimit from "../../src/rpc/admission/LatencyLimit.ts"
import { inLongProfile } from "../support/profile.ts"

const MOST = 10_000
const TARGET = 100

/**
 * A service that completes `rate` calls a second, one by one, with so many in progress as are `offered` and the limit
 * admits: by Little's law a call takes that number over the rate, and no less than `least` milliseconds.
 */
const simulate = (limit: LatencyLimit.LatencyLimit) => {
  let now = 1_000
  return (seconds: number, service: { readonly offered: number; readonly rate: number; readonly least?: number }) => {
    const end = now + seconds * 1_000
    let latency = 0
    while (now < end) {
      const inFlight = Math.min(service.offered, limit.current())
      latency = Math.max(inFlight * 1_000 / service.rate, service.least ?? 0)
      now += Math.max(1_000 / service.rate, latency / inFlight)
      limit.ended(latency, now)
      if (service.offered > inFlight) limit.refused()
    }
    return latency
  }
}

const make = () => {
  const limit = LatencyLimit.make({ most: MOST, targetMillis: TARGET })
  return { limit, run: simulate(limit) }
}

describe("the limit by latency", () => {
  it("is no limit while calls are fast", () => {
    const { limit, run } = make()
    run(5, { offered: 500, rate: 10_000 })
    expect(limit.current()).toBe(MOST)
  })

  it("lets a burst pass that is served within two windows", () => {
    const { limit, run } = make()
    run(0.15, { offered: 3_000, rate: 10_000 })
    expect(limit.current()).toBe(MOST)
    run(2, { offered: 100, rate: 10_000 })
    expect(limit.current()).toBe(MOST)
  })

  it.each([2_000, 10_000, 40_000])("holds the target under any overload, at %i calls a second", (rate) => {
    const { limit, run } = make()
    const soon = run(1, { offered: MOST, rate })
    expect(soon).toBeLessThan(1.5 * TARGET)
    // Neither drifts up in a rush that lasts nor starves.
    for (let i = 0; i < 10; i++) {
      const latency = run(inLongProfile(60, 10), { offered: MOST, rate })
      expect(latency).toBeGreaterThan(TARGET / 2)
      expect(latency).toBeLessThan(1.5 * TARGET)
    }
    expect(limit.pressure()).toBeGreaterThan(0)
  })

  it("follows a service that gets slower and faster", () => {
    const { limit, run } = make()
    run(3, { offered: MOST, rate: 10_000 })
    expect(run(3, { offered: MOST, rate: 3_000 })).toBeLessThan(1.5 * TARGET)
    expect(limit.current()).toBeLessThan(450)
    run(10, { offered: MOST, rate: 10_000 })
    expect(limit.current()).toBeGreaterThan(800)
  })

  it("ends with the overload", () => {
    const { limit, run } = make()
    run(3, { offered: MOST, rate: 10_000 })
    expect(limit.current()).toBeLessThan(MOST)
    run(3, { offered: 100, rate: 10_000 })
    expect(limit.current()).toBe(MOST)
  })

  it("never goes below what group commit needs", () => {
    const { limit, run } = make()
    run(20, { offered: MOST, rate: 100 })
    expect(limit.current()).toBeGreaterThanOrEqual(LatencyLimit.FLOOR)
    expect(limit.current()).toBeLessThan(2 * LatencyLimit.FLOOR)
  })

  it("takes a ledger that is slow at rest for what it is", () => {
    const { limit, run } = make()
    run(5, { offered: 20, rate: 10_000, least: 150 })
    run(20, { offered: 700, rate: 10_000, least: 160 })
    expect(limit.current()).toBe(MOST)
  })

  it("is not deceived by answers that take no time", () => {
    const { limit } = make()
    for (let now = 0; now < 3_000; now += 0.1) {
      // Of ten calls nine are answered from memory, and one waits for 400 ms: 400 of them at any time.
      limit.ended(Math.round(now * 10) % 10 === 0 ? 400 : 0, now)
    }
    expect(limit.current()).toBeLessThan(300)
  })

  it("is no more than MAX_IN_FLIGHT, however small", () => {
    const limit = LatencyLimit.make({ most: 2, targetMillis: TARGET })
    simulate(limit)(5, { offered: 100, rate: 10 })
    expect(limit.current()).toBe(2)
  })
})
