import { changes, type ChangeText, NO_VALUE } from "./Changes.ts"
import type { Format } from "./Format.ts"

/** The words of the page's language for what the audit log holds. */
export interface FieldWords {
  /** The name of a field. */
  readonly name: (field: string) => string
  /** A value that has words of its own. */
  readonly value: (field: string, value: unknown) => string | undefined
  /** What it means that a state has no such field; `undefined`: nothing. */
  readonly absent: (field: string) => string | undefined
  readonly yes: string
  readonly no: string
}

/** How values are written that are no plain text. */
const kinds: Readonly<Record<string, "count" | "time" | "duration" | "bytes">> = {
  couponLimit: "count",
  returned: "count",
  codeCount: "count",
  received: "count",
  requestsPerSecond: "count",
  maxAttempts: "count",
  concurrency: "count",
  afterSequence: "count",
  sequence: "count",
  startTime: "time",
  endTime: "time",
  expiresAt: "time",
  formerEndsAt: "time",
  undoWindow: "duration",
  bytes: "bytes"
}

/** A value of a field in words. What this version does not know stays as it is recorded. */
export const valueText = (field: string, value: unknown, words: FieldWords, format: Format): string => {
  const known = words.value(field, value)
  if (known !== undefined) return known
  if (value === null || value === undefined || value === "") return NO_VALUE
  if (typeof value === "boolean") return value ? words.yes : words.no
  if (Array.isArray(value)) {
    return value.length === 0 ? NO_VALUE : value.map((one) => valueText(field, one, words, format)).join(", ")
  }
  if (typeof value === "object") {
    return Object.entries(value).map(([name, one]) => `${words.name(name)} ${valueText(name, one, words, format)}`)
      .join(", ")
  }
  const kind = Object.hasOwn(kinds, field) ? kinds[field] : undefined
  if (typeof value === "number") {
    return kind === "count" ? format.count(value) : kind === "bytes" ? format.bytes(value) : String(value)
  }
  const text = String(value)
  const at = kind === "time" ? Date.parse(text) : Number.NaN
  return Number.isFinite(at) ? format.dateTime(at) : kind === "duration" ? format.duration(text) : text
}

/** What an act changed, as it is shown; of what it made or removed, the facts. */
export const changeTexts = (
  before: unknown,
  after: unknown,
  words: FieldWords,
  format: Format
): ReadonlyArray<ChangeText> => {
  const isBoth = [before, after].every((state) => typeof state === "object" && state !== null)
  return changes(before, after).map(({ after: is, before: was, name }) => {
    const label = words.name(name)
    const text = (value: unknown) => value === undefined ? words.absent(name) : valueText(name, value, words, format)
    // A field that is there and empty is `null`.
    if (!isBoth) return { name, label, before: undefined, after: text(is === undefined ? was : is) ?? NO_VALUE }
    return { name, label, before: text(was), after: text(is) ?? NO_VALUE }
  })
}
