import * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"

/** Pauses that double from `firstMillis` to at most `lastMillis`. */
export interface Backoff {
  readonly firstMillis: number
  readonly lastMillis: number
}

/** Each pause is shortened by up to a half, so that instances and claims that failed together do not retry together. */
const LEAST_SHARE = 0.5

/** The pause in milliseconds after the n-th failure in a row, from 1. For loops that are not an Effect. */
export const make = ({ firstMillis, lastMillis }: Backoff) => (failures: number): number => {
  const longest = Math.min(firstMillis * 2 ** Math.min(failures - 1, 30), lastMillis)
  return longest * (LEAST_SHARE + Math.random() * (1 - LEAST_SHARE))
}

/** The same pauses for `Effect.retry` and `Effect.repeat`. Never ends. */
export const schedule = ({ firstMillis, lastMillis }: Backoff): Schedule.Schedule<unknown> =>
  Schedule.exponential(Duration.millis(firstMillis)).pipe(
    Schedule.union(Schedule.spaced(Duration.millis(lastMillis))),
    Schedule.jitteredWith({ min: LEAST_SHARE, max: 1 })
  )
