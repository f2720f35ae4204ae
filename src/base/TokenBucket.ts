/** How often something may happen: `perSecond` times, and `burst` times at once. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** The state of one bucket. Times are milliseconds of a clock that never goes back. */
export interface TokenBucket {
  tokens: number
  refilledAt: number
}

/** A full bucket. */
export const make = ({ burst }: Rate, now: number): TokenBucket => ({ tokens: burst, refilledAt: now })

/** Takes a token. Returns 0 if there was one, otherwise the seconds until there will be one. Allocates nothing. */
export const take = (bucket: TokenBucket, { burst, perSecond }: Rate, now: number): number => {
  bucket.tokens = Math.min(burst, bucket.tokens + (now - bucket.refilledAt) / 1_000 * perSecond)
  bucket.refilledAt = now
  if (bucket.tokens < 1) return (1 - bucket.tokens) / perSecond
  bucket.tokens--
  return 0
}

/** Takes nothing. Returns 0 if there is a token, otherwise the seconds until there will be one. */
export const look = (bucket: TokenBucket, { burst, perSecond }: Rate, now: number): number => {
  const tokens = Math.min(burst, bucket.tokens + (now - bucket.refilledAt) / 1_000 * perSecond)
  return tokens < 1 ? (1 - tokens) / perSecond : 0
}

/** Takes all tokens. */
export const drain = (bucket: TokenBucket, now: number): void => {
  bucket.tokens = 0
  bucket.refilledAt = now
}
