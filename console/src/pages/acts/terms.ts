import { CodeAlphabet, CodeCheck, CodeSource, type CouponValidity } from "$contract/gen/coupon/v1/coupon_pb.ts"
import { fromInput, toInput } from "../../logic/LocalTime.ts"
import { wholeNumber } from "../../logic/WholeNumber.ts"
import * as m from "../../paraglide/messages.js"

export const MAX_LIMIT = 10_000_000
export const MAX_NAME = 100

/** What the form of a campaign holds. */
export interface Terms {
  name: string
  limit: string
  start: string
  end: string
  source: CodeSource
  alphabet: CodeAlphabet
  characters: string
  pattern: string
  check: CodeCheck
  /** `until`: at a time; `days`: each so long after its issue; `kept`: as it is, which the form has no fields for. */
  validity: "unlimited" | "until" | "days" | "kept"
  validUntil: string
  validDays: string
}

export const isDefaultFormat = ({ alphabet, pattern }: Terms): boolean =>
  alphabet === CodeAlphabet.HANGUL && pattern === ""

/** The names of alphabets in the service's own code. */
export const alphabetNames = {
  [CodeAlphabet.HANGUL]: "HANGUL",
  [CodeAlphabet.CROCKFORD32]: "CROCKFORD32",
  [CodeAlphabet.SAFE20]: "SAFE20",
  [CodeAlphabet.DIGITS]: "DIGITS",
  [CodeAlphabet.OWN]: "OWN"
} as const

export const MAX_DAYS = 36_500

const isValiditySound = ({ validDays, validity, validUntil }: Terms): boolean => {
  if (validity === "unlimited" || validity === "kept") return true
  if (validity === "until") return fromInput(validUntil) !== ""
  return wholeNumber(validDays, 1, MAX_DAYS) !== undefined
}

/** What the limit's field says; `undefined`: no limit that a campaign may have. */
export const limitOf = ({ limit }: Terms): number | undefined => wholeNumber(limit, 1, MAX_LIMIT)

/** How long coupons are valid, as the API takes it. Without fields: they do not expire. */
export const validityOf = ({ validDays, validity, validUntil }: Terms) => ({
  until: validity === "until" ? fromInput(validUntil) : "",
  after: validity === "days" ? `P${wholeNumber(validDays, 1, MAX_DAYS)}D` : "",
  // A coupon of so many days ends with a day of those who use it.
  endOfDayZone: validity === "days" ? Intl.DateTimeFormat().resolvedOptions().timeZone : ""
})

/** What the form says of a campaign's validity. */
export const validityTerms = (
  validity: CouponValidity | undefined
): Pick<Terms, "validity" | "validUntil" | "validDays"> => {
  const { after = "", endOfDayZone = "", until = "" } = validity ?? {}
  const { validDays, validUntil } = emptyTerms
  if (until !== "") return { validity: "until", validUntil: toInput(Date.parse(until)), validDays }
  if (after === "") return { validity: "unlimited", validUntil, validDays }
  const [, days] = /^P([1-9]\d{0,4})D$/.exec(after) ?? []
  const isOurs = days !== undefined && endOfDayZone === Intl.DateTimeFormat().resolvedOptions().timeZone
  return isOurs ? { validity: "days", validUntil, validDays: days } : { validity: "kept", validUntil, validDays }
}

/** The terms that a form begins with. */
export const emptyTerms = {
  name: "",
  limit: "",
  start: "",
  end: "",
  source: CodeSource.GENERATED,
  alphabet: CodeAlphabet.HANGUL,
  characters: "",
  pattern: "",
  check: CodeCheck.UNSPECIFIED,
  validity: "unlimited",
  validUntil: "",
  validDays: "30"
} satisfies Terms

/** The fields that break a rule which the page knows, with the rule. The service knows the rest. */
export const flawsOf = (terms: Terms): Partial<Record<"name" | "limit" | "start" | "end" | "validity", string>> => {
  const start = Date.parse(fromInput(terms.start))
  const end = Date.parse(fromInput(terms.end))
  const length = Array.from(terms.name.trim()).length
  return {
    ...length < 1 || length > MAX_NAME ? { name: m.acts_flaw_name() } : {},
    ...limitOf(terms) === undefined ? { limit: m.acts_flaw_limit() } : {},
    ...Number.isNaN(start) ? { start: m.acts_flaw_start() } : {},
    ...terms.end !== "" && !(end > start) ? { end: m.acts_flaw_end() } : {},
    ...isValiditySound(terms) ? {} : { validity: m.acts_flaw_validity() }
  }
}
