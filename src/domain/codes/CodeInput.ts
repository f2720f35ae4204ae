import type { CampaignCodes } from "./CampaignCodes.ts"
import { CROCKFORD_ALIASES, isSeparator } from "./CodeAlphabet.ts"
import { type CodeFormat, compile, type CompiledFormat } from "./CodeFormat.ts"
import { normalisePoolCode } from "./PoolCode.ts"

/** Longer input is no code: what is left out of it is bounded, too. */
const MAX_INPUT_LENGTH = 512

/** The same character in another case or width. */
const fold = (character: string): string => character.normalize("NFKC").toUpperCase().normalize("NFC")

interface Reader {
  readonly compiled: CompiledFormat
  /** The character of the alphabet that an input character stands for. */
  readonly symbol: (character: string) => string | undefined
}

const makeReader = (format: CodeFormat): Reader => {
  const compiled = compile(format)
  const exact = new Set(compiled.alphabet)
  const folded = new Map<string, string | undefined>()
  // Two characters of an alphabet that differ in case alone have to be written as they are.
  for (const character of compiled.alphabet) {
    const key = fold(character)
    folded.set(key, folded.has(key) ? undefined : character)
  }
  if (format.alphabet === "CROCKFORD32") {
    for (const [alias, character] of Object.entries(CROCKFORD_ALIASES)) folded.set(alias, character)
  }
  return { compiled, symbol: (character) => exact.has(character) ? character : folded.get(fold(character)) }
}

const readers = new WeakMap<CompiledFormat, Reader>()

const readerOf = (format: CodeFormat): Reader => {
  const compiled = compile(format)
  const known = readers.get(compiled)
  if (known !== undefined) return known
  const reader = makeReader(format)
  readers.set(compiled, reader)
  return reader
}

/** The code that these characters are read as, one for each element that is no separator. */
const read = ({ compiled, symbol }: Reader, characters: ReadonlyArray<string>): string | undefined => {
  const { byValue, check } = compiled
  let code = ""
  let at = 0
  let state = check === undefined ? 0 : check.start
  for (const element of compiled.elements) {
    if (element._tag === "Literal") {
      if (!isSeparator(element.character)) {
        const character = characters[at++]
        if (character === undefined) return undefined
        if (character !== element.character && fold(character) !== fold(element.character)) return undefined
      }
      code += element.character
      continue
    }
    const given = characters[at++]
    const character = given === undefined ? undefined : symbol(given)
    if (character === undefined) return undefined
    if (check !== undefined) {
      if (element._tag === "Check") {
        if (byValue.get(check.last(state)) !== character) return undefined
      } else state = check.step(state, check.values[compiled.alphabet.indexOf(character)]!)
    }
    code += character
  }
  return at === characters.length ? code : undefined
}

const withoutSeparators = (text: string): ReadonlyArray<string> =>
  Array.from(text).filter((character) => !isSeparator(character))

/**
 * The code that a person or program means by `input`, as the ledger has it; `undefined` if no code of this format can
 * be meant, also by its check character. Case, width, separators and Unicode's forms of composition do not matter;
 * letters that an alphabet has in both cases do. A code is its own normal form.
 */
export const normaliseCode = (format: CodeFormat, input: string): string | undefined => {
  if (input.length > MAX_INPUT_LENGTH || !input.isWellFormed()) return undefined
  const reader = readerOf(format)
  return read(reader, withoutSeparators(input.normalize("NFC"))) ??
    read(reader, withoutSeparators(input.normalize("NFKC")))
}

/**
 * The code that is meant by `input` in a campaign with these codes, as the ledger has it; `undefined`: none can be. A
 * pool's codes are of any shape, so their case and separators matter.
 */
export const normaliseFor = (codes: CampaignCodes, input: string): string | undefined =>
  codes._tag === "Pool" ? normalisePoolCode(input) : normaliseCode(codes.format, input)
