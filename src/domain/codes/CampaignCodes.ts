import * as Either from "effect/Either"
import { InvalidArgument } from "../InvalidArgument.ts"
import { type CodeFormat, type CodeFormatInput, defaultFormat, isDefaultFormat, parseCodeFormat, sameFormat } from
  "./CodeFormat.ts"

/** Where the codes of a campaign come from: drawn when a coupon is issued, or the pool that was imported for it. */
export type CampaignCodes =
  | { readonly _tag: "Generated"; readonly format: CodeFormat }
  | { readonly _tag: "Pool" }

/** Codes as they were before campaigns had a choice. */
export const defaultCodes: CampaignCodes = { _tag: "Generated", format: defaultFormat }

export const sameCodes = (a: CampaignCodes, b: CampaignCodes): boolean =>
  a._tag === "Generated" ? b._tag === "Generated" && sameFormat(a.format, b.format) : b._tag === "Pool"

const POOL = "POOL"

/** Whether this text of `codesText` is that of a pool. */
export const isPool = (text: string | undefined): boolean => text === POOL

/**
 * How the ledger stores this: `undefined` for the default, so that campaigns of before have it. Equal codes have equal
 * texts, because a commit compares the text that its codes were drawn by with the campaign's.
 */
export const codesText = (codes: CampaignCodes): string | undefined => {
  if (codes._tag === "Pool") return POOL
  const { alphabet, characters, check, pattern } = codes.format
  return isDefaultFormat(codes.format) ? undefined : JSON.stringify({ alphabet, characters, pattern, check })
}

/** Reads what `codesText` wrote. */
export const codesFromText = (text: string | undefined): CampaignCodes =>
  text === undefined
    ? defaultCodes
    : text === POOL
    ? { _tag: "Pool" }
    : { _tag: "Generated", format: JSON.parse(text) as CodeFormat }

/** The two fields as a client sends them; `undefined`: absent. */
export interface CodesInput {
  readonly codeFormat?: CodeFormatInput | undefined
  readonly codeSource?: "GENERATED" | "POOL" | undefined
}

/** `undefined`: neither field was sent. */
export const parseCodes = (
  { codeFormat, codeSource }: CodesInput
): Either.Either<CampaignCodes | undefined, InvalidArgument> => {
  if (codeSource === "POOL") {
    return codeFormat === undefined
      ? Either.right({ _tag: "Pool" })
      : Either.left(
        new InvalidArgument({ field: "codeFormat", reason: "must be absent: the codes of a POOL are as imported" })
      )
  }
  if (codeFormat !== undefined) {
    return Either.map(parseCodeFormat(codeFormat), (format) => ({ _tag: "Generated", format }))
  }
  return Either.right(codeSource === undefined ? undefined : defaultCodes)
}
