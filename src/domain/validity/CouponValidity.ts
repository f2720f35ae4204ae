import * as Either from "effect/Either"
import * as Hash from "effect/Hash"
import { InvalidArgument } from "../InvalidArgument.ts"
import { type EpochMillis, parseRfc3339 } from "../Time.ts"
import { parseIsoDuration } from "./IsoDuration.ts"
import { addDuration, endOfDay, rulesOfZone, rulesText, utc, type ZoneRules } from "./ZoneRules.ts"

/** The zone of a validity, and which rules of it: those of the IANA database when the validity was set. */
export interface ValidityZone {
  readonly name: string
  /** Of the text of its rules. */
  readonly checksum: string
}

/** How long a campaign's coupons can be redeemed. */
export type CouponValidity =
  /** All of them until an instant. */
  | { readonly _tag: "Until"; readonly until: EpochMillis }
  /** Each for a duration of ISO 8601 from its issue on; with a zone, to the end of the day that is reached there. */
  | { readonly _tag: "After"; readonly after: string; readonly zone: ValidityZone | undefined }

/** How the ledger stores it. */
export const validityText = (validity: CouponValidity): string =>
  JSON.stringify(
    validity._tag === "Until" ? { until: validity.until } : { after: validity.after, zone: validity.zone }
  )

/** Reads what `validityText` wrote. */
export const validityFromText = (text: string): CouponValidity => {
  const stored = JSON.parse(text) as
    | { readonly until: EpochMillis }
    | { readonly after: string; readonly zone?: ValidityZone }
  return "until" in stored
    ? { _tag: "Until", until: stored.until }
    : { _tag: "After", after: stored.after, zone: stored.zone }
}

/** Also by the rules of the zone, so that a validity that is set again takes newer ones. */
export const sameValidity = (a: CouponValidity | undefined, b: CouponValidity | undefined): boolean =>
  a === undefined || b === undefined ? a === b : validityText(a) === validityText(b)

/** The rules that have to be stored with a validity, as text; `undefined`: it has no zone. */
export const rulesOfValidity = (validity: CouponValidity): string | undefined =>
  validity._tag === "After" && validity.zone !== undefined ? rulesText(rulesOfZone(validity.zone.name)!) : undefined

/** From when on a coupon that was issued then cannot be redeemed. `rules`: those stored with a validity of a zone. */
export const expiryOf = (
  validity: CouponValidity,
  rules: ZoneRules | undefined,
  issuedAt: EpochMillis
): EpochMillis => {
  if (validity._tag === "Until") return validity.until
  const duration = Either.getOrThrow(parseIsoDuration("after", validity.after))
  return rules === undefined
    ? addDuration(utc, issuedAt, duration)
    : endOfDay(rules, addDuration(rules, issuedAt, duration))
}

/** The fields of a validity as a client sends them; an empty one is absent. */
export interface ValidityInput {
  readonly until: string
  readonly after: string
  readonly endOfDayZone: string
}

const UNTIL = "couponValidity.until"
const AFTER = "couponValidity.after"
const ZONE = "couponValidity.endOfDayZone"

const reject = (field: string, reason: string) => Either.left(new InvalidArgument({ field, reason }))

/** Validates a validity; `undefined`: without any field, coupons do not expire. */
export const parseValidity = (
  { after, endOfDayZone, until }: ValidityInput
): Either.Either<CouponValidity | undefined, InvalidArgument> =>
  Either.gen(function*() {
    if (until !== "") {
      if (after !== "") return yield* reject(AFTER, "must be absent with couponValidity.until")
      if (endOfDayZone !== "") return yield* reject(ZONE, "must be absent with couponValidity.until")
      return { _tag: "Until", until: yield* parseRfc3339(UNTIL, until) }
    }
    if (after === "") {
      return endOfDayZone === "" ? undefined : yield* reject(AFTER, "must be there with couponValidity.endOfDayZone")
    }
    yield* parseIsoDuration(AFTER, after)
    if (endOfDayZone === "") return { _tag: "After", after, zone: undefined }
    const rules = rulesOfZone(endOfDayZone)
    if (rules === undefined) return yield* reject(ZONE, "must be a zone of the IANA database, such as Asia/Seoul")
    const checksum = (Hash.string(rulesText(rules)) >>> 0).toString(36)
    return { _tag: "After", after, zone: { name: endOfDayZone, checksum } }
  })

/** An instant in the past is mostly a typing error: every coupon would be expired. */
export const hasPassed = (validity: CouponValidity | undefined, now: EpochMillis): boolean =>
  validity?._tag === "Until" && validity.until <= now

export const untilHasPassed = new InvalidArgument({ field: UNTIL, reason: "has passed already" })

/** Whether coupons may be issued that have expired already, as the campaign ends later. */
export const endsEarlier = (validity: CouponValidity | undefined, endTime: EpochMillis | undefined): boolean =>
  validity?._tag === "Until" && endTime !== undefined && validity.until < endTime

export const untilBeforeEnd = new InvalidArgument({ field: UNTIL, reason: "must not be earlier than endTime" })
