import type { Socket } from "node:net"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import { AppConfig } from "../../config/AppConfig.ts"
import type { IssueFailure } from "../../domain/Failure.ts"
import { DeadlineExceeded, Overloaded, Unavailable } from "../../domain/Failure.ts"
import { protections } from "../../metrics/ProtectionMetrics.ts"
import * as RequestMetrics from "../../metrics/RequestMetrics.ts"
import { RequestTracing } from "../../ports/RequestTracing.ts"
import * as Admission from "../admission/Admission.ts"
import * as Shares from "../admission/Shares.ts"
import * as ClientAddress from "../admission/ClientAddress.ts"
import type { Call } from "./Call.ts"
import * as CallEffect from "./CallEffect.ts"
import * as CallsInProgress from "./CallsInProgress.ts"
import type { Request } from "../Request.ts"
import * as RequestLog from "./RequestLog.ts"
import type { Route } from "../Route.ts"
import type { UseCases } from "../Startup.ts"
import { Startup } from "../Startup.ts"
import * as StreamCalls from "../streams/StreamCalls.ts"

/** Runs calls: admission, readiness, timeouts, and the log of what went wrong. */
export interface Dispatcher {
  /** Calls in progress. */
  readonly inFlight: () => number
  /** The client of a request, for `admits` and `Call.client`. */
  readonly clientOf: (request: Request) => number
  /** As `ClientAddresses.ofSocket` has it. */
  readonly clientOfSocket: (socket: Socket) => number | undefined
  /** As `ClientAddresses.ofAddress` has it. */
  readonly clientOfAddress: (address: string) => number | undefined
  /** Whether a call would begin now. If not, its body need not be read. */
  readonly admits: (route: Route, client: number) => boolean
  /** Counts a call that does not begin, and calls `answer` with the reason, perhaps later; `answer` must not throw. */
  readonly shed: (route: Route, answer: (failure: Overloaded) => void) => void
  /** Runs one call if its caller may make it. Exactly one of `call.answered` and `call.failed` is called, once. */
  readonly dispatch: (call: Call) => void
  /** Counts a request that was rejected before it became a call: for a defect, or because it could not be read. */
  readonly refused: (route: Named, failure: { readonly _tag: string } | undefined) => void
  /** Bytes that are held for clients: large answers that are not read, and bodies, which the server counts. */
  readonly held: Shares.Shares
  /** Logs a defect of the transport itself. */
  readonly report: (cause: unknown) => void
  /** Calls that answer with a stream. They are few and not counted among the calls in progress. */
  readonly streams: StreamCalls.StreamCalls
}

/** What is counted under the name of its method. */
interface Named {
  readonly method: { readonly name: string }
}

/** Longest delay that a timer of the platform takes: 24.8 days. Longer timeouts are cut to it. */
export const MAX_TIMEOUT_MILLIS = 2_147_483_647

type Outcome = Exit.Exit<unknown, IssueFailure>

/** Answers below this are not counted: their number is bounded. */
const LARGE_BYTES = 8_192

const unread: Outcome = Exit.fail(new Overloaded({ retryAfterSeconds: 1 }))

const notReady = new Unavailable({ retryAfterSeconds: 1 })

/** `OK`, or the tag of the failure; `undefined`: a defect. */
const nameOf = (exit: Outcome): string | undefined =>
  exit._tag === "Success" ? "OK" : exit.cause._tag === "Fail" ? exit.cause.error._tag : undefined

const makeMetricsOf = (): (route: Named) => RequestMetrics.RpcMetrics => {
  const known = new Map<Named, RequestMetrics.RpcMetrics>()
  return (route) => {
    let found = known.get(route)
    if (found === undefined) known.set(route, found = RequestMetrics.rpc(route.method.name))
    return found
  }
}

export const make: Effect.Effect<Dispatcher, never, AppConfig | Startup> = Effect.gen(function*() {
  const config = yield* AppConfig
  const startup = yield* Startup
  const tracing = yield* RequestTracing
  const run = Runtime.runFork(yield* Effect.runtime<never>())
  const admission = Admission.make({
    most: config.maxInFlight,
    targetMillis: Duration.toMillis(config.latencyTarget),
    trusted: config.trustedNetworks
  })
  const calls = CallsInProgress.make(admission, config.maxInFlight)
  const effects = CallEffect.make(
    Duration.toMillis(config.requestTimeout),
    ClientAddress.makeAddressOf(config.trustedNetworks)
  )
  const log = RequestLog.make(run)
  const held = Shares.make(config.heldBytes)
  const metricsOf = makeMetricsOf()
  const streams = yield* StreamCalls.make(log.report)

  /** Whether the client may have so many bytes of answers more that it has not read. They are held until it has. */
  const mayAnswer = ({ client, response }: Call, bytes: number): boolean => {
    if (bytes < LARGE_BYTES) return true
    if (!held.take(client, bytes)) {
      protections.bytes.add()
      return false
    }
    response.once("close", () => held.give(client, bytes))
    return true
  }

  const settle = (call: Call, startedAt: number, ended: Outcome) => {
    const isHeld = ended._tag === "Failure" || mayAnswer(call, call.route.sizeOf(ended.value))
    const exit = isHeld ? ended : unread
    metricsOf(call.route).ended(nameOf(exit), startedAt)
    if (exit._tag === "Success") return call.answered(exit.value)
    const failure = exit.cause._tag === "Fail" ? exit.cause.error : undefined
    if (failure === undefined) log.report(exit.cause, call.traceparent)
    else if (failure._tag === "Unavailable" && failure.cause !== undefined) log.warn(failure.cause, call.traceparent)
    call.failed(failure)
  }

  const forkPlain = (work: Effect.Effect<void>): void => void run(work)

  const begin = (useCases: UseCases, call: Call, timeoutMillis: number | undefined) => {
    const { client, input, route } = call
    const startedAt = performance.now()
    const traced = tracing.begin(route.method.name, input, call.traceparent, route.method.parent.typeName)
    const ended = (exit: Outcome) => {
      calls.ended(route, client, startedAt)
      if (traced !== undefined) traced.end(nameOf(exit), exit)
      settle(call, startedAt, exit)
    }
    const runToEnd = (bounded: CallEffect.BoundedCall) =>
      CallEffect.runToEnd(
        bounded,
        (work) => run(traced === undefined ? work : Effect.withParentSpan(work, traced.span)),
        ended
      )
    calls.began(route, client)
    const needsGuard = !route.isPublic || route.access === "REDEEM" || call.authorization !== undefined ||
      !useCases.guard.publicIsOpen
    if (needsGuard) return runToEnd(effects.guarded(useCases, call, timeoutMillis))
    if (route.begin === undefined) return runToEnd(effects.open(useCases, call, timeoutMillis))
    const fork = traced === undefined
      ? forkPlain
      : (work: Effect.Effect<void>) => void run(Effect.withParentSpan(work, traced.span))
    try {
      route.begin(useCases, input, timeoutMillis, { done: ended, fork })
    } catch (defect) {
      // Neither `ended` nor `fork` throws, so the call has not ended yet.
      ended(Exit.die(defect))
    }
  }

  const reject = (call: Call, failure: IssueFailure) => {
    metricsOf(call.route).rejected(failure._tag)
    call.failed(failure)
  }

  const shed = (route: Route, answer: (failure: Overloaded) => void) => {
    metricsOf(route).rejected("Overloaded")
    // A timer may call this, from which a throw would end the process.
    admission.reject((failure) => {
      try {
        answer(failure)
      } catch (defect) {
        log.report(defect)
      }
    })
  }

  return {
    inFlight: calls.count,
    held,
    streams,
    report: log.report,
    refused: (route, failure) => metricsOf(route).rejected(failure?._tag),
    clientOf: admission.clients.ofRequest,
    clientOfSocket: admission.clients.ofSocket,
    clientOfAddress: admission.clients.ofAddress,
    admits: calls.admits,
    shed,
    dispatch: (call) => {
      if (!calls.admits(call.route, call.client)) return shed(call.route, call.failed)
      const useCases = startup.current()
      if (useCases === undefined) return reject(call, notReady)
      const { timeoutMillis } = call
      if (timeoutMillis === undefined) return begin(useCases, call, undefined)
      if (timeoutMillis <= 0) return reject(call, new DeadlineExceeded())
      begin(useCases, call, Math.min(timeoutMillis, MAX_TIMEOUT_MILLIS))
    }
  }
})
