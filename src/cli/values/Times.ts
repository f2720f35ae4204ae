import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { type EpochMillis, formatRfc3339, parseRfc3339 } from "../../domain/Time.ts"
import { instantOf, offsetAt, rulesOfZone, utc, type ZoneRules } from "../../domain/validity/ZoneRules.ts"
import { type CliFailure, usage } from "../CliFailure.ts"

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

const DAY = 86_400_000

/** How times are typed and shown: in one zone. */
export interface Times {
  readonly zone: string
  /**
   * Reads RFC 3339, `now`, a time from now such as `+10m`, or one of the zone's clocks: `12:00`, `today 12:00`,
   * `tomorrow 12:00`, `2025-06-25 12:00`. `12:00` alone is the next time that they show it, or the last one for what
   * has happened already. Gives RFC 3339 in UTC, or what was given if it is RFC 3339.
   */
  readonly parse: (option: string, text: string, side?: "next" | "last") => Effect.Effect<string, CliFailure>
  /** RFC 3339 with the zone's offset at that time; empty without a time. */
  readonly show: (time: EpochMillis | string | null | undefined) => string
}

const FORMS = "a time such as 2025-06-25T00:00:00Z, now, +90s, +10m, +2h, +1d, 12:00, tomorrow 12:00 or " +
  "2025-06-25 12:00"

const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}.*(?:[Zz]|[+-]\d{2}:\d{2})$/

const LOCAL = /^(?:(today|tomorrow|yesterday|\d{4}-\d{2}-\d{2})[ T])?(\d{1,2}):(\d{2})(?::(\d{2}))?$/

const DAYS = { yesterday: -1, today: 0, tomorrow: 1 } as const

/** Midnight of a day, as milliseconds of a clock that is UTC; `undefined`: the calendar has no such day. */
const dayOf = (text: string): number | undefined => {
  const day = Date.parse(`${text}T00:00:00Z`)
  return Number.isNaN(day) || new Date(day).toISOString().slice(0, 10) !== text ? undefined : day
}

/** The instants that a time of the zone's clocks may be, in order of preference; none: the calendar has it not. */
const candidates = (rules: ZoneRules, text: string, now: EpochMillis, side: "next" | "last"): ReadonlyArray<number> => {
  const [, date, hours, minutes, seconds = "0"] = LOCAL.exec(text) ?? []
  if (hours === undefined || Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return []
  const time = ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1_000
  const today = Math.floor((now + offsetAt(rules, now)) / DAY) * DAY
  const ofDay = (day: number): ReadonlyArray<number> => {
    const { at } = instantOf(rules, day + time)
    return at === undefined ? [] : [at]
  }
  if (date === undefined) {
    const near = [-1, 0, 1, 2].flatMap((days) => ofDay(today + days * DAY))
    return side === "next" ? near.filter((at) => at > now) : near.filter((at) => at <= now).toReversed()
  }
  const day = date in DAYS ? today + DAYS[date as keyof typeof DAYS] * DAY : dayOf(date)
  return day === undefined ? [] : ofDay(day)
}

const pad = (part: number): string => String(part).padStart(2, "0")

const offsetText = (millis: number): string => {
  const minutes = Math.round(Math.abs(millis) / 60_000)
  return `${millis < 0 ? "-" : "+"}${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`
}

const make = (zone: string, rules: ZoneRules): Times => ({
  zone,
  parse: (option, text, side = "next") =>
    Effect.suspend(() => {
      const now = Date.now()
      if (text === "now") return Effect.succeed(formatRfc3339(now))
      const match = /^\+(\d{1,6})([smhd])$/.exec(text)
      if (match !== null) {
        return Effect.succeed(formatRfc3339(now + Number(match[1]) * UNITS[match[2] as keyof typeof UNITS]))
      }
      if (LOCAL.test(text)) {
        const [at] = candidates(rules, text, now, side)
        return at === undefined
          ? Effect.fail(usage(`${option}: the clocks of ${zone} do not show ${text}`))
          : Effect.succeed(formatRfc3339(at))
      }
      // The service checks the rest of RFC 3339.
      return RFC_3339.test(text) ? Effect.succeed(text) : Effect.fail(usage(`${option} must be ${FORMS}`))
    }),
  show: (time) => {
    if (time === null || time === undefined || time === "") return ""
    const at = typeof time === "number" ? time : Either.getOrUndefined(parseRfc3339("time", time))
    // A time that this version cannot read is shown as it is.
    if (at === undefined) return String(time)
    const offset = offsetAt(rules, at)
    return offset === 0 ? formatRfc3339(at) : formatRfc3339(at + offset).replace(/Z$/, offsetText(offset))
  }
})

/** The zone of this machine, or of TZ; UTC if that is none of the IANA database. */
export const ofMachine = (): Times => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
  const rules = rulesOfZone(zone)
  return rules === undefined ? make("UTC", utc) : make(zone, rules)
}

/** `zone`: of the IANA database, such as Asia/Seoul. */
export const ofZone = (zone: string): Effect.Effect<Times, CliFailure> => {
  const rules = rulesOfZone(zone)
  return rules === undefined
    ? Effect.fail(usage("--tz must be a zone of the IANA database, such as Asia/Seoul or UTC"))
    : Effect.succeed(make(zone, rules))
}
