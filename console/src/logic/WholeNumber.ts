/** `12345`, or `12,345` as the console shows it. A comma elsewhere makes another number of it. */
const WHOLE = /^(?:\d+|\d{1,3}(?:,\d{3})+)$/

/** What is pasted is not cut to another number that may be valid: of this length none is. */
export const MAX_DIGITS = 24

/** A whole number from `least` to `most` that was typed or pasted; `undefined` for all else, as `1e3` or `1.0`. */
export const wholeNumber = (text: string, least: number, most: number): number | undefined => {
  const typed = text.trim()
  const value = WHOLE.test(typed) ? Number(typed.replaceAll(",", "")) : Number.NaN
  return value >= least && value <= most ? value : undefined
}

/** The numbers that campaigns and coupons may have. */
export const MAX_ID = 2_147_483_647

export const idOf = (text: string): number | undefined => wholeNumber(text, 1, MAX_ID)

/** Numbers of campaigns, apart by commas or spaces; `undefined`: one of them is none. */
export const idsOf = (text: string): ReadonlyArray<number> | undefined => {
  const ids = text.split(/[\s,]+/).filter((one) => one !== "").map(idOf)
  return ids.every((id) => id !== undefined) ? ids : undefined
}
