import * as Either from "effect/Either"
import { LENGTH } from "../CouponCode.ts"
import { InvalidArgument } from "../InvalidArgument.ts"
import { type AlphabetName, composingPair, flawOfAlphabet, flawOfCharacter, named } from "./CodeAlphabet.ts"
import { type Check, type CheckAlgorithm, checkOf } from "./CheckCharacter.ts"

/**
 * How the codes of a campaign look. Always valid: made by `parseCodeFormat`. Two formats are the same if and only if
 * their fields are.
 */
export interface CodeFormat {
  readonly alphabet: AlphabetName
  /** The characters that random ones are drawn from, all alike; each a code point in NFC. */
  readonly characters: string
  /**
   * `#` stands for a random character and `C` for the check character. Everything else stands for itself; after a
   * backslash, so do `#`, `C` and the backslash.
   */
  readonly pattern: string
  readonly check: CheckAlgorithm
}

/** A position of a code: a character that every code has there, a random one, or the check character. */
export type Element =
  | { readonly _tag: "Literal"; readonly character: string }
  | { readonly _tag: "Random" }
  | { readonly _tag: "Check" }

/** A format taken apart. */
export interface CompiledFormat {
  readonly elements: ReadonlyArray<Element>
  readonly alphabet: ReadonlyArray<string>
  /** There if an element is the check character. */
  readonly check: Check | undefined
  /** The characters by their values in the check; the check character is always one of the alphabet. */
  readonly byValue: ReadonlyMap<number, string>
  /** How many different codes there are: a floating-point number. */
  readonly space: number
}

/**
 * The column has 63 characters of up to 4 bytes: with 64, MySQL would store the length in another form and copy a table
 * of coupons to get there (docs/internals/decisions.md, "Codes of any shape").
 */
export const MAX_CODE_LENGTH = 63

/** For each coupon there are at least so many codes, so that guessing finds none. */
export const CODES_PER_COUPON = 1_000_000

/** How often a code may be drawn again on average until its check character is one of the alphabet. */
const MAX_DRAWS = 36

export const DEFAULT_PATTERN = "#".repeat(LENGTH)

/** Codes as they were before campaigns had formats. */
export const defaultFormat: CodeFormat = {
  alphabet: "HANGUL",
  characters: named.HANGUL,
  pattern: DEFAULT_PATTERN,
  check: "NONE"
}

export const sameFormat = (a: CodeFormat, b: CodeFormat): boolean =>
  a.alphabet === b.alphabet && a.characters === b.characters && a.pattern === b.pattern && a.check === b.check

export const isDefaultFormat = (format: CodeFormat): boolean => sameFormat(format, defaultFormat)

/** A format as a client sends it; empty and `undefined` fields have defaults. */
export interface CodeFormatInput {
  /** `undefined`: `OWN` if there are characters, else `HANGUL`. */
  readonly alphabet: AlphabetName | undefined
  readonly characters: string
  /** Empty: ten random characters. */
  readonly pattern: string
  /** `undefined`: for a pattern with `C`, `DAMM` if the alphabet has it, else `ISO_7064`. */
  readonly check: "ISO_7064" | "DAMM" | undefined
}

const reject = (field: string, reason: string) =>
  Either.left(new InvalidArgument({ field: `codeFormat${field}`, reason }))

const parseAlphabet = (
  { alphabet, characters }: CodeFormatInput
): Either.Either<Pick<CodeFormat, "alphabet" | "characters">, InvalidArgument> => {
  const name = alphabet ?? (characters === "" ? "HANGUL" : "OWN")
  if (name !== "OWN") {
    return characters === "" || characters === named[name]
      ? Either.right({ alphabet: name, characters: named[name] })
      : reject(".characters", `must be empty for the alphabet ${name}, or the alphabet OWN`)
  }
  const flaw = flawOfAlphabet(characters)
  return flaw === undefined ? Either.right({ alphabet: "OWN", characters }) : reject(".characters", flaw)
}

const elementsOf = (pattern: string): Either.Either<ReadonlyArray<Element>, InvalidArgument> => {
  const elements: Array<Element> = []
  const characters = Array.from(pattern)
  for (let index = 0; index < characters.length; index++) {
    const character = characters[index]!
    if (character === "#") elements.push({ _tag: "Random" })
    else if (character === "C") elements.push({ _tag: "Check" })
    else if (character === "\\") {
      const literal = characters[++index]
      if (literal !== "#" && literal !== "C") return reject(".pattern", "must have # or C after a backslash")
      elements.push({ _tag: "Literal", character: literal })
    } else {
      const flaw = character === " " ? "must not hold spaces" : flawOfCharacter(character)
      if (flaw !== undefined) return reject(".pattern", flaw)
      elements.push({ _tag: "Literal", character })
    }
  }
  const random = elements.findLastIndex(({ _tag }) => _tag === "Random")
  const checks = elements.flatMap(({ _tag }, index) => _tag === "Check" ? [index] : [])
  if (random < 0) return reject(".pattern", "must have a #, which stands for a random character")
  if (checks.length > 1 || checks.some((index) => index < random)) {
    return reject(".pattern", "must have its C, the check character, once and after the last #; the letter C is \\C")
  }
  if (elements.length > MAX_CODE_LENGTH) {
    return reject(".pattern", `must make codes of at most ${MAX_CODE_LENGTH} characters, not ${elements.length}`)
  }
  return Either.right(elements)
}

/** How many codes have a check character of the alphabet: all, unless its values leave some out. */
const spaceOf = (randoms: number, check: Check | undefined): ((size: number) => number) => (size) => {
  if (check === undefined) return size ** randoms
  const valid = new Set(check.values)
  let counts = new Array<number>(check.states).fill(0)
  counts[check.start] = 1
  for (let position = 0; position < randoms; position++) {
    const next = new Array<number>(check.states).fill(0)
    counts.forEach((count, state) => {
      if (count > 0) for (const value of check.values) next[check.step(state, value)]! += count
    })
    counts = next
  }
  return counts.reduce((sum, count, state) => valid.has(check.last(state)) ? sum + count : sum, 0)
}

const compiledFormats = new Map<string, CompiledFormat>()

/** Formats that are kept compiled: campaigns that are claimed at a time have few. */
const MAX_COMPILED = 1_000

const keyOf = ({ alphabet, characters, check, pattern }: CodeFormat): string =>
  JSON.stringify([alphabet, characters, pattern, check])

/** Takes a valid format apart. */
export const compile = (format: CodeFormat): CompiledFormat => {
  const key = keyOf(format)
  const known = compiledFormats.get(key)
  if (known !== undefined) return known
  const elements = Either.getOrThrow(elementsOf(format.pattern))
  const alphabet = Array.from(format.characters)
  const check = format.check === "NONE" ? undefined : checkOf(format.check, alphabet)
  const randoms = elements.reduce((count, { _tag }) => _tag === "Random" ? count + 1 : count, 0)
  const compiled: CompiledFormat = {
    elements,
    alphabet,
    check,
    byValue: new Map(check?.values.map((value, index) => [value, alphabet[index]!])),
    space: spaceOf(randoms, check)(alphabet.length)
  }
  if (compiledFormats.size >= MAX_COMPILED) compiledFormats.clear()
  compiledFormats.set(key, compiled)
  return compiled
}

/**
 * Validates a format as a client sent it. Fails with the field that breaks its rule, below `codeFormat`. Whether it has
 * codes enough for a limit is another question: `flawOfSpace`.
 */
export const parseCodeFormat = (input: CodeFormatInput): Either.Either<CodeFormat, InvalidArgument> =>
  Either.gen(function*() {
    const { alphabet, characters } = yield* parseAlphabet(input)
    const pattern = input.pattern === "" ? DEFAULT_PATTERN : input.pattern
    const elements = yield* elementsOf(pattern)
    const letters = Array.from(characters)
    const literals = elements.flatMap((element) => element._tag === "Literal" ? [element.character] : [])
    const composing = composingPair([...new Set([...letters, ...literals])])
    if (composing !== undefined) {
      return yield* reject("", `must not hold the characters of "${composing}", which become another one together`)
    }
    const hasCheck = elements.some(({ _tag }) => _tag === "Check")
    if (!hasCheck) {
      return input.check === undefined
        ? { alphabet, characters, pattern, check: "NONE" as const }
        : yield* reject(".check", "needs a C in the pattern, which stands for the check character")
    }
    const [check] = (input.check === undefined ? ["DAMM", "ISO_7064"] as const : [input.check])
      .filter((algorithm) => checkOf(algorithm, letters) !== undefined)
    if (check === undefined) {
      return yield* reject(
        ".check",
        `${input.check ?? "a check character"} does not exist for an alphabet of ${letters.length} characters`
      )
    }
    const format: CodeFormat = { alphabet, characters, pattern, check }
    const { elements: all, space } = compile(format)
    const drawn = letters.length ** all.filter(({ _tag }) => _tag === "Random").length
    return space * MAX_DRAWS >= drawn
      ? format
      : yield* reject(".check", "would leave out nearly all codes: no check character of theirs is in the alphabet")
  })

const grouped = (count: number): string => count.toLocaleString("en-US")

/** Why a format has not enough codes for so many coupons; `undefined`: it has. */
export const flawOfSpace = (format: CodeFormat, couponLimit: number): InvalidArgument | undefined => {
  const { space } = compile(format)
  if (space >= couponLimit * CODES_PER_COUPON) return undefined
  return new InvalidArgument({
    field: "codeFormat.pattern",
    reason: `makes ${grouped(space)} codes, too few for ${grouped(couponLimit)} coupons: ` +
      `each needs ${grouped(CODES_PER_COUPON)}, so that codes cannot be guessed; add more #`
  })
}
