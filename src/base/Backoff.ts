import * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"
import { type Backoff, LEAST_SHARE, pauseMillis } from "./BackoffPause.ts"

/** The pause in milliseconds after the n-th failure in a row, from 1. For loops that are not an Effect. */
export const make = (backoff: Backoff) => (failures: number): number => pauseMillis(backoff, failures, Math.random())

/** The same pauses for `Effect.retry` and `Effect.repeat`. Never ends. */
export const schedule = ({ firstMillis, lastMillis }: Backoff): Schedule.Schedule<unknown> =>
  Schedule.exponential(Duration.millis(firstMillis)).pipe(
    Schedule.union(Schedule.spaced(Duration.millis(lastMillis))),
    Schedule.jitteredWith({ min: LEAST_SHARE, max: 1 })
  )
