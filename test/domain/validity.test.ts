import * as DateTime from "effect/DateTime"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { describe, expect, it } from "vitest"
import { expiryOf, parseValidity, validityFromText, validityText } from "../../src/domain/validity/CouponValidity.ts"
import { parseIsoDuration } from "../../src/domain/validity/IsoDuration.ts"
import { formatUndoWindow, parseUndoWindow } from "../../src/domain/validity/UndoWindow.ts"
import {
  addDuration, endOfDay, rulesFromText, rulesOfZone, rulesText, type ZoneRules
} from "../../src/domain/validity/ZoneRules.ts"

const rules = (zone: string): ZoneRules => rulesOfZone(zone)!

/** Without changes, with them by an hour or half of one, at midnight, over the date line, and without a day. */
const zones = [
  "Asia/Seoul", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Beirut", "America/Havana",
  "America/Santiago", "Africa/Casablanca", "Pacific/Apia", "Antarctica/Troll", "Asia/Kathmandu", "UTC"
]

/** When a coupon that is issued then expires. */
const expiry = (issuedAt: string, after: string, endOfDayZone = "") => {
  const validity = Either.getOrThrow(parseValidity({ until: "", after, endOfDayZone }))!
  const of = endOfDayZone === "" ? undefined : rules(endOfDayZone)
  return new Date(expiryOf(validity, of, Date.parse(issuedAt))).toISOString()
}

describe("when a coupon expires", () => {
  it("is so long after its issue, by the calendar of UTC", () => {
    expect(expiry("2025-06-25T10:00:00.123Z", "PT36H")).toBe("2025-06-26T22:00:00.123Z")
    expect(expiry("2025-06-25T10:00:00Z", "P30D")).toBe("2025-07-25T10:00:00.000Z")
    expect(expiry("2025-01-31T10:00:00Z", "P1M")).toBe("2025-02-28T10:00:00.000Z")
    expect(expiry("2024-01-31T10:00:00Z", "P1M")).toBe("2024-02-29T10:00:00.000Z")
    expect(expiry("2024-02-29T10:00:00Z", "P1Y")).toBe("2025-02-28T10:00:00.000Z")
    expect(expiry("2024-02-29T10:00:00Z", "P4Y")).toBe("2028-02-29T10:00:00.000Z")
    expect(expiry("2024-02-28T23:59:59.999Z", "P1D")).toBe("2024-02-29T23:59:59.999Z")
    expect(expiry("2025-06-25T10:00:00Z", "P1Y2M3W4DT5H6M7S")).toBe("2026-09-19T15:06:07.000Z")
    expect(expiry("2025-06-25T10:00:00Z", "P100Y")).toBe("2125-06-25T10:00:00.000Z")
  })

  it("is the end of the day in a zone, across changes of its clocks and leap days", () => {
    // Seoul has no summer time: the day ends at 15:00 UTC, also the leap day.
    expect(expiry("2024-02-28T14:59:59Z", "P1D", "Asia/Seoul")).toBe("2024-02-29T15:00:00.000Z")
    expect(expiry("2024-02-28T15:00:00Z", "P1D", "Asia/Seoul")).toBe("2024-03-01T15:00:00.000Z")
    expect(expiry("2023-02-28T14:59:59Z", "P1D", "Asia/Seoul")).toBe("2023-03-01T15:00:00.000Z")
    // New York: days of 23 hours (9 March 2025) and of 25 (2 November).
    expect(expiry("2025-03-08T12:00:00Z", "PT1S", "America/New_York")).toBe("2025-03-09T05:00:00.000Z")
    expect(expiry("2025-03-08T12:00:00Z", "P1D", "America/New_York")).toBe("2025-03-10T04:00:00.000Z")
    expect(expiry("2025-11-01T12:00:00Z", "P1D", "America/New_York")).toBe("2025-11-03T05:00:00.000Z")
    // 23:30 a day later is there once; 24 hours later it is half past midnight.
    expect(expiry("2025-03-09T03:30:00Z", "P1D", "America/New_York")).toBe("2025-03-10T04:00:00.000Z")
    expect(expiry("2025-03-09T04:30:00Z", "PT24H", "America/New_York")).toBe("2025-03-11T04:00:00.000Z")
    // Cairo puts its clocks forward at midnight: the day of 24 April 2026 begins at 01:00.
    expect(expiry("2026-04-23T12:00:00Z", "PT1S", "Africa/Cairo")).toBe("2026-04-23T22:00:00.000Z")
    expect(expiry("2026-04-23T12:00:00Z", "P1D", "Africa/Cairo")).toBe("2026-04-24T21:00:00.000Z")
    // Lord Howe changes by half an hour.
    expect(expiry("2025-10-04T00:00:00Z", "PT1S", "Australia/Lord_Howe")).toBe("2025-10-04T13:30:00.000Z")
    expect(expiry("2025-10-04T15:00:00Z", "PT1S", "Australia/Lord_Howe")).toBe("2025-10-05T13:00:00.000Z")
    // Havana shows midnight twice when it puts its clocks back: the first one ends the day.
    expect(expiry("2025-11-01T12:00:00Z", "PT1S", "America/Havana")).toBe("2025-11-02T04:00:00.000Z")
    expect(expiry("2025-11-02T12:00:00Z", "PT1S", "America/Havana")).toBe("2025-11-03T05:00:00.000Z")
    // Samoa had no 30 December 2011.
    expect(expiry("2011-12-29T12:00:00Z", "PT1S", "Pacific/Apia")).toBe("2011-12-30T10:00:00.000Z")
    expect(expiry("2011-12-29T12:00:00Z", "P1D", "Pacific/Apia")).toBe("2011-12-31T10:00:00.000Z")
  })

  it("is an instant for all", () => {
    const until = "2025-12-31T23:59:59+09:00"
    const validity = Either.getOrThrow(parseValidity({ until, after: "", endOfDayZone: "" }))
    expect(validity).toEqual({ _tag: "Until", until: Date.UTC(2025, 11, 31, 14, 59, 59) })
    expect(expiryOf(validity!, undefined, 0)).toBe(Date.UTC(2025, 11, 31, 14, 59, 59))
  })

  it("is stored as it was read", () => {
    for (
      const input of [
        { until: "2025-12-31T00:00:00Z", after: "", endOfDayZone: "" },
        { until: "", after: "P30D", endOfDayZone: "" },
        { until: "", after: "P1Y", endOfDayZone: "America/New_York" }
      ]
    ) {
      const validity = Either.getOrThrow(parseValidity(input))!
      expect(validityFromText(validityText(validity))).toEqual(validity)
    }
  })
})

const at = FastCheck.integer({ min: Date.UTC(2001, 0), max: Date.UTC(2150, 0) })
const zone = FastCheck.constantFrom(...zones)

/** What the zone's calendar shows, by Node. */
const dateIn = (zone: string) => {
  const format = new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" })
  return (at: number) => format.format(at)
}

describe("the rules of a zone", () => {
  it("are those of the database, at every time", () => {
    FastCheck.assert(FastCheck.property(zone, at, (zone, at) => {
      const timeZone = DateTime.zoneUnsafeMakeNamed(zone)
      const offset = DateTime.zonedOffset(DateTime.unsafeMakeZoned(at, { timeZone }))
      const { changes, offset: first } = rules(zone)
      expect((changes.findLast((change) => change.at <= at)?.offset ?? first) * 1_000).toBe(offset)
    }), { numRuns: 3_000 })
  })

  it("are kept as text", () => {
    for (const zone of zones) expect(rulesFromText(rulesText(rules(zone)))).toEqual(rules(zone))
  })

  it("end a day where the next one begins", () => {
    FastCheck.assert(FastCheck.property(zone, at, (zone, at) => {
      const end = endOfDay(rules(zone), at)
      const date = dateIn(zone)
      expect(end).toBeGreaterThan(at)
      expect(date(end - 1)).toBe(date(at))
      expect(date(end) > date(at)).toBe(true)
    }), { numRuns: 3_000 })
  })

  it("end a day that has a change of the clocks where the next one begins", () => {
    for (const zone of zones) {
      const date = dateIn(zone)
      for (const change of rules(zone).changes) {
        for (const at of [-86_400_000, -3_600_000, -1, 0, 3_600_000, 86_399_999].map((by) => change.at + by)) {
          const end = endOfDay(rules(zone), at)
          expect([zone, at, date(end - 1), date(end) > date(at)]).toEqual([zone, at, date(at), true])
        }
      }
    }
  })

  const clockOf = (at: DateTime.Zoned) => {
    const { hours, millis, minutes, seconds } = DateTime.toParts(at)
    return [hours, minutes, seconds, millis].join()
  }

  it("add months and days as a library does", () => {
    const duration = FastCheck.record({
      months: FastCheck.integer({ min: 0, max: 40 }),
      days: FastCheck.integer({ min: 0, max: 400 })
    })
    FastCheck.assert(FastCheck.property(zone, at, duration, (zone, at, { days, months }) => {
      const from = DateTime.unsafeMakeZoned(at, { timeZone: DateTime.zoneUnsafeMakeNamed(zone) })
      const inMonths = months === 0 ? from : DateTime.add(from, { months })
      // The library adds in two steps. Where its first step ends in a gap of the zone's clocks, it goes on from another
      // time of day, which one addition of both does not.
      FastCheck.pre(days === 0 || clockOf(inMonths) === clockOf(from))
      const expected = days === 0 ? inMonths : DateTime.add(inMonths, { days })
      const reached = addDuration(rules(zone), at, { months, days, seconds: 0 })
      expect(reached).toBe(DateTime.toEpochMillis(expected))
    }), { numRuns: 2_000 })
  })

  it("add months and days at once, also over a gap of the clocks", () => {
    // 28 months after 02:00 of 11 November 2032 are within the gap of 11 March 2035; a day later there is a 02:00.
    const at = Date.UTC(2032, 10, 11, 7)
    expect(addDuration(rules("America/New_York"), at, { months: 28, days: 1, seconds: 0 }))
      .toBe(Date.UTC(2035, 2, 12, 6))
  })
})

describe("durations, zones and windows that are refused", () => {
  const reason = (after: string) => Either.match(parseIsoDuration("x", after), {
    onLeft: ({ reason }) => reason, onRight: () => "taken"
  })

  it("are those that are none, of zero, or too long", () => {
    const form = "must be a duration in ISO 8601 of whole numbers, such as P30D, P6M or PT12H"
    for (const text of ["", "P", "PT", "30D", "P1.5D", "-P1D", "P1D ", "P1H", "PT1D", "P1DT", "p1d", "P9999999999D"]) {
      expect([text, reason(text)]).toEqual([text, form])
    }
    for (const text of ["P0D", "PT0S", "P0Y0M0DT0H"]) {
      expect([text, reason(text)]).toEqual([text, "must be longer than zero"])
    }
    for (const text of ["P101Y", "P100YT1S", "P36525D", "PT999999999H", "P999999999Y"]) {
      expect([text, reason(text)]).toEqual([text, "must be at most 100 years"])
    }
    for (const text of ["P100Y", "PT1S", "P36524D", "P1200M"]) expect([text, reason(text)]).toEqual([text, "taken"])
  })

  it("are zones that the database does not have", () => {
    const names = ["Mars/Phobos", "+09:00", "GMT+9:00", "", " Asia/Seoul", "Asia/Seoul\n", "x".repeat(70), "../UTC"]
    for (const zone of names) {
      expect([zone, rulesOfZone(zone)]).toEqual([zone, undefined])
    }
  })

  it("are fields that exclude one another", () => {
    const field = (until: string, after: string, endOfDayZone: string) =>
      Either.match(parseValidity({ until, after, endOfDayZone }), {
        onLeft: ({ field, reason }) => `${field} ${reason}`, onRight: () => "taken"
      })
    expect(field("2025-01-01T00:00:00Z", "P1D", ""))
      .toBe("couponValidity.after must be absent with couponValidity.until")
    expect(field("2025-01-01T00:00:00Z", "", "Asia/Seoul"))
      .toBe("couponValidity.endOfDayZone must be absent with couponValidity.until")
    expect(field("", "", "Asia/Seoul")).toBe("couponValidity.after must be there with couponValidity.endOfDayZone")
    expect(field("", "P1D", "Asia/Soul"))
      .toBe("couponValidity.endOfDayZone must be a zone of the IANA database, such as Asia/Seoul")
    expect(field("2025-02-30T00:00:00Z", "", ""))
      .toBe("couponValidity.until must be a time that exists in the calendar")
    expect(field("", "", "")).toBe("taken")
  })

  it("are undo windows of months, and others are shown in hours", () => {
    expect(Either.isLeft(parseUndoWindow("P1M"))).toBe(true)
    const shown = (text: string) => formatUndoWindow(Either.getOrThrow(parseUndoWindow(text)))
    expect(["", "PT24H", "P1D", "P1W", "PT90M", "PT1S", "P1DT1H1M1S"].map(shown))
      .toEqual(["PT24H", "PT24H", "PT24H", "PT168H", "PT1H30M", "PT1S", "PT25H1M1S"])
  })
})
