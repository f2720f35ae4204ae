/**
 * Pause in milliseconds before the n-th attempt (from 1): `firstMillis` doubling to `lastMillis`, less up to a half, so
 * that instances spread out.
 */
export const make = (firstMillis: number, lastMillis: number) => (attempt: number): number =>
  Math.min(firstMillis * 2 ** Math.min(attempt - 1, 10), lastMillis) * (0.5 + Math.random() / 2)
