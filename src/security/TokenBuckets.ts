import * as TokenBucket from "../base/TokenBucket.ts"

/** Counts calls by key, each key with its own rate and one second's worth of calls at once. */
export interface TokenBuckets {
  /** Takes a token. Returns 0 if there was one, otherwise the seconds until there will be one. */
  readonly take: (key: string, perSecond: number) => number
}

interface Entry {
  readonly rate: TokenBucket.Rate
  readonly bucket: TokenBucket.TokenBucket
}

/** Beyond this many, the full buckets are dropped, since a new one would be full as well. */
const MAX_BUCKETS = 10_000

/**
 * `now`: milliseconds that never go back. Rates hold for this process: n instances together allow n times as many
 * calls.
 */
export const make = (now: () => number = () => performance.now()): TokenBuckets => {
  const entries = new Map<string, Entry>()
  const sweep = (time: number) => {
    for (const [key, { bucket }] of entries) if (time - bucket.refilledAt > 1_000) entries.delete(key)
  }
  return {
    take: (key, perSecond) => {
      const time = now()
      let entry = entries.get(key)
      if (entry?.rate.perSecond !== perSecond) {
        if (entries.size >= MAX_BUCKETS) sweep(time)
        const rate = { perSecond, burst: perSecond }
        entry = { rate, bucket: TokenBucket.make(rate, time) }
        entries.set(key, entry)
      }
      return TokenBucket.take(entry.bucket, entry.rate, time)
    }
  }
}
