/** What a countdown shows: whole units, none of them negative. */
export interface Parts {
  readonly days: number
  readonly hours: number
  readonly minutes: number
  readonly seconds: number
}

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** A span taken apart. A part of a second counts as a whole one, so that 0 appears only when the time has come. */
export const partsOf = (millis: number): Parts => {
  const left = Math.max(0, Math.ceil(millis / SECOND) * SECOND)
  return {
    days: Math.floor(left / DAY),
    hours: Math.floor(left % DAY / HOUR),
    minutes: Math.floor(left % HOUR / MINUTE),
    seconds: Math.floor(left % MINUTE / SECOND)
  }
}

const two = (value: number): string => String(value).padStart(2, "0")

/** `2:03:04:05` with days, else `03:04:05`. */
export const clockText = (millis: number): string => {
  const { days, hours, minutes, seconds } = partsOf(millis)
  return `${days > 0 ? `${days}:` : ""}${two(hours)}:${two(minutes)}:${two(seconds)}`
}

/** As an ISO 8601 duration, for the `datetime` of a `time` element: `P2DT3H4M5S`. */
export const durationText = (millis: number): string => {
  const { days, hours, minutes, seconds } = partsOf(millis)
  return `P${days}DT${hours}H${minutes}M${seconds}S`
}
