/** How a code's check character is computed. */
export type CheckAlgorithm = "NONE" | "ISO_7064" | "DAMM"

/** A check character over the positions of characters in an alphabet. */
export interface Check {
  /** The number to compute with of each character of the alphabet, in its order. */
  readonly values: ReadonlyArray<number>
  readonly start: number
  /** The state after one more value. */
  readonly step: (state: number, value: number) => number
  /** The value that completes a code, which may be no character's. */
  readonly last: (state: number) => number
  /** How many states there are: all are below this. */
  readonly states: number
}

const ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/**
 * ISO/IEC 7064, the hybrid system MOD `size` + 1, `size`, for an even size; 36 is MOD 37,36. It detects each wrong
 * character, and all swapped neighbours but 1 in (size - 1) · size / 2.
 */
const hybrid = (size: number, values: ReadonlyArray<number>): Check => ({
  values,
  start: size,
  states: size + 1,
  step: (state, value) => ((state + value) % size || size) * 2 % (size + 1),
  last: (state) => (size + 1 - state) % size
})

/** The quasigroup of order 10 of H. Michael Damm's thesis (2004). */
const DAMM_10: ReadonlyArray<ReadonlyArray<number>> = [
  "0317598642", "7092154863", "4206871359", "1750983426", "6123045978",
  "3674209581", "5869720134", "8945362017", "9438617205", "2581436790"
].map((row) => Array.from(row, Number))

/** Reduces a product by 2 in GF(2^k): the low bits of an irreducible polynomial of degree k, by k. */
const REDUCTION: ReadonlyArray<number> = [0, 0, 0b11, 0b011, 0b0011, 0b00101, 0b000011]

/**
 * A totally anti-symmetric quasigroup, as Damm's algorithm needs one: detects each wrong character and all swapped
 * neighbours. Of order 2^k · m with an odd m it is the product of `2 · (state xor value)` in GF(2^k) and
 * `2 · (state + value)` modulo m. That leaves out k = 1, where 2 = 0; order 10 has Damm's own table.
 */
const damm = (size: number): Check | undefined => {
  const values = Array.from({ length: size }, (_, index) => index)
  if (size === 10) {
    return { values, start: 0, states: 10, step: (state, value) => DAMM_10[state]![value]!, last: (state) => state }
  }
  let degree = 0
  while (size % 2 ** (degree + 1) === 0) degree++
  if (degree === 1) return undefined
  const order = 2 ** degree
  const odd = size / order
  const twice = (bits: number) => bits * 2 < order ? bits * 2 : bits * 2 - order ^ REDUCTION[degree]!
  const low = (value: number) => value % order
  const high = (value: number) => Math.floor(value / order)
  return {
    values,
    start: 0,
    states: size,
    step: (state, value) =>
      (degree === 0 ? 0 : twice(low(state) ^ low(value))) + order * (2 * (high(state) + high(value)) % odd),
    last: (state) => low(state) + order * ((odd - high(state)) % odd)
  }
}

/** An alphabet of fewer letters than this misses more than 2 % of swapped neighbours by the hybrid system. */
const SMALLEST_HYBRID = 12

/** `undefined`: the algorithm has no check character for this alphabet. */
export const checkOf = (algorithm: "ISO_7064" | "DAMM", alphabet: ReadonlyArray<string>): Check | undefined => {
  const size = alphabet.length
  if (algorithm === "DAMM") return damm(size)
  const values = alphabet.map((character) => ALPHANUMERIC.indexOf(character))
  if (!values.includes(-1)) return hybrid(ALPHANUMERIC.length, values)
  return size % 2 === 0 && size >= SMALLEST_HYBRID
    ? hybrid(size, alphabet.map((_, index) => index))
    : undefined
}
