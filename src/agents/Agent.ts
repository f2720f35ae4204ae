import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { rootMessage } from "../config/RootMessage.ts"
import type { GateUnavailable } from "../ports/Gate.ts"
import type { LedgerUnavailable } from "../ports/Ledger.ts"

/** A failure that a store's adapter answered with. */
const isOfStore = (failure: unknown): failure is LedgerUnavailable | GateUnavailable =>
  typeof failure === "object" && failure !== null && "_tag" in failure &&
  (failure._tag === "LedgerUnavailable" || failure._tag === "GateUnavailable")

/** A store cannot be reached, or answers what is no answer: a line at its connection says so, and six agents would repeat it. */
const isOutage = (failure: unknown): boolean => isOfStore(failure) && (failure._tag === "GateUnavailable" || failure.isOutage === true)

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
    /** Whether this outage of the agent is in the log, above the debug level. */
    let wasReported = false
    const report = (cause: Cause.Cause<E>) => {
      const failure = Option.getOrUndefined(Cause.failureOption(cause))
      if (wasReported || isOutage(failure)) return Effect.logDebug(`${name} failed`, cause)
      wasReported = true
      const message = `${name} failed and will keep trying`
      // A stack is for what should not have been; a store's own words say the rest.
      return isOfStore(failure) ? Effect.logWarning(`${message}: ${rootMessage(failure.cause)}`) : Effect.logWarning(message, cause)
    }
    const succeeded = Effect.suspend(() => {
      if (failures === 0) return pause
      const message = `${name} works again after ${failures} failed attempts`
      const log = wasReported ? Effect.logInfo(message) : Effect.logDebug(message)
      failures = 0
      wasReported = false
      return Effect.zipRight(log, pause)
    })
    const failed = (cause: Cause.Cause<E>) =>
      Effect.suspend(() => {
        failures++
        const wait = Duration.min(Duration.times(Duration.millis(50), 2 ** Math.min(failures, 10)), LONGEST_PAUSE)
        return Effect.zipRight(report(cause), Effect.sleep(wait))
      })
    const step = Effect.matchCauseEffect(runOnce, {
      onFailure: (cause) => Cause.isInterruptedOnly(cause) ? Effect.interrupt : failed(cause),
      onSuccess: () => succeeded
    })
    return Effect.asVoid(Effect.forkScoped(Effect.forever(step)))
  })
