import * as Either from "effect/Either"
import { InvalidArgument } from "./InvalidArgument.ts"

/** Milliseconds since 1970-01-01T00:00:00Z. */
export type EpochMillis = number

const RFC_3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/

/** A campaign outside these years is a typing error. */
const EARLIEST = Date.UTC(2000, 0, 1)
const LATEST = Date.UTC(2100, 0, 1)

/**
 * Reads a time in RFC 3339, section 5.6. Digits beyond milliseconds are cut off. A leap second, `:60`, is accepted in
 * any minute and read as the second that follows, as computer clocks do. Days that do not exist, such as February 30,
 * and years outside 2000 to 2099 are rejected.
 */
export const parseRfc3339 = (field: string, text: string): Either.Either<EpochMillis, InvalidArgument> => {
  const reject = (reason: string) => Either.left(new InvalidArgument({ field, reason }))
  const match = RFC_3339.exec(text)
  if (match === null) return reject("must be a time in RFC 3339, such as 2025-06-25T00:00:00Z")
  const [, year, month, day, hour, minute, second, fraction, sign, offsetHour, offsetMinute] = match
  const millis = Number((fraction ?? "").padEnd(3, "0").slice(0, 3))
  const leap = second === "60"
  const local = Date.UTC(+year!, +month! - 1, +day!, +hour!, +minute!, leap ? 59 : +second!, millis)
  const shown = new Date(local)
  const exists = shown.getUTCFullYear() === +year! && shown.getUTCMonth() === +month! - 1 &&
    shown.getUTCDate() === +day! && shown.getUTCHours() === +hour! && shown.getUTCMinutes() === +minute! &&
    shown.getUTCSeconds() === (leap ? 59 : +second!)
  if (!exists || Number(offsetHour ?? 0) > 23 || Number(offsetMinute ?? 0) > 59) {
    return reject("must be a time that exists in the calendar")
  }
  const offset = (Number(offsetHour ?? 0) * 60 + Number(offsetMinute ?? 0)) * 60_000 * (sign === "-" ? -1 : 1)
  const time = local - offset + (leap ? 1_000 : 0)
  return time < EARLIEST || time >= LATEST ? reject("must lie in the years 2000 to 2099") : Either.right(time)
}

/** Writes a time in RFC 3339, in UTC, with milliseconds only where there are any: `2025-06-25T00:00:00Z`. */
export const formatRfc3339 = (time: EpochMillis): string => {
  const text = new Date(time).toISOString()
  return text.endsWith(".000Z") ? `${text.slice(0, -5)}Z` : text
}

/** RFC 3339, or empty without a time: how the API says "not". */
export const formatOptional = (time: EpochMillis | undefined): string => time === undefined ? "" : formatRfc3339(time)
