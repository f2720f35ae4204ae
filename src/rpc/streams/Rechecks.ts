import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { IssueFailure } from "../../domain/Failure.ts"

/** How often the caller's rights are looked at again, as in the operator plane. */
const PERIOD_MILLIS = 1_000

/** Looks again, for as long as a call lasts, whether its caller may make it. */
export interface Rechecks {
  /** Until the scope closes, or the look fails, which `end` is given. */
  readonly add: (
    look: Effect.Effect<unknown, IssueFailure>,
    end: (failure: IssueFailure) => void
  ) => Effect.Effect<void, never, Scope.Scope>
}

/** One timer and one fiber look at all calls: a thousand of each would take the time of claims. */
export const make: Effect.Effect<Rechecks> = Effect.gen(function*() {
  const runFork = Runtime.runFork(yield* Effect.runtime<never>())
  const looks = new Set<Effect.Effect<void>>()
  let timer: NodeJS.Timeout | undefined
  let isLooking = false

  const all = Effect.suspend(() => Effect.forEach([...looks], (look) => look, { discard: true }))
  const start = () => {
    timer ??= setInterval(() => {
      // The last one may wait for a store.
      if (isLooking) return
      isLooking = true
      runFork(Effect.ensuring(all, Effect.sync(() => void (isLooking = false))))
    }, PERIOD_MILLIS).unref()
  }
  const stop = () => {
    if (looks.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  return {
    add: (look, end) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => {
          const one: Effect.Effect<void> = Effect.suspend(() => {
            if (!looks.has(one)) return Effect.void
            return Effect.matchCause(look, {
              onSuccess: () => undefined,
              onFailure: (cause) => {
                // A defect is no reason to end a call.
                if (cause._tag !== "Fail") return
                looks.delete(one)
                end(cause.error)
              }
            })
          })
          looks.add(one)
          start()
          return one
        }),
        (one) =>
          Effect.sync(() => {
            looks.delete(one)
            stop()
          })
      ))
  }
})
