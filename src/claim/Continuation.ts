import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"

/** How a call that runs without a fiber of its own ends, and where it runs the work that needs one. */
export interface Continuation<A, E> {
  /** Ends the call. Called exactly once, possibly before the call returns; must not throw. */
  readonly done: (exit: Exit.Exit<A, E>) => void
  /** Runs work in a fiber, under the caller's span, if any. The work never fails and ends the call by `done`. */
  readonly fork: (work: Effect.Effect<void>) => void
}
