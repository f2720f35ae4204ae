import * as Either from "effect/Either"
import { InvalidArgument } from "../InvalidArgument.ts"

/** A duration of ISO 8601. Months and days are those of a calendar; seconds are exact. */
export interface IsoDuration {
  readonly months: number
  readonly days: number
  readonly seconds: number
}

const part = (unit: string): string => `(?:(\\d{1,9})${unit})?`
const DATE = ["Y", "M", "W", "D"].map(part).join("")
const TIME = ["H", "M", "S"].map(part).join("")
const DURATION = new RegExp(`^P(?=.)${DATE}(?:T(?=.)${TIME})?$`)

/** The mean lengths of the Gregorian calendar. */
const MONTH_SECONDS = 2_629_746
const DAY_SECONDS = 86_400
const MAX_SECONDS = 1_200 * MONTH_SECONDS

/** Reads `P30D`, `P1Y6M`, `P2W`, `P1DT12H`, of whole numbers: more than zero, and at most 100 years. */
export const parseIsoDuration = (field: string, text: string): Either.Either<IsoDuration, InvalidArgument> => {
  const reject = (reason: string) => Either.left(new InvalidArgument({ field, reason }))
  const match = DURATION.exec(text)
  if (match === null) return reject("must be a duration in ISO 8601 of whole numbers, such as P30D, P6M or PT12H")
  const [years, months, weeks, days, hours, minutes, seconds] = match.slice(1).map((digits) => Number(digits ?? 0)) as
    [number, number, number, number, number, number, number]
  const duration = {
    months: years * 12 + months,
    days: weeks * 7 + days,
    seconds: hours * 3_600 + minutes * 60 + seconds
  }
  const length = duration.months * MONTH_SECONDS + duration.days * DAY_SECONDS + duration.seconds
  if (length === 0) return reject("must be longer than zero")
  return length > MAX_SECONDS ? reject("must be at most 100 years") : Either.right(duration)
}
