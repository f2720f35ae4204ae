import * as Effect from "effect/Effect"

/** The longest pause after a step. A longer step waits for something, and leaves the event loop to others itself. */
const LONGEST_PAUSE_MILLIS = 20

/** Lets what waits for the event loop have a turn: fibers alone would follow each other without an end of theirs. */
export const turn: Effect.Effect<void> = Effect.async((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

/**
 * A step of long work that takes the event loop: after it others have the loop for three times as long as the step
 * took, so the work takes a quarter of it.
 */
export const step = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.zipLeft(work, Effect.async<void>((resume) => {
      const millis = Math.min(LONGEST_PAUSE_MILLIS, 3 * (performance.now() - start))
      const timer = setTimeout(() => resume(Effect.void), millis)
      return Effect.sync(() => clearTimeout(timer))
    }))
  })
