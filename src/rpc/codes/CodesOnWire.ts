import * as Either from "effect/Either"
import { reversed } from "../../contract/Reversed.ts"
import {
  CodeAlphabet,
  CodeCheck,
  type CodeFormat as WireFormat,
  CodeFormatSchema,
  CodeSource
} from "../../contract/gen/coupon/v1/coupon_pb.ts"
import { create } from "@bufbuild/protobuf"
import type { AlphabetName } from "../../domain/codes/CodeAlphabet.ts"
import type { CampaignCodes, CodesInput } from "../../domain/codes/CampaignCodes.ts"
import { isDefaultFormat } from "../../domain/codes/CodeFormat.ts"
import type { CheckAlgorithm } from "../../domain/codes/CheckCharacter.ts"
import { InvalidArgument } from "../../domain/InvalidArgument.ts"

const alphabets = {
  HANGUL: CodeAlphabet.HANGUL,
  CROCKFORD32: CodeAlphabet.CROCKFORD32,
  SAFE20: CodeAlphabet.SAFE20,
  DIGITS: CodeAlphabet.DIGITS,
  OWN: CodeAlphabet.OWN
} satisfies Record<AlphabetName, CodeAlphabet>

const checks = {
  NONE: CodeCheck.UNSPECIFIED,
  ISO_7064: CodeCheck.ISO_7064,
  DAMM: CodeCheck.DAMM
} satisfies Record<CheckAlgorithm, CodeCheck>

const sources = {
  Generated: CodeSource.GENERATED,
  Pool: CodeSource.POOL
} satisfies Record<CampaignCodes["_tag"], CodeSource>

const alphabetNames = reversed<AlphabetName, CodeAlphabet>(alphabets)
const checkNames = new Map<CodeCheck, "ISO_7064" | "DAMM">([
  [CodeCheck.ISO_7064, "ISO_7064"],
  [CodeCheck.DAMM, "DAMM"]
])
const sourceNames = new Map<CodeSource, "GENERATED" | "POOL">([
  [CodeSource.GENERATED, "GENERATED"],
  [CodeSource.POOL, "POOL"]
])

/** Where codes come from, as the API shows it: as a client would send it, and without the default format. */
export const codesToWire = (codes: CampaignCodes) => ({
  codeSource: sources[codes._tag],
  ...codes._tag === "Pool" || isDefaultFormat(codes.format) ? {} : {
    codeFormat: create(CodeFormatSchema, {
      alphabet: alphabets[codes.format.alphabet],
      characters: codes.format.alphabet === "OWN" ? codes.format.characters : "",
      pattern: codes.format.pattern,
      check: checks[codes.format.check]
    })
  }
})

/** The two fields of a request. Fails for a number that no name stands for. */
export const codesFromWire = (
  { codeFormat, codeSource }: { readonly codeFormat?: WireFormat | undefined; readonly codeSource: CodeSource }
): Either.Either<Required<CodesInput>, InvalidArgument> => {
  const unknown = (field: string, what: string) =>
    Either.left(new InvalidArgument({ field, reason: `must be ${what} of this API` }))
  const source = sourceNames.get(codeSource)
  if (source === undefined && codeSource !== CodeSource.UNSPECIFIED) return unknown("codeSource", "a source")
  if (codeFormat === undefined) return Either.right({ codeSource: source, codeFormat: undefined })
  const alphabet = alphabetNames.get(codeFormat.alphabet)
  if (alphabet === undefined && codeFormat.alphabet !== CodeAlphabet.UNSPECIFIED) {
    return unknown("codeFormat.alphabet", "an alphabet")
  }
  const check = checkNames.get(codeFormat.check)
  if (check === undefined && codeFormat.check !== CodeCheck.UNSPECIFIED) return unknown("codeFormat.check", "a check")
  const { characters, pattern } = codeFormat
  return Either.right({ codeSource: source, codeFormat: { alphabet, characters, pattern, check } })
}
