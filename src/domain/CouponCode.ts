import { nextByte } from "./codes/RandomBytes.ts"

/** The 28 syllables and 10 digits a code of the default format is drawn from: 38^10, about 6·10^15 codes. */
export const ALPHABET = "가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허0123456789"

/** How many characters a code of the default format has. */
export const LENGTH = 10

/** All of them are single UTF-16 units. */
const units = Uint16Array.from(ALPHABET, (symbol) => symbol.charCodeAt(0))

/** Larger bytes are drawn again: up to a multiple of 38, every symbol is equally likely. */
const FAIR = 256 - (256 % units.length)

const draw = (): number => {
  for (;;) {
    const byte = nextByte()
    if (byte < FAIR) return units[byte % units.length]!
  }
}

/**
 * Draws a code of the default format (`codes/CodeFormat.ts` has the others). The ledger's unique key makes codes unique
 * within a campaign.
 */
// In one expression: adding one symbol at a time to a string takes four times as long.
export const generate = (): string =>
  String.fromCharCode(draw(), draw(), draw(), draw(), draw(), draw(), draw(), draw(), draw(), draw())
