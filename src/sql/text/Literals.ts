import type { Claim } from "../../ports/Ledger.ts"

/** An id as a literal. Anything but an integer is a bug of the caller. */
export const integer = (value: number | bigint): string => {
  if (typeof value === "number" && !Number.isSafeInteger(value)) throw new Error(`not an integer: ${value}`)
  return value.toString()
}

/** The claims as a JSON array of `[user, code]`. User ids keep all 64 bits, because the server's JSON has integers. */
export const claimsJson = (claims: ReadonlyArray<Claim>): string => {
  let json = "["
  for (let i = 0; i < claims.length; i++) {
    const { code, userId } = claims[i]!
    json += `${i === 0 ? "" : ","}[${integer(userId)},"${code}"]`
  }
  return `${json}]`
}
