import * as Duration from "effect/Duration"

/** Receivers that failed together are not called together again. */
const LEAST_SHARE = 0.8
const MOST_SHARE = 1.2

const MIN_RETRY_AFTER_MILLIS = 1_000
const MAX_RETRY_AFTER_MILLIS = 86_400_000

/**
 * The pause in milliseconds after the n-th failure of a batch in a row, from 1, by the schedule, whose last pause
 * repeats. `retryAfter`: what the receiver asked for, which counts instead, from 1 s to a day.
 */
export const make = (schedule: ReadonlyArray<Duration.Duration>) =>
(failures: number, retryAfterMillis: number | undefined): number => {
  if (retryAfterMillis !== undefined) {
    const asked = Math.min(Math.max(retryAfterMillis, MIN_RETRY_AFTER_MILLIS), MAX_RETRY_AFTER_MILLIS)
    return Math.round(asked * (1 + Math.random() * (MOST_SHARE - 1)))
  }
  const pause = Duration.toMillis(schedule[Math.min(failures, schedule.length) - 1]!)
  return Math.round(pause * (LEAST_SHARE + Math.random() * (MOST_SHARE - LEAST_SHARE)))
}
