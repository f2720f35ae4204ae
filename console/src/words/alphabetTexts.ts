import { CodeAlphabet } from "$contract/gen/coupon/v1/coupon_pb.ts"
import * as m from "../paraglide/messages.js"
import { nameOf } from "./enums.ts"

/** The alphabets of codes in the order in which they are offered. */
export const alphabets = [
  CodeAlphabet.HANGUL, CodeAlphabet.CROCKFORD32, CodeAlphabet.SAFE20, CodeAlphabet.DIGITS, CodeAlphabet.OWN
] as const

const texts: Readonly<Record<number, () => string>> = {
  [CodeAlphabet.HANGUL]: m.acts_alphabet_hangul,
  [CodeAlphabet.CROCKFORD32]: () => "Crockford Base 32",
  [CodeAlphabet.SAFE20]: m.acts_alphabet_safe,
  [CodeAlphabet.DIGITS]: m.acts_alphabet_digits,
  [CodeAlphabet.OWN]: m.acts_alphabet_own
}

/** What codes are drawn from, in words. */
export const alphabetText = (alphabet: CodeAlphabet): string => texts[alphabet]?.() ?? nameOf(CodeAlphabet, alphabet)
