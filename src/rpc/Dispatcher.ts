import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import { AppConfig } from "../config/AppConfig.ts"
import type { IssueFailure } from "../domain/Failure.ts"
import { DeadlineExceeded, OutcomeUnknown, type Overloaded, Unavailable } from "../domain/Failure.ts"
import { Actor } from "../ports/Actor.ts"
import * as Metrics from "../metrics/Metrics.ts"
import { parseTraceparent, RequestTracing } from "../ports/RequestTracing.ts"
import type { UseCases } from "./Startup.ts"
import { Startup } from "./Startup.ts"
import { rootMessage } from "../config/RootMessage.ts"
import * as Admission from "./admission/Admission.ts"
import type { Bound, Metadata, Route } from "./Route.ts"
import type { Request } from "./Request.ts"

/** Told how a call ended: with an answer, with a failure, or (`failed` with `undefined`) with a defect. Never throws. */
export interface Reply {
  readonly answered: (answer: unknown) => void
  readonly failed: (failure: IssueFailure | undefined) => void
}

/** Runs calls: admission, readiness, timeouts, and the log of what went wrong. */
export interface Dispatcher {
  /** Calls in progress. */
  readonly inFlight: () => number
  /** The client of a request, for `admits` and `dispatch`. */
  readonly clientOf: (request: Request) => number
  /** Whether a call would be begun now, so that one that would not need not be read. */
  readonly admits: (route: Route, client: number) => boolean
  /** Counts a call that is not begun, and has `answer` told why in its turn; it must not throw. */
  readonly shed: (route: Route, answer: (failure: Overloaded) => void) => void
  /**
   * Runs one call if its caller may; `reply` hears exactly once. `timeoutMillis` is the caller's own, `authorization` and
   * `traceparent` the values of those headers.
   */
  readonly dispatch: (
    route: Route,
    input: unknown,
    timeoutMillis: number | undefined,
    reply: Reply,
    authorization: string | undefined,
    metadata: Metadata | undefined,
    traceparent: string | undefined,
    client: number
  ) => void
  /** Counts a request that was refused before it became a call: for a defect, or because it could not be read. */
  readonly refused: (route: Route, failure: { readonly _tag: string } | undefined) => void
  /** Logs a defect of the transport itself. */
  readonly report: (cause: unknown) => void
}

/** Longest delay a timer of the platform takes: 24.8 days, beyond which there is no timeout to speak of. */
export const MAX_TIMEOUT_MILLIS = 2_147_483_647

const notReady = new Unavailable({ retryAfterSeconds: 1 })

/** How often at most the same kind of trouble is logged: during an outage every request fails, 10,000 times a second. */
const LOG_INTERVAL_MILLIS = 1_000

export const make: Effect.Effect<Dispatcher, never, AppConfig | Startup> = Effect.gen(function*() {
  const config = yield* AppConfig
  const startup = yield* Startup
  const runtime = yield* Effect.runtime<never>()
  const run = Runtime.runFork(runtime)
  const limit = config.maxInFlight
  const admission = Admission.make({
    most: limit,
    targetMillis: Duration.toMillis(config.latencyTarget),
    trusted: config.trustedNetworks
  })
  const tracing = yield* RequestTracing
  let inFlight = 0
  /** Of them, calls of administration: never shed for the public's sake, and bounded apart. */
  let guardedCalls = 0
  const metrics = new Map<Route, Metrics.RpcMetrics>()
  const metricsOf = (route: Route) => {
    let found = metrics.get(route)
    if (found === undefined) metrics.set(route, found = Metrics.rpc(route.method.name))
    return found
  }

  const limited = (log: (suppressed: number, cause: unknown) => Effect.Effect<void>) => {
    let last = -Infinity
    let suppressed = 0
    let latest: readonly [unknown, string | undefined] | undefined
    const write = (count: number, cause: unknown, traceparent: string | undefined) => {
      last = performance.now()
      suppressed = 0
      latest = undefined
      const span = parseTraceparent(traceparent)
      run(span === undefined ? log(count, cause) : Effect.withParentSpan(log(count, cause), span))
    }
    return (cause: unknown, traceparent?: string) => {
      if (performance.now() - last >= LOG_INTERVAL_MILLIS) return write(suppressed, cause, traceparent)
      suppressed++
      // The last of a storm is told too, with how many there were.
      if (latest === undefined) {
        setTimeout(() => latest === undefined ? undefined : write(suppressed - 1, ...latest), LOG_INTERVAL_MILLIS).unref()
      }
      latest = [cause, traceparent]
    }
  }

  const report = limited((suppressed, cause) =>
    Effect.logError("a request failed unexpectedly", Cause.isCause(cause) ? cause : Cause.die(cause)).pipe(
      Effect.annotateLogs({ suppressed })
    ))
  const warn = limited((suppressed, cause) =>
    Effect.logWarning("a request was told UNAVAILABLE").pipe(Effect.annotateLogs({ suppressed, cause: rootMessage(cause) })))

  const timedOut: Record<Exclude<Bound, "itself">, () => IssueFailure> = {
    read: () => new Unavailable({ retryAfterSeconds: 1, cause: "REQUEST_TIMEOUT" }),
    write: () => new OutcomeUnknown()
  }
  const serverTimeout = Duration.toMillis(config.requestTimeout)

  /** The call with the shorter of both timeouts; disconnected, so that a store that cannot be interrupted delays no answer. */
  const bounded = (
    bound: Exclude<Bound, "itself">,
    call: Effect.Effect<unknown, IssueFailure>,
    timeoutMillis: number | undefined
  ) => {
    const callers = timeoutMillis !== undefined && timeoutMillis <= serverTimeout
    return Effect.disconnect(call).pipe(Effect.timeoutFail({
      duration: callers ? timeoutMillis : serverTimeout,
      onTimeout: callers ? () => new DeadlineExceeded() : timedOut[bound]
    }))
  }

  const effectOf = (
    useCases: UseCases,
    route: Route,
    input: unknown,
    timeoutMillis: number | undefined,
    metadata: Metadata | undefined
  ) => {
    try {
      const call = route.call(useCases, input, timeoutMillis, metadata)
      return route.bound === "itself" || Exit.isExit(call) ? call : bounded(route.bound, call, timeoutMillis)
    } catch (defect) {
      return Exit.die(defect)
    }
  }

  /** The call if its caller may make it. What a key or a token costs, calls without any, to RPCs that need none, never pay. */
  const guarded = (
    useCases: UseCases,
    route: Route,
    input: unknown,
    timeoutMillis: number | undefined,
    authorization: string | undefined,
    metadata: Metadata | undefined
  ): Effect.Effect<unknown, IssueFailure> => {
    const userId = route.access === "SELF" || route.access === "READ_SELF" ? (input as { readonly userId: bigint }).userId : undefined
    return Effect.flatMap(useCases.guard.admit(authorization, route.access, userId), ({ name }) =>
      Effect.locally(effectOf(useCases, route, input, timeoutMillis, metadata), Actor, name))
  }

  const forkPlain = (work: Effect.Effect<void>): void => void run(work)

  const outcomeOf = (exit: Exit.Exit<unknown, IssueFailure>): string | undefined =>
    exit._tag === "Success" ? "OK" : exit.cause._tag === "Fail" ? exit.cause.error._tag : undefined

  const settle = (route: Route, startedAt: number, exit: Exit.Exit<unknown, IssueFailure>, reply: Reply, traceparent?: string) => {
    metricsOf(route).ended(outcomeOf(exit), startedAt)
    if (exit._tag === "Success") return reply.answered(exit.value)
    const failure = exit.cause._tag === "Fail" ? exit.cause.error : undefined
    if (failure === undefined) report(exit.cause, traceparent)
    else if (failure._tag === "Unavailable" && failure.cause !== undefined) warn(failure.cause, traceparent)
    reply.failed(failure)
  }

  const admits = (route: Route, client: number) => route.isPublic ? admission.admits(client) : guardedCalls < limit
  const shed = (route: Route, answer: (failure: Overloaded) => void) => {
    metricsOf(route).refused("Overloaded")
    // It may be answered by a timer.
    admission.refuse((failure) => {
      try {
        answer(failure)
      } catch (defect) {
        report(defect)
      }
    })
  }

  return {
    inFlight: () => inFlight,
    report,
    refused: (route, failure) => metricsOf(route).refused(failure?._tag),
    clientOf: admission.clientOf,
    admits,
    shed,
    dispatch: (route, input, timeoutMillis, reply, authorization, metadata, traceparent, client) => {
      if (!admits(route, client)) return shed(route, reply.failed)
      const useCases = startup.current()
      if (useCases === undefined) {
        metricsOf(route).refused("Unavailable")
        reply.failed(notReady)
        return
      }
      if (timeoutMillis !== undefined) {
        if (timeoutMillis <= 0) {
          metricsOf(route).refused("DeadlineExceeded")
          reply.failed(new DeadlineExceeded())
          return
        }
        timeoutMillis = Math.min(timeoutMillis, MAX_TIMEOUT_MILLIS)
      }
      const startedAt = performance.now()
      const traced = tracing.begin(route.method.name, input, traceparent)
      const { guard } = useCases
      const unseen = route.isPublic && authorization === undefined && guard.publicIsOpen
      const ended = (exit: Exit.Exit<unknown, IssueFailure>) => {
        Metrics.inFlight.set(--inFlight)
        if (route.isPublic) admission.ended(client, startedAt, performance.now())
        else guardedCalls--
        if (traced !== undefined) traced.end(outcomeOf(exit), exit)
        settle(route, startedAt, exit, reply, traceparent)
      }
      Metrics.inFlight.set(++inFlight)
      if (route.isPublic) admission.began(client)
      else guardedCalls++
      const proceed = (call: Effect.Effect<unknown, IssueFailure>) => {
        if (Exit.isExit(call)) ended(call as Exit.Exit<unknown, IssueFailure>)
        else run(traced === undefined ? call : Effect.withParentSpan(call, traced.span)).addObserver(ended)
      }
      if (!unseen) return proceed(guarded(useCases, route, input, timeoutMillis, authorization, metadata))
      if (route.begin === undefined) return proceed(effectOf(useCases, route, input, timeoutMillis, metadata))
      const fork = traced === undefined ? forkPlain : (work: Effect.Effect<void>) => void run(Effect.withParentSpan(work, traced.span))
      try {
        route.begin(useCases, input, timeoutMillis, { done: ended, fork })
      } catch (defect) {
        // Neither `ended` nor `fork` throws, so the call has not ended yet.
        ended(Exit.die(defect))
      }
    }
  }
})
