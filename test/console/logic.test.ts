import * as FastCheck from "fast-check"
import { describe, expect, it } from "vitest"
import type { Overview } from "../../src/contract/Overview.ts"
import { changes } from "../../console/src/logic/Changes.ts"
import * as CodeLines from "../../console/src/logic/CodeLines.ts"
import { clockText, durationText, partsOf } from "../../console/src/logic/Countdown.ts"
import { csvOf } from "../../console/src/logic/Csv.ts"
import { funnelOf } from "../../console/src/logic/Funnel.ts"
import { fromInput, toInput } from "../../console/src/logic/LocalTime.ts"
import * as Outcomes from "../../console/src/logic/Outcomes.ts"
import { added, project, rateOf } from "../../console/src/logic/Projection.ts"
import { busiestSecond, curveOf, MAX_POINTS as CURVE_POINTS } from "../../console/src/logic/SaleRecord.ts"
import * as Series from "../../console/src/logic/Series.ts"
import * as ServerClock from "../../console/src/logic/ServerClock.ts"

describe("the server's clock", () => {
  it("is within the shortest delay of the messages, whatever the skew of the local one", () => {
    const delays = FastCheck.array(FastCheck.integer({ min: 0, max: 3_000 }), { minLength: 1, maxLength: 30 })
    FastCheck.assert(FastCheck.property(FastCheck.integer({ min: -9e8, max: 9e8 }), delays, (skew, waits) => {
      const clock = ServerClock.make()
      let server = 1.8e12
      for (const wait of waits) {
        clock.observe(server, server + wait - skew)
        server += 1_000
      }
      const local = server - skew
      expect(server - clock.at(local)).toBe(Math.min(...waits))
    }))
  })

  it("is the local one before a message has come, and forgets old ones", () => {
    const clock = ServerClock.make()
    expect(clock.at(5)).toBe(5)
    clock.observe(10_000, 1_000)
    clock.observe(Number.NaN, 1_000)
    expect(clock.aheadMillis()).toBe(9_000)
    // The local clock was set forward since, and the larger difference is of the time before.
    clock.observe(10_000 + 2 * ServerClock.WINDOW_MILLIS, 9_000 + 2 * ServerClock.WINDOW_MILLIS)
    expect(clock.aheadMillis()).toBe(1_000)
  })
})

describe("countdowns", () => {
  it("reach 0 when the time has come, and not before", () => {
    expect(clockText(1)).toBe("00:00:01")
    expect(clockText(0)).toBe("00:00:00")
    expect(clockText(-5_000)).toBe("00:00:00")
    expect(clockText(90_061_000)).toBe("1:01:01:01")
    expect(durationText(90_061_000)).toBe("P1DT1H1M1S")
  })

  it("add up to the span, rounded up to a second", () => {
    FastCheck.assert(FastCheck.property(FastCheck.integer({ min: 0, max: 1e12 }), (millis) => {
      const { days, hours, minutes, seconds } = partsOf(millis)
      expect(((days * 24 + hours) * 60 + minutes) * 60 + seconds).toBe(Math.ceil(millis / 1_000))
      expect(hours < 24 && minutes < 60 && seconds < 60).toBe(true)
    }))
  })
})

describe("rate and projection", () => {
  const points = [{ at: 0, issued: 0 }, { at: 5_000, issued: 50 }, { at: 10_000, issued: 150 }]

  it("is of the window alone", () => {
    expect(rateOf(points, 10_000, 5_000)).toBe(20)
    expect(rateOf(points, 10_000, 10_000)).toBe(15)
    expect(rateOf([], 1)).toBe(0)
    // Nothing has been issued for longer than the window.
    expect(rateOf(points, 60_000)).toBe(0)
  })

  it("is never negative or infinite", () => {
    const step = FastCheck.record({ wait: FastCheck.nat(5_000), more: FastCheck.nat(1_000) })
    FastCheck.assert(FastCheck.property(FastCheck.array(step), (steps) => {
      let at = 0
      let issued = 0
      let all: ReturnType<typeof added> = []
      for (const { more, wait } of steps) {
        at += wait
        issued += more
        all = added(all, { at, issued }, 30_000)
      }
      const rate = rateOf(all, at)
      expect(rate).toBeGreaterThanOrEqual(0)
      expect(Number.isFinite(rate)).toBe(true)
    }))
  })

  it("keeps what the window needs, and takes nothing back", () => {
    const late = added(points, { at: 9_000, issued: 160 }, 30_000)
    expect(late).toBe(points)
    const fewer = added(points, { at: 11_000, issued: 149 }, 30_000)
    expect(fewer).toBe(points)
    expect(added(points, { at: 20_000, issued: 151 }, 10_000).map(({ at }) => at)).toEqual([10_000, 20_000])
  })

  it("says when a sale is sold out, or what its end leaves", () => {
    const sale = { couponLimit: 100, issued: 50, now: 0, endTime: undefined }
    expect(project({ ...sale, rate: 10 })).toEqual({ _tag: "At", at: 5_000, leftMillis: 5_000 })
    expect(project({ ...sale, rate: 10, endTime: 2_000 })).toEqual({ _tag: "EndsBefore", left: 30 })
    expect(project({ ...sale, rate: 0 })).toEqual({ _tag: "Unknown" })
    expect(project({ ...sale, rate: 0, issued: 100 })).toEqual({ _tag: "SoldOut" })
  })
})

describe("outcomes and the funnel", () => {
  const answers = FastCheck.dictionary(
    FastCheck.constantFrom("OK", "COUPON_SOLD_OUT", "OVERLOADED", "CAMPAIGN_PAUSED", "NEW_IN_A_LATER_VERSION"),
    FastCheck.float({ min: 0, max: 1e5, noNaN: true })
  )

  it("count each answer once", () => {
    FastCheck.assert(FastCheck.property(answers, (byMessage) => {
      const total = Object.values(byMessage).reduce((sum, count) => sum + count, 0)
      expect(Outcomes.totalOf(Outcomes.byKind(byMessage))).toBeCloseTo(total, 3)
    }))
    expect(Outcomes.byKind({ NEW_IN_A_LATER_VERSION: 2 }).failed).toBe(2)
  })

  const sample = (instance: string, at: number, counts: number | undefined): Overview => ({
    instance,
    at,
    ...counts === undefined
      ? {}
      : {
        funnel: {
          arrived: 4 * counts,
          admitted: 3 * counts,
          reserved: 2 * counts,
          committed: counts,
          delivered: counts - 5
        }
      }
  } as Overview)

  it("are rates of all instances with two samples", () => {
    const before = [sample("a", 1_000, 100), sample("b", 1_500, 10)]
    expect(funnelOf(before, [sample("a", 3_000, 120), sample("b", 1_500, 10)])).toEqual({
      arrived: 40,
      admitted: 30,
      reserved: 20,
      committed: 10,
      delivered: 10
    })
    // A restart begins at 0 again, and an older version has no counts.
    expect(funnelOf(before, [sample("a", 3_000, 0)])?.arrived).toBe(0)
    expect(funnelOf(before, [sample("a", 3_000, undefined), sample("new", 3_000, 50)])).toBeUndefined()
    expect(funnelOf([], before)).toBeUndefined()
  })
})

describe("the chart", () => {
  const second = (at: number, issued: number): Series.Second => ({
    at,
    perSecond: { ...Outcomes.none, issued },
    p50: issued,
    p99: issued
  })

  it("has at most so many points, a gap where nothing came, and the mean of what it joins", () => {
    let seconds: ReadonlyArray<Series.Second> = []
    for (let at = 1_000; at <= 1_000_000; at += 1_000) seconds = Series.appended(seconds, second(at, at / 1_000))
    expect(seconds.length).toBeLessThanOrEqual(910)
    const quarter = Series.pointsOf(seconds, 1_000_000, "quarter")
    expect(quarter.length).toBeLessThanOrEqual(Series.MAX_POINTS + 1)
    const whole = quarter.filter((point) => point !== undefined)
    expect(whole.at(-2)!.perSecond.issued).toBe(997)
    expect(whole.at(-2)!.p99).toBe(999)
    const gap = [...seconds, second(1_030_000, 5)]
    const minute = Series.pointsOf(gap, 1_030_000, "minute")
    expect(minute.filter((point) => point === undefined)).toHaveLength(1)
    expect(Series.pointsOf(seconds, 1_000_000, "minute")).toHaveLength(60)
  })
})

describe("the record of a sale", () => {
  it("begins and ends where the sale did, with few points", () => {
    const ranges = Array.from({ length: 5_000 }, (_, index) => ({ at: index * 10, issued: (index + 1) * 3 }))
    const curve = curveOf(ranges)
    expect(curve.times.length).toBeLessThanOrEqual(CURVE_POINTS)
    expect([curve.issued[0], curve.issued.at(-1)]).toEqual([3, 15_000])
    expect(busiestSecond(ranges)).toEqual({ at: 0, count: 300 })
    expect(busiestSecond([])).toBeUndefined()
    expect(curveOf([])).toEqual({ times: [], issued: [] })
  })
})

describe("files", () => {
  it("are taken apart into the same codes, however they come", () => {
    const line = FastCheck.stringMatching(/^[A-Z0-9]{0,6}$/)
    const end = FastCheck.constantFrom("\n", "\r\n")
    FastCheck.assert(FastCheck.property(
      FastCheck.array(FastCheck.tuple(line, end)),
      FastCheck.array(FastCheck.integer({ min: 1, max: 5 }), { minLength: 1 }),
      (lines, sizes) => {
        const text = `\uFEFF${lines.map((pair) => pair.join("")).join("")}LAST`
        const { end: rest, push } = CodeLines.make()
        const found = []
        for (let at = 0, turn = 0; at < text.length; turn++) {
          const size = sizes[turn % sizes.length]!
          found.push(...push(text.slice(at, at + size)))
          at += size
        }
        found.push(...rest())
        const expected = [...lines.map(([code]) => code), "LAST"]
          .flatMap((code, index) => code === "" ? [] : [{ line: index + 1, code }])
        expect(found).toEqual(expected)
      }
    ))
  })

  it("of CSV quote what needs it, and hold no formula", () => {
    expect(csvOf([["a,b", 1, "say \"hi\"", "=1+1", -5, "줄\n바꿈"]])).toBe(
      "\"a,b\",1,\"say \"\"hi\"\"\",'=1+1,-5,\"줄\n바꿈\"\r\n"
    )
  })
})

describe("changes and times", () => {
  it("lists what an act changed, without the version", () => {
    expect(changes({ version: 1, couponLimit: 10, name: "a" }, { version: 2, couponLimit: 20, name: "a" })).toEqual([
      { name: "couponLimit", before: "10", after: "20" }
    ])
    expect(changes(null, { id: "x", endTime: null })).toEqual([
      { name: "id", before: undefined, after: "x" },
      { name: "endTime", before: undefined, after: "–" }
    ])
    expect(changes({ a: 1 }, null)).toEqual([])
  })

  it("come back from the inputs of the browser to the second", () => {
    FastCheck.assert(FastCheck.property(FastCheck.integer({ min: 0, max: 4e9 }), (seconds) => {
      const text = toInput(seconds * 1_000)
      // An hour that a zone repeats in autumn has one text for two instants.
      expect(toInput(Date.parse(fromInput(text)))).toBe(text)
    }))
    expect(fromInput("")).toBe("")
    expect(fromInput("no time")).toBe("")
  })
})
