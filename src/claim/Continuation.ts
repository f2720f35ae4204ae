import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"

/** How a call that runs without a fiber of its own ends, and where it runs what does need one. */
export interface Continuation<A, E> {
  /** Ends the call. Called exactly once, perhaps before the call returns; must not throw. */
  readonly done: (exit: Exit.Exit<A, E>) => void
  /** Runs work in a fiber, under the caller's span if there is one. The work ends the call by `done`; it never fails. */
  readonly fork: (work: Effect.Effect<void>) => void
}
