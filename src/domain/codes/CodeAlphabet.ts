import { ALPHABET } from "../CouponCode.ts"

/** The alphabets that have a name. `OWN` is one that a campaign brings along. */
export type AlphabetName = "HANGUL" | "CROCKFORD32" | "SAFE20" | "DIGITS" | "OWN"

/**
 * - `CROCKFORD32`: Douglas Crockford's Base 32, without I, L, O and U.
 * - `SAFE20`: the digits of Open Location Codes, 2 to 9 and 12 consonants that are no look-alikes and spell no words.
 */
export const named: Readonly<Record<Exclude<AlphabetName, "OWN">, string>> = {
  HANGUL: ALPHABET,
  CROCKFORD32: "0123456789ABCDEFGHJKMNPQRSTVWXYZ",
  SAFE20: "23456789CFGHJMPQRVWX",
  DIGITS: "0123456789"
}

/** What Crockford's Base 32 reads as a character of its own. */
export const CROCKFORD_ALIASES: Readonly<Record<string, string>> = { I: "1", L: "1", O: "0" }

export const MIN_CHARACTERS = 2
export const MAX_CHARACTERS = 64

/**
 * What people put between the groups of a code, or a copied text brings along: spaces, dashes, `_`, `.`, and characters
 * that cannot be seen. In input they are left out.
 */
export const isSeparator = (character: string): boolean => /^[\p{Z}\p{C}\p{Pd}\u2212_.]$/u.test(character)

/** Quotes and backslashes stand in no code, so that a code can be quoted anywhere. */
const QUOTES = /["'`\\\u2018-\u201f]/u

/** Letters, numbers, punctuation and symbols. Marks combine with what stands before them. */
const VISIBLE = /^[\p{L}\p{N}\p{P}\p{S}]$/u

/** The rule that a character of codes breaks, as the end of a sentence; `undefined`: none. */
export const flawOfCharacter = (character: string): string | undefined => {
  if (!character.isWellFormed()) return "must be well-formed text"
  const name = `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`
  if (/^\p{M}$/u.test(character)) return `must not hold ${name}, which combines with the character before it`
  if (QUOTES.test(character)) return `must not hold ${name}, a quote or a backslash`
  if (!VISIBLE.test(character) || /^[\p{Default_Ignorable_Code_Point}\u2800]$/u.test(character)) {
    return `must not hold ${name}, which cannot be seen`
  }
  if (character.normalize("NFC") !== character) return `must be in NFC, which ${name} is not`
  return undefined
}

/** The rule that an own alphabet breaks; `undefined`: none. */
export const flawOfAlphabet = (text: string): string | undefined => {
  const characters = Array.from(text)
  if (characters.length < MIN_CHARACTERS || characters.length > MAX_CHARACTERS) {
    return `must hold ${MIN_CHARACTERS} to ${MAX_CHARACTERS} characters, not ${characters.length}`
  }
  const seen = new Set<string>()
  for (const character of characters) {
    const flaw = flawOfCharacter(character)
    if (flaw !== undefined) return flaw
    if (isSeparator(character)) return `must not hold "${character}", which separates groups of a code`
    if (seen.has(character)) return `must not hold "${character}" twice`
    seen.add(character)
  }
  return undefined
}

/** Two characters that become others when one follows the other, as conjoining Jamo do; `undefined`: there are none. */
export const composingPair = (characters: ReadonlyArray<string>): string | undefined => {
  for (const first of characters) {
    for (const second of characters) {
      if (`${first}${second}`.normalize("NFC") !== `${first}${second}`) return `${first}${second}`
    }
  }
  return undefined
}
