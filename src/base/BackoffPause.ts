/** Pauses that double from `firstMillis` to at most `lastMillis`. */
export interface Backoff {
  readonly firstMillis: number
  readonly lastMillis: number
}

/** Each pause is shortened by up to a half, so that instances and claims that failed together do not retry together. */
export const LEAST_SHARE = 0.5

/** The pause in milliseconds after the n-th failure in a row, from 1; `random` is from 0 up to 1. */
export const pauseMillis = ({ firstMillis, lastMillis }: Backoff, failures: number, random: number): number => {
  const longest = Math.min(firstMillis * 2 ** Math.min(failures - 1, 30), lastMillis)
  return longest * (LEAST_SHARE + random * (1 - LEAST_SHARE))
}
