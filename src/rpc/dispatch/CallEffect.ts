import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type { IssueFailure } from "../../domain/Failure.ts"
import { noSource } from "../../domain/Actor.ts"
import { DeadlineExceeded, OutcomeUnknown, Unavailable } from "../../domain/Failure.ts"
import { anonymous, type Principal } from "../../domain/Principal.ts"
import * as HttpSource from "./HttpSource.ts"
import type { Request } from "../Request.ts"
import type { Call } from "./Call.ts"
import type { Bound, CallContext } from "../Route.ts"
import * as PacedCalls from "./PacedCalls.ts"
import type { UseCases } from "../Startup.ts"

type CallEffect = Effect.Effect<unknown, IssueFailure>

/** What REQUEST_TIMEOUT ends a call with. */
const timedOut: Record<Exclude<Bound, "itself">, () => IssueFailure> = {
  read: () => new Unavailable({ retryAfterSeconds: 1, cause: "REQUEST_TIMEOUT" }),
  write: () => new OutcomeUnknown()
}

/** A call, for a fiber of its own, and what ends it if it takes too long. */
export interface BoundedCall {
  readonly work: CallEffect
  /** `undefined`: the call ends by itself. */
  readonly timeout: {
    /** The shorter of both timeouts. */
    readonly millis: number
    /** What the call is answered with after that. Called at most once, and not after the work has ended. */
    readonly failure: () => IssueFailure
  } | undefined
}

/** Makes effects of calls. `timeoutMillis` is the caller's own timeout, as far as a timer can hold it. */
export interface CallEffects {
  /** The call within both timeouts. A call that throws is a defect. */
  readonly open: (useCases: UseCases, call: Call, timeoutMillis: number | undefined) => BoundedCall
  /** As `open`, if the guard admits the caller. Public calls without a key or token skip this cost. */
  readonly guarded: (useCases: UseCases, call: Call, timeoutMillis: number | undefined) => BoundedCall
}

/**
 * Runs a call to its end, and calls `done` once, with its exit or with what its timeout makes of it. Where the work
 * cannot be interrupted it goes on, and delays no answer. `Effect.timeoutFail` of an `Effect.disconnect` does the same
 * by four more fibers, which cost more than most reads.
 */
export const runToEnd = (
  { timeout, work }: BoundedCall,
  fork: (work: CallEffect) => Fiber.RuntimeFiber<unknown, IssueFailure>,
  done: (exit: Exit.Exit<unknown, IssueFailure>) => void
): void => {
  if (Exit.isExit(work)) return done(work as Exit.Exit<unknown, IssueFailure>)
  const fiber = fork(work)
  if (timeout === undefined) return fiber.addObserver(done)
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    const failure = timeout.failure()
    fiber.unsafeInterruptAsFork(FiberId.none)
    done(Exit.fail(failure))
  }, timeout.millis)
  fiber.addObserver((exit) => {
    clearTimeout(timer)
    if (!isLate) done(exit)
  })
}

/** `addressOf`: the client's address, as `RequestSource.address` has it. */
export const make = (requestTimeoutMillis: number, addressOf: (request: Request) => string): CallEffects => {
  const paced = PacedCalls.make()

  const within = (useCases: UseCases, { client, input, route }: Call, context: CallContext): CallEffect => {
    try {
      const called = route.call(useCases, input, context)
      return route.paced ? paced.run(client, called) : called
    } catch (defect) {
      return Exit.die(defect)
    }
  }

  const bounded = (
    bound: Bound,
    work: CallEffect,
    timeoutMillis: number | undefined,
    onTimeout: (failure: IssueFailure) => IssueFailure
  ): BoundedCall => {
    if (bound === "itself") return { work, timeout: undefined }
    const callers = timeoutMillis !== undefined && timeoutMillis <= requestTimeoutMillis
    const failure = callers ? () => new DeadlineExceeded() : timedOut[bound]
    return {
      work,
      timeout: {
        millis: callers ? timeoutMillis : requestTimeoutMillis,
        failure: () => onTimeout(failure())
      }
    }
  }

  const open = (useCases: UseCases, call: Call, timeoutMillis: number | undefined): BoundedCall => {
    const context = { principal: anonymous, source: noSource, timeoutMillis, metadata: call.metadata }
    return bounded(call.route.bound, within(useCases, call, context), timeoutMillis, (failure) => failure)
  }

  const guarded = (useCases: UseCases, call: Call, timeoutMillis: number | undefined): BoundedCall => {
    const { access, bound, isPublic } = call.route
    const source = HttpSource.make(call.request, call.response, addressOf)
    if (!isPublic) {
      // Now, while the connection is there: the audit log names both.
      source.address()
      source.requestId()
    }
    const isOfUser = access === "SELF" || access === "READ_SELF"
    const userId = isOfUser ? (call.input as { readonly userId: bigint }).userId : undefined
    const caller = {
      authorization: call.authorization,
      source,
      call: call.route.method.name,
      touches: call.route.touches(call.input)
    }
    let admitted: Principal | undefined
    let hasFailed = false
    /** Records that an administrative act failed, once. */
    const failed = (principal: Principal, { _tag }: IssueFailure) => {
      const isAct = !isPublic || (access === "REDEEM" && principal.role !== "NONE")
      if (isAct && bound === "write" && !hasFailed) useCases.guard.actFailed(caller, principal, _tag)
      hasFailed = true
    }
    const work = Effect.flatMap(useCases.guard.admit(caller, access, userId), (principal) => {
      admitted = principal
      const called = within(useCases, call, { principal, source, timeoutMillis, metadata: call.metadata })
      return bound === "write"
        ? Effect.tapError(called, (failure) => Effect.sync(() => failed(principal, failure)))
        : called
    })
    return bounded(bound, work, timeoutMillis, (failure) => {
      // Nothing was begun for a caller that was not admitted yet.
      if (admitted === undefined) return failure._tag === "OutcomeUnknown" ? timedOut.read() : failure
      failed(admitted, failure)
      return failure
    })
  }

  return { open, guarded }
}
