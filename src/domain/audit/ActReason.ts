import { printable } from "../../base/Printable.ts"
import { isVisible } from "../DisplayName.ts"

/** The header in which a call says why it is made, for the audit log: UTF-8, percent-encoded, as headers are ASCII. */
export const HEADER = "x-coupon-reason"

/** In characters; as wide as the column. The rest is cut off, never refused: the act matters more than its reason. */
export const MAX_REASON = 200

/** A reason in the form in which it is kept: one line without controls, NFC. `undefined`: nothing of it can be seen. */
export const normalize = (text: string): string | undefined => {
  const line = printable(text.toWellFormed().normalize("NFC").replace(/\s+/g, " ").trim())
  return isVisible(line) ? Array.from(line).slice(0, MAX_REASON).join("").trim() : undefined
}

/** What the header says. A value that is not percent-encoded UTF-8 is taken as it is. */
export const ofHeader = (value: unknown): string | undefined => {
  if (typeof value !== "string") return undefined
  try {
    return normalize(decodeURIComponent(value))
  } catch {
    return normalize(value)
  }
}

/** The headers of a call that is made for this reason: none without one. */
export const headers = (reason: string): Readonly<Record<string, string>> => {
  const text = normalize(reason)
  return text === undefined ? {} : { [HEADER]: encodeURIComponent(text) }
}
