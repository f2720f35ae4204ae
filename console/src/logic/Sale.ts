import { MAX_SALE_SECONDS, type SaleCount, saleCounts, type SaleSecond } from "../../../src/domain/sale/SaleSecond.ts"

/** Seconds of one campaign, ascending. A second without a claim is not there. */
export type Seconds = ReadonlyArray<SaleSecond>

export type Counts = Readonly<Record<SaleCount, number>>

/** A second is whole when all instances have posted it. */
const POSTED_SECONDS = 2

/** The first second that is not whole yet, when the server's clock shows `at` (epoch milliseconds). */
export const wholeUntil = (at: number): number => Math.floor(at / 1_000) - POSTED_SECONDS + 1

/** Seconds with these in place of what was known of the same ones. */
export const merged = (known: Seconds, news: Seconds): Seconds => {
  if (news.length === 0) return known
  const all = new Map([...known, ...news].map((one) => [one[0]!, one]))
  return [...all.values()].sort((a, b) => a[0]! - b[0]!).slice(-MAX_SALE_SECONDS)
}

/** What was counted from a second on and before another (Unix time). */
export const sumOf = (seconds: Seconds, from: number, until: number): Counts => {
  const sums = saleCounts.map(() => 0)
  for (const [second, ...counts] of seconds) {
    if (second! >= from && second! < until) saleCounts.forEach((_, k) => sums[k]! += counts[k] ?? 0)
  }
  return Object.fromEntries(saleCounts.map((name, k) => [name, sums[k]!])) as Counts
}
