import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import type { IssueFailure } from "../../domain/Failure.ts"
import { noSource } from "../../domain/Actor.ts"
import { DeadlineExceeded, OutcomeUnknown, Unavailable } from "../../domain/Failure.ts"
import { anonymous } from "../../domain/Principal.ts"
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

/** Makes effects of calls. `timeoutMillis` is the caller's own timeout, as far as a timer can hold it. */
export interface CallEffects {
  /** Runs the call within both timeouts. A call that throws is a defect. */
  readonly open: (useCases: UseCases, call: Call, timeoutMillis: number | undefined) => CallEffect
  /** As `open`, if the guard admits the caller. Public calls without a key or token skip this cost. */
  readonly guarded: (useCases: UseCases, call: Call, timeoutMillis: number | undefined) => CallEffect
}

/** `addressOf`: the client's address, as `RequestSource.address` has it. */
export const make = (requestTimeoutMillis: number, addressOf: (request: Request) => string): CallEffects => {
  /** Applies the shorter timeout. What the work cannot be interrupted in goes on, and delays no answer. */
  const bounded = (
    bound: Exclude<Bound, "itself">,
    work: CallEffect,
    timeoutMillis: number | undefined
  ): CallEffect => {
    const callers = timeoutMillis !== undefined && timeoutMillis <= requestTimeoutMillis
    const millis = callers ? timeoutMillis : requestTimeoutMillis
    const onTimeout = callers ? () => new DeadlineExceeded() : timedOut[bound]
    // `Effect.timeoutFail` of an `Effect.disconnect` does the same by four fibers, which cost more than most reads.
    return Effect.flatMap(Effect.forkDaemon(Effect.interruptible(work)), (fiber) =>
      Effect.async<unknown, IssueFailure>((resume) => {
        const giveUp = () => fiber.unsafeInterruptAsFork(FiberId.none)
        const timer = setTimeout(() => {
          giveUp()
          resume(Effect.fail(onTimeout()))
        }, millis)
        fiber.addObserver((exit) => {
          clearTimeout(timer)
          resume(exit)
        })
        return Effect.sync(() => {
          clearTimeout(timer)
          giveUp()
        })
      }))
  }

  const paced = PacedCalls.make()

  const within = (useCases: UseCases, { client, input, route }: Call, context: CallContext): CallEffect => {
    try {
      const called = route.call(useCases, input, context)
      const work = route.paced ? paced.run(client, called) : called
      return route.bound === "itself" || Exit.isExit(work) ? work : bounded(route.bound, work, context.timeoutMillis)
    } catch (defect) {
      return Exit.die(defect)
    }
  }

  const open = (useCases: UseCases, call: Call, timeoutMillis: number | undefined): CallEffect =>
    within(useCases, call, {
      principal: anonymous,
      source: noSource,
      timeoutMillis,
      metadata: call.metadata
    })

  const guarded = (useCases: UseCases, call: Call, timeoutMillis: number | undefined): CallEffect => {
    const { access, isPublic } = call.route
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
    return Effect.flatMap(useCases.guard.admit(caller, access, userId), (principal) => {
      const work = within(useCases, call, { principal, source, timeoutMillis, metadata: call.metadata })
      const isAct = !isPublic || (access === "REDEEM" && principal.role !== "NONE")
      return !isAct || call.route.bound !== "write"
        ? work
        : Effect.tapError(work, ({ _tag }) => Effect.sync(() => useCases.guard.actFailed(caller, principal, _tag)))
    })
  }

  return { open, guarded }
}
