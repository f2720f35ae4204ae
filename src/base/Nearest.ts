/** Only the beginning of longer names is compared, so that the cost does not grow with what a client sends. */
const COMPARED = 64

/** Edits between two texts: insertions, deletions, substitutions and swaps (optimal string alignment). */
const edits = (a: string, b: string): number => {
  let before: Array<number> = []
  let above = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + same)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, before[j - 2]! + 1)
      row.push(least)
    }
    before = above
    above = row
  }
  return above[b.length]!
}

/** `coupon_limit`, `Coupon-Limit` and `couponLimit` are one name. */
const plain = (name: string): string => name.slice(0, COMPARED).replace(/[^a-zA-Z0-9]/g, "").toLowerCase()

/**
 * The name that was probably meant: one that contains the written one or is contained in it (`limit`, `couponLimit`),
 * otherwise the one with the fewest edits, at most a third of its length. `undefined`: none is near.
 */
export const nearest = (written: string, names: ReadonlyArray<string>): string | undefined => {
  const wanted = plain(written)
  let best: string | undefined
  let least = Infinity
  for (const name of names) {
    const candidate = plain(name)
    const holds = wanted.length >= 3 && (candidate.includes(wanted) || wanted.includes(candidate))
    // Those that hold one another come first, the nearest in length before the others.
    const distance = holds ? Math.abs(candidate.length - wanted.length) / COMPARED : edits(wanted, candidate)
    if (distance < least && (holds || distance <= Math.ceil(candidate.length / 3))) {
      best = name
      least = distance
    }
  }
  return best
}
