import * as Options from "@effect/cli/Options"
import { create } from "@bufbuild/protobuf"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import {
  CodeAlphabet,
  CodeCheck,
  type CodeFormat as WireFormat,
  CodeFormatSchema,
  CodeSource
} from "../../contract/gen/coupon/v1/coupon_pb.ts"
import { type CodeFormat, parseCodeFormat } from "../../domain/codes/CodeFormat.ts"
import { type CliFailure, usage } from "../CliFailure.ts"

// How a campaign's codes look: options that `campaign create`, `campaign update` and `codes preview` share.

const alphabets = {
  hangul: "HANGUL",
  crockford32: "CROCKFORD32",
  safe20: "SAFE20",
  digits: "DIGITS"
} as const

const checks = { damm: "DAMM", iso7064: "ISO_7064" } as const

const wordsOf = <Words extends object>(words: Words) =>
  Object.keys(words) as [keyof Words & string, ...Array<keyof Words & string>]

export const pattern = Options.text("pattern").pipe(
  Options.withDescription("SUMMER-####-####-C: # is a random character, C the check character, \\C the letter C"),
  Options.optional
)
export const alphabet = Options.choice("alphabet", wordsOf(alphabets)).pipe(
  Options.withDescription("what random characters are drawn from; the default is hangul"),
  Options.optional
)
export const characters = Options.text("characters").pipe(
  Options.withDescription("an alphabet of your own: 2 to 64 different characters"),
  Options.optional
)
export const check = Options.choice("check", wordsOf(checks)).pipe(
  Options.withDescription("how C is computed; the default is damm where the alphabet has it"),
  Options.optional
)

export const options = { pattern, alphabet, characters, check }

export interface Given {
  readonly pattern: Option.Option<string>
  readonly alphabet: Option.Option<keyof typeof alphabets>
  readonly characters: Option.Option<string>
  readonly check: Option.Option<keyof typeof checks>
}

export const isGiven = ({ alphabet, characters, check, pattern }: Given): boolean =>
  [alphabet, characters, check, pattern].some((option) => Option.isSome<unknown>(option))

const text = (option: Option.Option<string>): string => Option.getOrElse(option, () => "")

/** The format that the options say, by the rules by which the service reads it. */
export const parse = (given: Given): Either.Either<CodeFormat, CliFailure> =>
  parseCodeFormat({
    alphabet: Option.match(given.alphabet, { onNone: () => undefined, onSome: (word) => alphabets[word] }),
    characters: text(given.characters),
    pattern: text(given.pattern),
    check: Option.match(given.check, { onNone: () => undefined, onSome: (word) => checks[word] })
  }).pipe(Either.mapLeft(({ field, reason }) =>
    usage(`${field === "codeFormat" ? "pattern and alphabet" : field.replace("codeFormat.", "--")} ${reason}`)
  ))

/** The fields of a request. The service checks them: the command may be older than its rules. */
export const toWire = (given: Given): { readonly codeFormat?: WireFormat } =>
  !isGiven(given) ? {} : {
    codeFormat: create(CodeFormatSchema, {
      alphabet: Option.match(given.alphabet, {
        onNone: () => CodeAlphabet.UNSPECIFIED,
        onSome: (word) => CodeAlphabet[alphabets[word]]
      }),
      characters: text(given.characters),
      pattern: text(given.pattern),
      check: Option.match(given.check, {
        onNone: () => CodeCheck.UNSPECIFIED,
        onSome: (word) => CodeCheck[checks[word]]
      })
    })
  }

export const pool = Options.boolean("pool").pipe(
  Options.withDescription("its codes are those that `coupon codes import` brings, instead of drawn ones")
)

export const sourceOf = (isPool: boolean): CodeSource => isPool ? CodeSource.POOL : CodeSource.UNSPECIFIED
