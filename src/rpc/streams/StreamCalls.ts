import { Code, ConnectError } from "@connectrpc/connect"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import { AppConfig } from "../../config/AppConfig.ts"
import { DeadlineExceeded, type IssueFailure, Unavailable } from "../../domain/Failure.ts"
import { protections } from "../../metrics/ProtectionMetrics.ts"
import * as RequestMetrics from "../../metrics/RequestMetrics.ts"
import * as ClientAddress from "../admission/ClientAddress.ts"
import * as HttpSource from "../dispatch/HttpSource.ts"
import { guarded } from "../Guarded.ts"
import type { Request, Response } from "../Request.ts"
import { Startup } from "../Startup.ts"
import * as Rechecks from "./Rechecks.ts"
import * as StreamProgress from "./StreamProgress.ts"
import type { AboutCampaign, Next, StreamRoute } from "./StreamRoute.ts"

/** One call of a stream, as its protocol has read it. */
export interface StreamCall {
  readonly route: StreamRoute
  readonly input: AboutCampaign
  /** Whether messages are written as protobuf, and not as JSON. */
  readonly isBinary: boolean
  /** The caller's own timeout, which aborts `signal`; `undefined`: none. */
  readonly timeoutMillis: number | undefined
  /** The value of the header `authorization`. */
  readonly authorization: string | undefined
  /** Aborted when the caller's timeout has passed, or the caller is gone. */
  readonly signal: AbortSignal
  readonly request: Request
  readonly response: Response
}

/** Runs calls that answer with a stream. */
export interface StreamCalls {
  /**
   * The messages of a call, until it ends, its caller leaves or loses its rights, or the server drains (`draining`). A
   * failure is thrown as what `errorOf` makes of it; `undefined` is a defect, which is in the log.
   */
  readonly run: (
    call: StreamCall,
    draining: AbortSignal,
    errorOf: (failure: IssueFailure | undefined) => Error
  ) => AsyncGenerator<never, void, undefined>
}

/** A stream ends after this, a little before its connection would be cut (`http/protection/LongCalls`). */
export const STREAM_MILLIS = 595_000

/** The caller may go on at another instance, or at this one by another call. */
const elsewhere = new Unavailable({ retryAfterSeconds: 1 })

/** In the metrics, the outcome of a call whose caller left. */
const CANCELED = "Canceled"

/** `report` logs a defect. */
export const make = (
  report: (cause: unknown) => void,
  streamMillis = STREAM_MILLIS
): Effect.Effect<StreamCalls, never, AppConfig | Startup> =>
  Effect.gen(function*() {
    const config = yield* AppConfig
    const startup = yield* Startup
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const addressOf = ClientAddress.makeAddressOf(config.trustedNetworks)
    const rechecks = yield* Rechecks.make

    /** Admits the caller and begins the stream, and from then on looks at the caller's rights. */
    const begin = (
      call: StreamCall,
      end: (failure: IssueFailure) => void
    ): Effect.Effect<Next<unknown>, IssueFailure, Scope.Scope> =>
      Effect.gen(function*() {
        const useCases = startup.current()
        if (useCases === undefined) return yield* elsewhere
        const { authorization, input, request, response, route, timeoutMillis } = call
        const source = HttpSource.make(request, response, addressOf)
        // Now, while the connection is there.
        source.address()
        source.requestId()
        const caller = { authorization, source, call: route.method.name, touches: input.campaignId }
        const principal = yield* useCases.guard.admit(caller, route.access)
        const next = yield* route.open(useCases, input, { principal, source, timeoutMillis, metadata: undefined })
        const admitted = { guard: useCases.guard, caller, access: route.access, principal }
        yield* Rechecks.addCaller(rechecks, admitted, end)
        return next
      }).pipe(Effect.timeoutFail({
        duration: config.requestTimeout,
        onTimeout: () => new Unavailable({ retryAfterSeconds: 1, cause: "REQUEST_TIMEOUT" })
      }))

    return {
      async *run(call, draining, errorOf) {
        const { response, route, signal } = call
        const startedAt = performance.now()
        const scope = Effect.runSync(Scope.make())
        let ended: IssueFailure | undefined
        let stop: ((failure: IssueFailure) => void) | undefined
        const end = (failure: IssueFailure) => {
          ended ??= failure
          stop?.(ended)
        }
        /** What comes of a step, unless the stream ends first, which then waits for no store. */
        const settled = <A>(step: Effect.Effect<A, IssueFailure>) =>
          new Promise<Exit.Exit<A, IssueFailure>>((resolve) => {
            if (ended !== undefined) return resolve(Exit.fail(ended))
            const fiber = runFork(step)
            stop = (failure) => {
              stop = undefined
              fiber.unsafeInterruptAsFork(FiberId.none)
              resolve(Exit.fail(failure))
            }
            fiber.addObserver((exit) => {
              stop = undefined
              resolve(exit)
            })
          })

        let isGone = false
        const release = () => void runFork(Scope.close(scope, Exit.void))
        // By no other way does it come to light that an answer is over that waits for its reader.
        const closed = () => {
          isGone = true
          end(elsewhere)
          release()
        }
        const aborted = () => {
          const isLate = ConnectError.from(signal.reason).code === Code.DeadlineExceeded
          isGone ||= !isLate
          end(isLate ? new DeadlineExceeded() : elsewhere)
        }
        const drained = () => end(elsewhere)
        const expired = guarded(report, () => {
          protections.expired.add()
          end(elsewhere)
        })
        const timer = setTimeout(expired, streamMillis).unref()
        response.once("close", closed)
        signal.addEventListener("abort", aborted)
        draining.addEventListener("abort", drained)
        if (draining.aborted) drained()

        let outcome: string | undefined = CANCELED
        const fail = (cause: Cause.Cause<IssueFailure>): Error => {
          const failure = cause._tag === "Fail" ? cause.error : undefined
          if (!isGone) {
            outcome = failure?._tag
            if (failure === undefined) report(cause)
          }
          return errorOf(failure)
        }
        try {
          const begun = await settled(Scope.extend(begin(call, end), scope))
          if (Exit.isFailure(begun)) throw fail(begun.cause)
          for (;;) {
            const exit = await settled(begun.value)
            if (Exit.isFailure(exit)) throw fail(exit.cause)
            if (exit.value === undefined) break
            yield route.respond(exit.value, call.isBinary)
            StreamProgress.add("stream" in response ? response.stream : response, route.sizeOf(exit.value))
          }
          outcome = "OK"
        } finally {
          clearTimeout(timer)
          response.removeListener("close", closed)
          signal.removeEventListener("abort", aborted)
          draining.removeEventListener("abort", drained)
          RequestMetrics.rpc(route.method.name).ended(outcome, startedAt)
          release()
        }
      }
    }
  })
