/** Counts calls by key, each with its own rate: a token bucket that holds one second's worth. */
export interface TokenBuckets {
  /** Takes a token; `undefined`: there was one, else in how many seconds there will be. */
  readonly take: (key: string, perSecond: number) => number | undefined
}

interface Bucket {
  tokens: number
  at: number
}

/** Buckets that are full say nothing, so beyond so many the full ones are dropped. */
const MOST = 10_000

/** `now`: milliseconds that never go back. Rates hold for this process: n instances together let n times as many through. */
export const make = (now: () => number = () => performance.now()): TokenBuckets => {
  const buckets = new Map<string, Bucket>()
  const sweep = (time: number) => {
    for (const [key, bucket] of buckets) if (time - bucket.at > 1_000) buckets.delete(key)
  }
  return {
    take: (key, perSecond) => {
      const time = now()
      let bucket = buckets.get(key)
      if (bucket === undefined) {
        if (buckets.size >= MOST) sweep(time)
        bucket = { tokens: perSecond, at: time }
        buckets.set(key, bucket)
      }
      bucket.tokens = Math.min(perSecond, bucket.tokens + (time - bucket.at) / 1_000 * perSecond)
      bucket.at = time
      if (bucket.tokens < 1) return (1 - bucket.tokens) / perSecond
      bucket.tokens--
      return undefined
    }
  }
}
