import * as Either from "effect/Either"
import { describe, expect, it } from "vitest"
import * as ActReason from "../../src/domain/audit/ActReason.ts"
import { parseOrder, parsePatch } from "../../src/domain/Campaign.ts"
import * as DisplayName from "../../src/domain/DisplayName.ts"
import * as RequestId from "../../src/domain/requests/RequestId.ts"
import { formatRfc3339, parseRfc3339 } from "../../src/domain/Time.ts"
import { nearest } from "../../src/base/Nearest.ts"

describe("a name", () => {
  it.each([
    "여름", "été", "e\u0301te\u0301", "עברית", "بهار\u200cخوب", "\u200fעברית 5%\u200f", "🎟️", "👩‍👩‍👧",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "-", " x ", "ᄀᅠ",
    // Newer than this program's Unicode, perhaps.
    "\u{1FAEA}", "\u{10FFFD}"
  ])("may be %j", (name) => {
    expect(DisplayName.flawOf(name)).toBeUndefined()
  })

  const flawed: ReadonlyArray<readonly [name: string, flaw: RegExp]> = [
    ["", /empty/], [" \t", /empty/], ["\u00a0\u3000", /empty/], ["a\nb", /control/], ["a\u0085b", /control/],
    ["a\u2028b", /control/], ["\ud800", /control/], ["\u202eabc", /direction/], ["abc\u202c", /direction/],
    ["\u2067abc\u2069", /direction/], ["abc\u202a", /direction/], ["\u200b", /seen/], ["\u200e\u200f\u061c", /seen/],
    ["\u2060\ufeff", /seen/], ["\u00ad", /seen/], ["\u3164", /seen/], ["\u115f\u1160\uffa0", /seen/],
    ["\u2800\u2800", /seen/], ["\u{e0041}\u{e007f}", /seen/], ["\ufe0f", /seen/], ["\u0301", /seen/],
    ["\u034f \u180e", /seen/]
  ]
  it.each(flawed)("must not be %j", (name, flaw) => {
    expect(DisplayName.flawOf(name)).toMatch(flaw)
  })
})

describe("a request id", () => {
  const widest = "\u{1f39f}".repeat(RequestId.MAX_REQUEST_ID_LENGTH)

  it("has one bound, in code points, whatever it names", () => {
    for (const parse of [RequestId.parse, RequestId.parseText]) {
      expect(parse(widest)).toEqual(Either.right(widest))
      expect(parse(" a ")).toEqual(Either.right(" a "))
      for (const text of ["", `${widest}a`]) {
        expect(Either.flip(parse(text))).toMatchObject({
          right: { field: "requestId", reason: "must be 1 to 64 characters" }
        })
      }
    }
  })

  it("holds no control character where the ledger stores it as text", () => {
    expect(RequestId.parse("a\0b")).toEqual(Either.right("a\0b"))
    expect(Either.isLeft(RequestId.parseText("a\0b"))).toBe(true)
  })
})

describe("the reason of an act", () => {
  const sent = (reason: string) => ActReason.ofHeader(ActReason.headers(reason)[ActReason.HEADER])

  it.each([
    ["VIP 요청", "VIP 요청"], ["  two\r\n lines\t", "two lines"], ["100% \"sure\" %41", "100% \"sure\" %41"],
    ["e\u0301te\u0301", "été"], ["a\u202eb\u0007", "a?b?"], ["🎟".repeat(300), "🎟".repeat(200)],
    ["\ud800", "\ufffd"], ["", undefined], [" \u200b\n", undefined]
  ])("arrives as one line of what can be seen: %j", (given, kept) => {
    expect(sent(given)).toBe(kept)
  })

  it("is taken as it is where it is not percent-encoded", () => {
    expect(ActReason.ofHeader("100% sure")).toBe("100% sure")
    expect(ActReason.ofHeader("%EC%BF")).toBe("%EC%BF")
    expect(ActReason.ofHeader(undefined)).toBeUndefined()
    expect(ActReason.ofHeader("%00%1b%5b2J")).toBe("??[2J")
  })
})

describe("a time", () => {
  const read = (text: string) =>
    Either.match(parseRfc3339("at", text), { onLeft: ({ reason }) => reason, onRight: formatRfc3339 })

  it.each([
    ["2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"],
    ["2016-12-31T23:59:60.999999999Z", "2017-01-01T00:00:00.999Z"],
    ["2017-01-01T08:59:60+09:00", "2017-01-01T00:00:00Z"],
    ["2016-12-31t15:59:60-08:00", "2017-01-01T00:00:00Z"],
    ["2024-02-29T10:15:60Z", "2024-02-29T10:16:00Z"],
    ["2016-12-31T23:59:59Z", "2016-12-31T23:59:59Z"]
  ])("%s is %s", (text, time) => {
    expect(read(text)).toBe(time)
  })

  it.each([
    "2016-12-31T23:59:61Z", "2016-12-31T23:60:00Z", "2016-12-31T24:00:00Z", "2016-12-31T24:00:60Z",
    "2016-02-30T23:59:60Z"
  ])(
    "%s does not exist",
    (text) => {
      expect(read(text)).toMatch(/exists in the calendar/)
    }
  )

  it("ends with the year 2099, leap second or not", () => {
    expect(read("2099-12-31T23:59:59Z")).toBe("2099-12-31T23:59:59Z")
    expect(read("2099-12-31T23:59:60Z")).toMatch(/2000 to 2099/)
  })
})

describe("a window", () => {
  const now = Date.UTC(2026, 0, 1)
  const input = { name: "x", couponLimit: 1n, startTime: "2025-01-01T00:00:00Z" }
  const draft = (endTime: string, allowPastEnd = false) =>
    Either.match(parseOrder({ ...input, endTime, allowPastEnd, requestId: "" }, now), {
      onLeft: ({ field }) => field,
      onRight: () => "taken"
    })

  it("that is over is refused, unless asked for", () => {
    expect(draft("2026-01-01T00:00:00Z")).toBe("endTime")
    expect(draft("2026-01-01T00:00:00Z", true)).toBe("taken")
    expect(draft("2026-01-01T00:00:00.001Z")).toBe("taken")
    expect(draft("")).toBe("taken")
    expect(draft("2024-01-01T00:00:00Z", true)).toBe("endTime")
  })
})

describe("an update", () => {
  it("must set something", () => {
    expect(parsePatch({ allowPastEnd: true })).toMatchObject({ left: { field: "body" } })
    expect(parsePatch({ endTime: "", allowPastEnd: false })).toEqual(
      Either.right({ patch: { endTime: undefined }, allowPastEnd: false })
    )
  })
})

describe("the nearest name", () => {
  const names = ["campaignId", "expectedVersion", "name", "couponLimit", "startTime", "endTime", "allowPastEnd"]
  it.each([
    ["limit", "couponLimit"], ["coupon_limit", "couponLimit"], ["couponlimit", "couponLimit"],
    ["cuoponLimit", "couponLimit"], ["couponLimits", "couponLimit"], ["start", "startTime"], ["end", "endTime"],
    ["endtiem", "endTime"], ["version", "expectedVersion"], ["id", undefined], ["campaign", "campaignId"],
    ["campaign-name", "name"], ["nam", "name"], ["colour", undefined], ["", undefined], ["__proto__", undefined],
    ["x".repeat(1_000_000), undefined]
  ])("of %.20s is %s", (written, expected) => {
    expect(nearest(written, names)).toBe(expected)
  })
})
