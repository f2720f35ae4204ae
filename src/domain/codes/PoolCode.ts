import * as Either from "effect/Either"
import { MAX_CODE_LENGTH } from "./CodeFormat.ts"

/** Beyond this the length alone is looked at. */
const MAX_UNITS = 4 * MAX_CODE_LENGTH

const HIDDEN = /[\p{Z}\p{C}\u2800]|\p{Default_Ignorable_Code_Point}/u

const name = (character: string): string =>
  `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`

/**
 * A code of a pool as it is stored, in NFC; or the rule that it breaks, as the end of a sentence. Spaces and characters
 * that cannot be seen are in no code: what people type or copy has other ones.
 */
export const parsePoolCode = (text: string): Either.Either<string, string> => {
  if (text === "") return Either.left("is empty")
  if (!text.isWellFormed()) return Either.left("must be well-formed text")
  if (text.length > MAX_UNITS) return Either.left(`must have at most ${MAX_CODE_LENGTH} characters`)
  const code = text.normalize("NFC")
  const hidden = HIDDEN.exec(code)
  if (hidden !== null) {
    return Either.left(`must not hold ${name(hidden[0])}, a space or a character that cannot be seen`)
  }
  if (/^\p{M}/u.test(code)) return Either.left(`must not begin with ${name(code)}, which combines with a character`)
  const { length } = Array.from(code)
  return length <= MAX_CODE_LENGTH
    ? Either.right(code)
    : Either.left(`must have at most ${MAX_CODE_LENGTH} characters, not ${length}`)
}

/** What a look-up compares with a pool's codes; `undefined`: no code can be meant. */
export const normalisePoolCode = (input: string): string | undefined =>
  Either.getOrUndefined(parsePoolCode(input.trim()))
