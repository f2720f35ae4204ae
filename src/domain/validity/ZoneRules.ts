import type { EpochMillis } from "../Time.ts"
import type { IsoDuration } from "./IsoDuration.ts"

/**
 * How far a time zone is ahead of UTC, and when that changes: a copy of what the IANA database said at one moment. What
 * is computed by a copy stays as it is, whatever later versions of the database say (docs/internals/decisions.md, 41).
 */
export interface ZoneRules {
  /** In seconds, until the first change. */
  readonly offset: number
  /** In order of time; each has the offset from then on. */
  readonly changes: ReadonlyArray<{ readonly at: EpochMillis; readonly offset: number }>
}

export const utc: ZoneRules = { offset: 0, changes: [] }

const MINUTE = 60_000
const DAY = 86_400_000

/** Coupons are issued in the years up to 2099, and are valid for 100 years at most. */
const FROM = Date.UTC(2000, 0, 1)
const TO = Date.UTC(2201, 0, 1)

/** No zone changes its offset and changes it back within so many days (Morocco's shortest pause is of 28). */
const STEP = 14 * DAY

const OFFSET = /GMT(?:([+-])(\d{2}):(\d{2})(?::(\d{2}))?)?$/

/** `undefined`: there is no zone of this name. Offsets, which Node reads too, are no names. */
const formatOf = (zone: string): Intl.DateTimeFormat | undefined => {
  if (!/^[A-Za-z][\w+/-]{0,62}$/.test(zone)) return undefined
  try {
    return new Intl.DateTimeFormat("en-US", { timeZone: zone, timeZoneName: "longOffset" })
  } catch {
    return undefined
  }
}

const readRules = (format: Intl.DateTimeFormat): ZoneRules => {
  const offsetOf = (at: EpochMillis): number => {
    const [, sign, hours = 0, minutes = 0, seconds = 0] = OFFSET.exec(format.format(at))!
    return (Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds)) * (sign === "-" ? -1 : 1)
  }
  const changes: Array<{ readonly at: EpochMillis; readonly offset: number }> = []
  let before = offsetOf(FROM)
  const first = before
  for (let at = FROM; at < TO; at += STEP) {
    const offset = offsetOf(at + STEP)
    if (offset === before) continue
    let [low, high] = [at / MINUTE, (at + STEP) / MINUTE]
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if (offsetOf(middle * MINUTE) === before) low = middle
      else high = middle
    }
    changes.push({ at: high * MINUTE, offset })
    before = offset
  }
  return { offset: first, changes }
}

/** Reading a zone takes some 10 ms, and its rules are as old as this program's database. */
const known = new Map<string, ZoneRules>()

/** The rules of a zone in the IANA database of this program; `undefined`: it has none of this name. */
export const rulesOfZone = (zone: string): ZoneRules | undefined => {
  const before = known.get(zone)
  if (before !== undefined) return before
  const format = formatOf(zone)
  if (format === undefined) return undefined
  const rules = readRules(format)
  known.set(zone, rules)
  return rules
}

/** As `rulesFromText` reads it: the offset, then the minutes from each change to the next and the offset after it. */
export const rulesText = ({ changes, offset }: ZoneRules): string => {
  let last = 0
  return [
    String(offset),
    ...changes.map(({ at, offset }) => {
      const minutes = at / MINUTE
      const text = `${(minutes - last).toString(36)}:${offset}`
      last = minutes
      return text
    })
  ].join(";")
}

export const rulesFromText = (text: string): ZoneRules => {
  const [first, ...rest] = text.split(";")
  let minutes = 0
  return {
    offset: Number(first),
    changes: rest.map((change) => {
      const [since, offset] = change.split(":") as [string, string]
      minutes += Number.parseInt(since, 36)
      return { at: minutes * MINUTE, offset: Number(offset) }
    })
  }
}

/** How many changes have been made at a time. */
const changesBy = ({ changes }: ZoneRules, at: EpochMillis): number => {
  let [low, high] = [0, changes.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (changes[middle]!.at <= at) low = middle + 1
    else high = middle
  }
  return low
}

/** How far the zone is ahead of UTC at a time, in milliseconds. */
export const offsetAt = (rules: ZoneRules, at: EpochMillis): number => {
  const made = changesBy(rules, at)
  return (made === 0 ? rules.offset : rules.changes[made - 1]!.offset) * 1_000
}

/** What the zone's clocks show, as milliseconds of a clock that is UTC. */
const localOf = (rules: ZoneRules, at: EpochMillis): number => at + offsetAt(rules, at)

/**
 * The first instant at which the zone's clocks show this; `undefined`: they leave it out. `before`: when they would
 * show it if they had not been put forward meanwhile.
 */
export const instantOf = (
  rules: ZoneRules,
  local: number
): { readonly at: EpochMillis | undefined; readonly before: number } => {
  const [before, after] = [local - offsetAt(rules, local - DAY), local - offsetAt(rules, local + DAY)]
  const shown = [before, after].filter((at) => localOf(rules, at) === local)
  return { at: shown.length === 0 ? undefined : Math.min(...shown), before }
}

/** A day that the month does not have becomes its last one. */
const addMonths = (local: number, months: number): number => {
  if (months === 0) return local
  const date = new Date(local)
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth() + months, date.getUTCDate()]
  const lastDay = new Date(Date.UTC(year, month + 1, 0)).getUTCDate()
  return Date.UTC(year, month, Math.min(day, lastDay)) + (((local % DAY) + DAY) % DAY)
}

/**
 * Adds a duration as the zone's calendar has it: months and days keep the time of the day, and seconds are exact. A
 * time that clocks leave out is that much later, and of one that they show twice it is the first.
 */
export const addDuration = (rules: ZoneRules, at: EpochMillis, { days, months, seconds }: IsoDuration): EpochMillis => {
  if (months === 0 && days === 0) return at + seconds * 1_000
  const reached = instantOf(rules, addMonths(localOf(rules, at), months) + days * DAY)
  return (reached.at ?? reached.before) + seconds * 1_000
}

/** When the zone's day of this time is over: the first instant of the next one. */
export const endOfDay = (rules: ZoneRules, at: EpochMillis): EpochMillis => {
  const midnight = (Math.floor(localOf(rules, at) / DAY) + 1) * DAY
  const next = instantOf(rules, midnight)
  // Clocks that leave midnight out are put forward to the first time of the day.
  return next.at ?? rules.changes[changesBy(rules, next.before) - 1]!.at
}
