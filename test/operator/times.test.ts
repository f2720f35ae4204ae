import * as Effect from "effect/Effect"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { opening } from "../../src/cli/campaigns/CreateCommand.ts"
import * as Times from "../../src/cli/values/Times.ts"

/** Saturday, 18:30:00 in Seoul, 10:30 in Berlin. */
const NOW = "2026-03-28T09:30:00Z"

describe("times of the command", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"], now: new Date(NOW) }))
  afterEach(() => void vi.useRealTimers())

  const times = (zone: string) => Effect.runSync(Times.ofZone(zone))
  const read = (zone: string, text: string, side?: "next" | "last") =>
    Effect.runSync(Effect.either(times(zone).parse("--start", text, side)))
  const readable = (zone: string, text: string, side?: "next" | "last") => read(zone, text, side).pipe(
    (outcome) => outcome._tag === "Right" ? outcome.right : outcome.left.message
  )

  it.each([
    ["UTC", "2025-06-25T00:00:00Z", "2025-06-25T00:00:00Z"],
    ["Asia/Seoul", "2025-06-25T00:00:00+02:00", "2025-06-25T00:00:00+02:00"],
    ["UTC", "now", "2026-03-28T09:30:00Z"],
    ["Asia/Seoul", "+90s", "2026-03-28T09:31:30Z"],
    ["UTC", "12:00", "2026-03-28T12:00:00Z"],
    // It is past noon there, so tomorrow's.
    ["Asia/Seoul", "12:00", "2026-03-29T03:00:00Z"],
    ["Asia/Seoul", "18:30", "2026-03-29T09:30:00Z"],
    ["Asia/Seoul", "9:05", "2026-03-29T00:05:00Z"],
    ["Asia/Seoul", "today 12:00", "2026-03-28T03:00:00Z"],
    ["Asia/Seoul", "tomorrow 12:00", "2026-03-29T03:00:00Z"],
    ["Asia/Seoul", "yesterday 23:59:59", "2026-03-27T14:59:59Z"],
    ["Asia/Seoul", "2026-12-01 12:00", "2026-12-01T03:00:00Z"],
    ["America/New_York", "2026-12-01T12:00", "2026-12-01T17:00:00Z"],
    // Clocks are put forward in this night.
    ["Europe/Berlin", "tomorrow 12:00", "2026-03-29T10:00:00Z"],
    // Clocks show this twice: the first one.
    ["Europe/Berlin", "2026-10-25 02:30", "2026-10-25T00:30:00Z"]
  ])("in %s, %s is %s", (zone, text, time) => {
    expect(readable(zone, text)).toBe(time)
  })

  it("are the last ones for what has happened", () => {
    expect(readable("Asia/Seoul", "12:00", "last")).toBe("2026-03-28T03:00:00Z")
    expect(readable("UTC", "12:00", "last")).toBe("2026-03-27T12:00:00Z")
  })

  it.each(["2026-03-29 02:30", "2026-02-30 12:00", "24:00", "12:60", "tomorrow 25:00"])(
    "%s is none that clocks in Berlin show",
    (text) => {
      expect(readable("Europe/Berlin", text)).toBe(`--start: the clocks of Europe/Berlin do not show ${text}`)
    }
  )

  it.each(["noon", "tomorrow", "2026-03-29", "next week 12:00", "-1h", "12", ""])("%s is none", (text) => {
    expect(readable("UTC", text)).toMatch(/^--start must be a time such as /)
  })

  it("are shown with the zone's offset", () => {
    const { show } = times("Asia/Seoul")
    expect([show("2026-03-28T09:30:00Z"), show(Date.parse(NOW) + 5)]).toEqual(
      ["2026-03-28T18:30:00+09:00", "2026-03-28T18:30:00.005+09:00"]
    )
    expect(times("UTC").show("2026-03-28T10:30:00+01:00")).toBe("2026-03-28T09:30:00Z")
    expect(times("America/St_Johns").show("2026-01-01T00:00:00Z")).toBe("2025-12-31T20:30:00-03:30")
    expect(times("Europe/Berlin").show("2026-07-01T00:00:00Z")).toBe("2026-07-01T02:00:00+02:00")
    expect([show(""), show(null), show(undefined), show("soon")]).toEqual(["", "", "", "soon"])
  })

  it("say when a campaign that was made opens", () => {
    const made = { name: "여름", couponLimit: 1_000n, startTime: "2026-03-28T11:00:00Z", endTime: "" }
    expect(opening(made, times("Asia/Seoul"), Date.now())).toBe(
      "여름: 1000 coupons, opens in 1 h 30 min, at 2026-03-28T20:00:00+09:00"
    )
    const open = { ...made, couponLimit: 1n, startTime: NOW, endTime: "2026-03-29T00:00:00Z" }
    expect(opening(open, times("UTC"), Date.now())).toBe(
      "여름: 1 coupon, open since 2026-03-28T09:30:00Z, ends at 2026-03-29T00:00:00Z"
    )
  })
})
