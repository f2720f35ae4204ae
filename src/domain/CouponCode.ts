import { randomFillSync } from "node:crypto"

/** The 28 syllables and 10 digits a code is drawn from: 38^10, about 6·10^15 codes. */
export const ALPHABET = "가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허0123456789"

/** How many characters a code has. */
export const LENGTH = 10

/** All of them are one UTF-16 unit each. */
const units = Uint16Array.from(ALPHABET, (symbol) => symbol.charCodeAt(0))

/** Bytes from here on are drawn again: the largest multiple of 38 that fits a byte keeps every symbol equally likely. */
const FAIR = 256 - (256 % units.length)

const pool = new Uint8Array(8192)
let used = pool.length

const draw = (): number => {
  for (;;) {
    if (used === pool.length) {
      randomFillSync(pool)
      used = 0
    }
    const byte = pool[used++]!
    if (byte < FAIR) return units[byte % units.length]!
  }
}

/**
 * Draws a code from the operating system's CSPRNG, 8 KiB at a time because one call to it costs more than a code does.
 * Codes are unique per campaign by the ledger's unique key, not by this draw.
 */
// In one piece: strings that grow by a symbol at a time take four times as long.
export const generate = (): string => String.fromCharCode(draw(), draw(), draw(), draw(), draw(), draw(), draw(), draw(), draw(), draw())
