import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"

/** Pauses grow to this while an agent keeps failing. */
const LONGEST_PAUSE = Duration.seconds(2)

/**
 * Does something for each of several campaigns, some side by side, and fails with the first failure only after all had their turn: one
 * campaign that cannot be served must not keep an agent from the others.
 */
export const forEach = <A, E, R>(items: Iterable<A>, work: (item: A) => Effect.Effect<unknown, E, R>): Effect.Effect<void, E, R> =>
  Effect.flatMap(
    Effect.forEach(items, (item) => Effect.exit(work(item)), { concurrency: 4 }),
    (exits) => exits.find(Exit.isFailure) ?? Effect.void
  )

/**
 * Runs a background agent for the life of the scope: `runOnce`, then `pause`, for ever. A failure never ends it: the first
 * of an outage is logged with its cause, the recovery too, and the pauses double up to 2 s meanwhile. Interruption waits
 * for a `runOnce` under way only where that is uninterruptible itself.
 */
export const run = <E, R, R2>(
  name: string,
  runOnce: Effect.Effect<unknown, E, R>,
  pause: Effect.Effect<unknown, never, R2>
): Effect.Effect<void, never, R | R2 | Scope.Scope> =>
  Effect.suspend(() => {
    let failures = 0
    const succeeded = Effect.suspend(() => {
      if (failures === 0) return pause
      const message = `${name} works again after ${failures} failed attempts`
      failures = 0
      return Effect.zipRight(Effect.logInfo(message), pause)
    })
    const failed = (cause: Cause.Cause<E>) =>
      Effect.suspend(() => {
        failures++
        const wait = Duration.min(Duration.times(Duration.millis(50), 2 ** Math.min(failures, 10)), LONGEST_PAUSE)
        const told = failures === 1 ? Effect.logWarning(`${name} failed and will keep trying`, cause) : Effect.logDebug(`${name} failed`, cause)
        return Effect.zipRight(told, Effect.sleep(wait))
      })
    const step = Effect.matchCauseEffect(runOnce, {
      onFailure: (cause) => Cause.isInterruptedOnly(cause) ? Effect.interrupt : failed(cause),
      onSuccess: () => succeeded
    })
    return Effect.asVoid(Effect.forkScoped(Effect.forever(step)))
  })
