import { createCipheriv, randomBytes } from "node:crypto"

/** A key for `permutation`: 32 bytes as hexadecimal digits. */
export const makeKey = (): string => randomBytes(32).toString("hex")

/**
 * A permutation of 0 to `size - 1` that only the key tells, another one for each `index`: Fisher and Yates by the
 * keystream of AES-256 in counter mode, all permutations alike. The same arguments give the same one.
 */
export const permutation = (key: string, index: number, size: number): Uint32Array => {
  const counter = Buffer.alloc(16)
  counter.writeUInt32BE(index)
  const cipher = createCipheriv("aes-256-ctr", Buffer.from(key, "hex"), counter)
  const block = Buffer.alloc(4_096)
  let words = cipher.update(block)
  let at = 0
  const next = (): number => {
    if (at === words.length) {
      words = cipher.update(block)
      at = 0
    }
    at += 4
    return words.readUInt32BE(at - 4)
  }
  const items = Uint32Array.from({ length: size }, (_, item) => item)
  for (let last = size - 1; last > 0; last--) {
    const range = last + 1
    const fair = 2 ** 32 - 2 ** 32 % range
    let word = next()
    while (word >= fair) word = next()
    const other = word % range
    const item = items[last]!
    items[last] = items[other]!
    items[other] = item
  }
  return items
}
