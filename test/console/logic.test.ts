import * as FastCheck from "fast-check"
import { describe, expect, it } from "vitest"
import { CampaignStatus } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import { saleCounts, type SaleSecond } from "../../src/domain/sale/SaleSecond.ts"
import * as Attention from "../../console/src/logic/Attention.ts"
import { changes, lineOf } from "../../console/src/logic/Changes.ts"
import { closedAt } from "../../console/src/logic/ClosedAt.ts"
import { clockText, durationText, partsOf } from "../../console/src/logic/Countdown.ts"
import { csvOf } from "../../console/src/logic/Csv.ts"
import { changeTexts, type FieldWords } from "../../console/src/logic/FieldText.ts"
import * as Format from "../../console/src/logic/Format.ts"
import { funnelOf } from "../../console/src/logic/Funnel.ts"
import { isOver } from "../../console/src/logic/KeyState.ts"
import { lastSeen } from "../../console/src/logic/LastSeen.ts"
import { fromInput, toInput } from "../../console/src/logic/LocalTime.ts"
import * as Outcomes from "../../console/src/logic/Outcomes.ts"
import { added, project, rateOf } from "../../console/src/logic/Projection.ts"
import { refusalTag } from "../../console/src/logic/RefusalTag.ts"
import { busiestSecond, curveOf, MAX_POINTS as CURVE_POINTS } from "../../console/src/logic/SaleRecord.ts"
import * as Sale from "../../console/src/logic/Sale.ts"
import * as Series from "../../console/src/logic/Series.ts"
import { oneAtATime } from "../../console/src/logic/OneAtATime.ts"
import * as ServerClock from "../../console/src/logic/ServerClock.ts"
import { idOf, idsOf, wholeNumber } from "../../console/src/logic/WholeNumber.ts"

describe("numbers that are typed", () => {
  it("are whole and in their bounds, with or without commas where they belong", () => {
    const typed = (text: string) => wholeNumber(text, 1, 10_000_000)
    expect([" 20000 ", "20,000", "10,000,000", "007"].map(typed)).toEqual([20_000, 20_000, 10_000_000, 7])
    for (const text of ["", "0", "1e3", "1.0", "0x10", "1,00", "1,0000", ",100", "10000001", "-1", "100,000,000"]) {
      expect(typed(text), text).toBeUndefined()
    }
  })

  it("of campaigns are what the service can have", () => {
    expect(idOf("2147483647")).toBe(2_147_483_647)
    expect(idOf("2147483648")).toBeUndefined()
    expect(idsOf(" 1, 2 3,")).toEqual([1, 2, 3])
    expect(idsOf("")).toEqual([])
    expect(idsOf("1, #2")).toBeUndefined()
  })
})

describe("keys", () => {
  it("are over when they are revoked, replaced for long enough, or expired", () => {
    const key = { endsAt: null, expiresAt: null, revokedAt: null }
    const over = (fields: object) => isOver({ ...key, ...fields }, 100)
    expect([{}, { endsAt: 101 }, { expiresAt: 101, endsAt: 102 }].map(over)).toEqual([false, false, false])
    expect([{ revokedAt: 1 }, { endsAt: 100 }, { expiresAt: 100, endsAt: 102 }].map(over)).toEqual([true, true, true])
  })
})

describe("an answer that is none of success", () => {
  it("is what its message says, and without one of the API what its status says", () => {
    expect(refusalTag(401, "the API key is unknown, revoked or expired")).toBe("UNAUTHENTICATED")
    expect([403, 429, 503].map((status) => refusalTag(status)))
      .toEqual(["PERMISSION_DENIED", "RATE_LIMITED", "UNAVAILABLE"])
    expect(refusalTag(429, "OVERLOADED: as many read the live state as may at once")).toBe("OVERLOADED")
    expect(refusalTag(502, "Bad gateway")).toBeUndefined()
  })
})

describe("data of two streams", () => {
  it("is as old as the last message of either, if both are lost", () => {
    const watch = { state: "lost", lastAt: 100 }
    expect(lastSeen(watch)).toBe(100)
    expect(lastSeen(watch, { state: "lost", lastAt: 107 })).toBe(107)
    expect(lastSeen(watch, { state: "lost", lastAt: 0 })).toBe(100)
    expect(lastSeen(watch, { state: "live", lastAt: 107 })).toBe(100)
  })
})

describe("a read", () => {
  it("runs once at a time, and once more for all that ask meanwhile", async () => {
    const answers: Array<() => void> = []
    const read = oneAtATime(() => new Promise<void>((resolve) => answers.push(resolve)))
    const all = [read(), read(), read()]
    expect(answers).toHaveLength(1)
    answers[0]!()
    await Promise.resolve()
    await Promise.resolve()
    expect(answers).toHaveLength(2)
    answers[1]!()
    await Promise.all(all)
    expect(answers).toHaveLength(2)
  })

  it("that fails is over, and the next one runs", async () => {
    let runs = 0
    const read = oneAtATime(() => ++runs === 1 ? Promise.reject(new Error("away")) : Promise.resolve())
    await expect(read()).rejects.toThrow("away")
    await read()
    expect(runs).toBe(2)
  })
})

describe("what needs attention of webhooks", () => {
  const webhook = { id: "w", host: "shop.example", backlog: 7, lagMillis: 0, state: "ENABLED" as const }
  const of = (fields: object) => Attention.ofWebhook({ ...webhook, ...fields })

  it("is that one fails or is late, with what waits and for how long, or that one is disabled", () => {
    expect(of({ lagMillis: Attention.WEBHOOK_LAG_MILLIS })).toEqual([])
    const { backlog, host, id } = webhook
    expect(of({ lagMillis: 60_001 })).toEqual([{ _tag: "WebhookLate", id, host, backlog, lagMillis: 60_001 }])
    expect(of({ lagMillis: 9, state: "FAILING" }))
      .toEqual([{ _tag: "WebhookFailing", id, host, backlog, lagMillis: 9 }])
    expect(of({ lagMillis: 60_001, state: "DISABLED" })).toEqual([{ _tag: "WebhookDisabled", id, host }])
  })

  it("is later than what is urgent", () => {
    const late = of({ lagMillis: 60_001 })
    const disabled = of({ state: "DISABLED" })
    expect(Attention.sorted([...late, ...disabled])).toEqual([...disabled, ...late])
    expect([...late, ...disabled].map(Attention.isUrgent)).toEqual([false, true])
  })
})

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

/** A second of a sale, with these counts and zeros. */
const second = (at: number, counts: Partial<Sale.Counts>): SaleSecond => [
  at,
  ...saleCounts.map((name) => counts[name] ?? 0)
]

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

  it("of a campaign are sums of its seconds", () => {
    const seconds = [second(10, { issued: 3, shed: 1, reserved: 4, unread: 7 }), second(11, { soldOut: 2 })]
    const counts = Sale.sumOf([...seconds, second(12, { issued: 1 })], 10, 12)
    expect(funnelOf(counts)).toEqual({ arrived: 6, admitted: 5, reserved: 4, committed: 0, delivered: 0 })
    expect(Outcomes.byKindOf(counts, 2)).toEqual({ ...Outcomes.none, issued: 1.5, soldOut: 1, shed: 4 })
  })
})

describe("the chart", () => {
  const all = Array.from({ length: 950 }, (_, k) => second(1_001 + k, { issued: k }))

  it("has at most so many points, none of what is not known, and the mean of what it joins", () => {
    const seconds = Sale.merged([], all)
    expect(seconds).toHaveLength(900)
    const now = 1_951
    const quarter = Series.pointsOf(seconds, Series.spanOf("quarter", seconds, now), 0)
    expect(quarter).toHaveLength(Series.MAX_POINTS)
    // The seconds 1945 to 1949.
    expect(quarter.at(-2)).toEqual({ at: 1_945_000, perSecond: { ...Outcomes.none, issued: 946 } })
    const minute = Series.spanOf("minute", seconds, now)
    expect(Series.pointsOf(seconds, minute, 0)).toHaveLength(60)
    expect(Series.pointsOf(seconds, minute, now - 9.5)).toHaveLength(9)
    // A second without claims is one, and no gap.
    const later = Series.pointsOf(seconds, Series.spanOf("minute", seconds, now + 30), 0)
    expect(later.at(-1)!.perSecond).toEqual(Outcomes.none)
  })

  it("shows of a whole sale what there is of it", () => {
    const seconds = [second(100, { issued: 5 }), second(4_000, { soldOut: 1 })]
    const span = Series.spanOf("sale", seconds, 90_000)
    expect(span).toEqual({ from: 100, until: 4_001 })
    const points = Series.pointsOf(seconds, span, 0)
    expect(points.length).toBeLessThanOrEqual(Series.MAX_POINTS)
    expect(points.at(-1)!.perSecond.soldOut).toBeGreaterThan(0)
    expect(Series.pointsOf([], Series.spanOf("sale", [], 90_000), 0)).toHaveLength(1)
  })

  it("takes later news of a second in place of earlier ones", () => {
    const known = [second(5, { issued: 1 }), second(7, { issued: 1 })]
    expect(Sale.merged(known, [])).toBe(known)
    expect(Sale.merged(known, [second(6, { issued: 2 }), second(7, { issued: 3 })])).toEqual(
      [second(5, { issued: 1 }), second(6, { issued: 2 }), second(7, { issued: 3 })]
    )
    expect(Sale.wholeUntil(10_900)).toBe(9)
  })
})

describe("the record of a sale", () => {
  it("is closed by its end, or by an operator before that", () => {
    const updatedAt = "2026-11-30T03:00:00Z"
    const endTime = "2026-11-30T04:00:00Z"
    expect(closedAt({ endTime: "", status: CampaignStatus.PAUSED, updatedAt })).toBe(undefined)
    expect(closedAt({ endTime, status: CampaignStatus.ACTIVE, updatedAt })).toBe(Date.parse(endTime))
    expect(closedAt({ endTime: "", status: CampaignStatus.ENDED, updatedAt })).toBe(Date.parse(updatedAt))
    expect(closedAt({ endTime, status: CampaignStatus.ENDED, updatedAt })).toBe(Date.parse(updatedAt))
    const late = "2026-11-30T05:00:00Z"
    expect(closedAt({ endTime, status: CampaignStatus.ENDED, updatedAt: late })).toBe(Date.parse(endTime))
  })

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
  it("of CSV quote what needs it, and hold no formula", () => {
    expect(csvOf([["a,b", 1, "say \"hi\"", "=1+1", -5, "줄\n바꿈"]])).toBe(
      "\"a,b\",1,\"say \"\"hi\"\"\",'=1+1,-5,\"줄\n바꿈\"\r\n"
    )
  })
})

describe("changes and times", () => {
  it("lists what an act changed, without the version", () => {
    expect(changes({ version: 1, couponLimit: 10, name: "a" }, { version: 2, couponLimit: 20, name: "a" })).toEqual([
      { name: "couponLimit", before: 10, after: 20 }
    ])
    expect(changes(null, { id: "x", endTime: null })).toEqual([
      { name: "id", before: undefined, after: "x" },
      { name: "endTime", before: undefined, after: null }
    ])
    // What was removed, and a field that is left out where it has its default.
    expect(changes({ a: 1 }, null)).toEqual([{ name: "a", before: 1, after: undefined }])
    expect(changes({ undoWindow: "PT1H" }, {})).toEqual([{ name: "undoWindow", before: "PT1H", after: undefined }])
    expect(changes(null, null)).toEqual([])
  })

  it("say an act in words, with times of the page's zone, and what they do not know by its own name", () => {
    const names = new Map([["couponLimit", "한도(장)"], ["startTime", "시작"], ["undoWindow", "사용 취소"]])
    const words: FieldWords = {
      name: (field) => names.get(field) ?? field,
      value: (field, value) =>
        field === "status" && value === "PAUSED" ? "일시중지" : field === "endTime" && value === null ? "없음" : undefined,
      absent: (field) => field === "undoWindow" ? "기본값" : undefined,
      yes: "예",
      no: "아니요"
    }
    const korean = Format.make("ko-KR", "Asia/Seoul")
    const lines = (before: unknown, after: unknown) => changeTexts(before, after, words, korean).map(lineOf)
    const before = { couponLimit: 3_000, startTime: "2026-11-30T03:00:00Z", status: "ACTIVE", undoWindow: "PT1H" }
    expect(lines(before, { couponLimit: 4_000, startTime: "2026-11-30T03:30:00.000Z", status: "PAUSED" })).toEqual([
      "한도(장): 3,000 → 4,000",
      "시작: 2026. 11. 30. 12:00:00 GMT+9 → 2026. 11. 30. 12:30:00 GMT+9",
      "status: ACTIVE → 일시중지",
      "사용 취소: 1시간 → 기본값"
    ])
    // Of what is made or removed, the facts.
    expect(lines(null, { undoWindow: "PT1H", endTime: null })).toEqual(["사용 취소: 1시간", "endTime: 없음"])
    expect(lines({ undoWindow: "PT1H" }, null)).toEqual(["사용 취소: 1시간"])
    // Of a later version, or by an operator's hand.
    const odd = { startTime: "noon", later: "2026-11-30T03:00:00Z", couponLimit: "many", n: 12_345, toString: 1 }
    expect(lines(null, odd)).toEqual([
      "시작: noon", "later: 2026-11-30T03:00:00Z", "한도(장): many", "n: 12345", "toString: 1"
    ])
    expect(lines(null, { discard: true, ids: [1, 2], none: [], coupon: { number: 5, startTime: null } })).toEqual([
      "discard: 예", "ids: 1, 2", "none: –", "coupon: number 5, 시작 –"
    ])
  })

  it("say a duration in words, and keep what is none", () => {
    const [english, korean] = [Format.make("en-US", "UTC"), Format.make("ko-KR", "UTC")]
    expect(english.duration("P30D")).toBe("30 days")
    expect(english.duration("P1M")).toBe("1 month")
    expect(english.duration("P1DT2H5M")).toBe("1 day 2 hours 5 minutes")
    expect(korean.duration("P30D")).toBe("30일")
    for (const none of ["", "P", "PT", "P1DT", "30 days"]) expect(english.duration(none)).toBe(none)
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
