import { randomFillSync } from "node:crypto"

const pool = new Uint8Array(8192)
let used = pool.length

/** A byte of the operating system's CSPRNG, read 8 KiB at a time, because a call to it costs more than a code. */
export const nextByte = (): number => {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  return pool[used++]!
}
