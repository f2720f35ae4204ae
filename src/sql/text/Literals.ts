import type { Claim } from "../../ports/Ledger.ts"

/** An id as a literal. Anything but an integer is a bug of the caller. */
export const integer = (value: number | bigint): string => {
  if (typeof value === "number" && !Number.isSafeInteger(value)) throw new Error(`not an integer: ${value}`)
  return value.toString()
}

/** Hexadecimal digits for a literal. Anything else is a bug of the caller. */
export const hexadecimal = (digits: string): string => {
  if (!/^(?:[0-9a-f]{2})+$/.test(digits)) throw new Error(`not hexadecimal: ${digits}`)
  return digits
}

/** The condition that an expression is one of these ids. */
export const isOneOf = (expression: string, ids: ReadonlySet<number>): string =>
  ids.size === 0 ? "1 = 0" : `${expression} IN (${[...ids].map(integer).join(", ")})`

/** The claims as a JSON array of `[user, code]`. User ids keep all 64 bits, because the server's JSON has integers. */
export const claimsJson = (claims: ReadonlyArray<Claim>): string => {
  let json = "["
  for (let i = 0; i < claims.length; i++) {
    const { code, userId } = claims[i]!
    json += `${i === 0 ? "" : ","}[${integer(userId)},"${code}"]`
  }
  return `${json}]`
}
