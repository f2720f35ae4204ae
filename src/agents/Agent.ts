import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Backoff from "../base/Backoff.ts"
import { rootMessage } from "../base/RootMessage.ts"
import type { EpochMillis } from "../domain/Time.ts"
import * as AgentMetrics from "../metrics/AgentMetrics.ts"
import * as Metrics from "../metrics/Metrics.ts"
import type { EventStreamUnavailable } from "../ports/EventStream.ts"
import type { GateUnavailable } from "../ports/Gate.ts"
import type { LedgerUnavailable } from "../ports/Ledger.ts"

/** Work that is repeated in the background. The record starts nothing; `run` repeats it. */
export interface Agent<E = unknown, R = never> {
  /** A short name in snake case: the label of its metrics, and its name in the overview. */
  readonly name: string
  /** What log lines call it, e.g. `the outbox relay`. */
  readonly title: string
  readonly runOnce: Effect.Effect<unknown, E, R>
  /** The longest pause between two runs. `undefined`: it runs after `wake` only, also after a failure. */
  readonly every: Duration.Duration | undefined
  /** Ends a pause early. */
  readonly wake?: Effect.Effect<unknown>
}

/** How an agent is doing. */
export interface AgentState {
  readonly name: string
  /** When the last run that succeeded ended. `undefined`: there was none. */
  readonly lastRunAt: EpochMillis | undefined
  /** The last run that failed. `undefined`: none did. */
  readonly lastFailure: { readonly at: EpochMillis; readonly message: string } | undefined
  /** For how long the next successful run has been due; 0 while the agent rests. */
  readonly lagMillis: number
}

type StoreFailure = LedgerUnavailable | GateUnavailable | EventStreamUnavailable

/** A failure that a store's adapter returned. */
const isOfStore = (failure: unknown): failure is StoreFailure =>
  typeof failure === "object" && failure !== null && "_tag" in failure &&
  (failure._tag === "LedgerUnavailable" || failure._tag === "GateUnavailable" ||
    failure._tag === "EventStreamUnavailable")

/** A store cannot be reached. The connection logs that once; all agents would repeat it. */
const isOutage = (failure: unknown): boolean =>
  isOfStore(failure) && (failure._tag !== "LedgerUnavailable" || failure.isOutage === true)

/** Pauses while an agent keeps failing. */
const retryDelay = Backoff.make({ firstMillis: 100, lastMillis: 2_000 })

/**
 * Works on each of several campaigns, four side by side. Fails with the first failure, but only after all had their
 * turn: one campaign that cannot be served must not keep an agent from the others.
 */
export const forEach = <A, E, R>(
  items: Iterable<A>,
  work: (item: A) => Effect.Effect<unknown, E, R>
): Effect.Effect<void, E, R> =>
  Effect.flatMap(
    Effect.forEach(items, (item) => Effect.exit(work(item)), { concurrency: 4 }),
    (exits) => exits.find(Exit.isFailure) ?? Effect.void
  )

const messageOf = (cause: Cause.Cause<unknown>): string => {
  const failure = Cause.squash(cause)
  return rootMessage(isOfStore(failure) ? failure.cause : failure)
}

/**
 * Repeats an agent for the life of the scope: `runOnce`, then a pause. Returns how the agent is doing.
 *
 * A failure never ends it. The first failure of an outage is logged with its cause, the recovery too. Meanwhile the
 * pauses double up to 2 s. Interruption waits for a `runOnce` under way only where that is uninterruptible itself.
 */
export const run = <E, R>(agent: Agent<E, R>): Effect.Effect<() => AgentState, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    const { every, name, runOnce, title, wake = Effect.never } = agent
    const metrics = AgentMetrics.make(name)
    const clock = yield* Effect.clock
    /** Milliseconds of a clock that does not jump. */
    const now = () => Number(clock.unsafeCurrentTimeNanos() / 1_000n) / 1_000
    const everyMillis = every === undefined ? Number.POSITIVE_INFINITY : Duration.toMillis(every)
    let lastRunAt: EpochMillis | undefined
    let lastFailure: AgentState["lastFailure"]
    /** When a successful run is due, by `now`. */
    let dueAt = every === undefined ? Number.POSITIVE_INFINITY : now()
    let failures = 0
    /** Whether this outage of the agent is in the log, above the debug level. */
    let wasReported = false

    const pause = every === undefined ? wake : Effect.raceFirst(wake, Effect.sleep(every))

    const report = (cause: Cause.Cause<E>) => {
      const failure = Option.getOrUndefined(Cause.failureOption(cause))
      if (wasReported || isOutage(failure)) return Effect.logDebug(`${title} failed`, cause)
      wasReported = true
      const message = `${title} failed and will keep trying`
      // A stack is for defects. A store's own words say the rest.
      return isOfStore(failure)
        ? Effect.logWarning(`${message}: ${rootMessage(failure.cause)}`)
        : Effect.logWarning(message, cause)
    }
    const succeeded = Effect.suspend(() => {
      lastRunAt = clock.unsafeCurrentTimeMillis()
      dueAt = now() + everyMillis
      metrics.ok.add()
      metrics.lastRun.set(lastRunAt / 1_000)
      if (failures === 0) return Effect.void
      const message = `${title} works again after ${failures} failed attempts`
      const log = wasReported ? Effect.logInfo(message) : Effect.logDebug(message)
      failures = 0
      wasReported = false
      return log
    })
    const failed = (cause: Cause.Cause<E>) =>
      Effect.suspend(() => {
        failures++
        const at = clock.unsafeCurrentTimeMillis()
        lastFailure = { at, message: messageOf(cause) }
        metrics.failed.add()
        metrics.lastFailure.set(at / 1_000)
        return Effect.zipRight(report(cause), every === undefined ? wake : Effect.sleep(retryDelay(failures)))
      })
    const begun = Effect.sync(() => {
      dueAt = Math.min(dueAt, now())
    })
    const step = Effect.matchCauseEffect(Effect.zipRight(begun, runOnce), {
      onFailure: (cause) => Cause.isInterruptedOnly(cause) ? Effect.interrupt : failed(cause),
      onSuccess: () => Effect.zipRight(succeeded, pause)
    })
    const lagMillis = () => Math.max(0, now() - dueAt)
    yield* Effect.acquireRelease(
      Effect.sync(() => Metrics.onSample(() => metrics.lag.set(lagMillis() / 1_000))),
      (end) => Effect.sync(end)
    )
    const first = every === undefined ? wake : Effect.void
    yield* Effect.forkScoped(Effect.zipRight(first, Effect.forever(step)))
    return () => ({ name, lastRunAt, lastFailure, lagMillis: lagMillis() })
  })
