import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cause from "effect/Cause"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { FailureTag } from "$contract/FailureTable.ts"
import { LAST_ADMIN_KEY, publicTags } from "$contract/OperatorErrors.ts"
import { table } from "$contract/FailureTable.ts"
import { make, type OperatorCallFailure, type OperatorClient } from "$client/OperatorClient.ts"
import { Failure } from "./Failure.ts"
import * as ActReason from "$domain/audit/ActReason.ts"
import { consoleHeader, TIMEOUT_MILLIS } from "./transport.ts"

/**
 * The operator plane over fetch, by the same typed client as the command's. This module brings Effect along, so pages
 * load it after they are shown: see `operator.ts`.
 */
const failureOf = (failure: OperatorCallFailure): Failure => {
  switch (failure._tag) {
    case "Unreachable":
      return new Failure("UNREACHABLE")
    case "TimedOut":
      return new Failure("TIMED_OUT")
    case "UnexpectedAnswer":
      return new Failure("UNEXPECTED_ANSWER", { reason: failure.text })
    default: {
      // Its texts say all of it, in the page's language.
      if (failure._tag === "Conflict" && failure.code === LAST_ADMIN_KEY) return new Failure(LAST_ADMIN_KEY)
      const tag: FailureTag = publicTags[failure._tag]
      return new Failure(table[tag].message, {
        reason: failure.message,
        retryAfterSeconds: "retryAfterSeconds" in failure ? failure.retryAfterSeconds : 1
      })
    }
  }
}

const thrown = <A>(exit: Exit.Exit<A, OperatorCallFailure>): A => {
  if (Exit.isSuccess(exit)) return exit.value
  if (Cause.isInterruptedOnly(exit.cause)) throw new Failure("CANCELED")
  const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
  if (failure === undefined) throw Cause.squash(exit.cause)
  throw failureOf(failure)
}

const options = (headers: Readonly<Record<string, string>>) => ({
  url: location.origin,
  timeoutMillis: TIMEOUT_MILLIS,
  headers: { ...consoleHeader, ...headers }
})

const run = async <A>(effect: Effect.Effect<A, OperatorCallFailure>, signal?: AbortSignal): Promise<A> =>
  thrown(await Effect.runPromiseExit(effect, signal === undefined ? {} : { signal }))

/** For the whole life of the page: without a connection of its own, so nothing of it has to end. */
const shared: OperatorClient["Type"] = await Effect.runPromise(
  Effect.provideService(make(options({})), Scope.Scope, Effect.runSync(Scope.make()))
)

/** Makes one call with a single answer. A `reason` goes to the audit log. */
export const ask = <A>(
  call: (client: OperatorClient["Type"]) => Effect.Effect<A, OperatorCallFailure>,
  reason = ""
): Promise<A> =>
  reason === ""
    ? run(call(shared))
    : run(Effect.scoped(Effect.flatMap(make(options(ActReason.headers(reason))), call)))

/** Receives a stream's messages until it ends. */
export const receive = <A>(
  call: (client: OperatorClient["Type"]) => Stream.Stream<A, OperatorCallFailure>,
  onMessage: (message: A) => void,
  { reason = "", signal }: { readonly signal?: AbortSignal | undefined; readonly reason?: string } = {}
): Promise<void> =>
  run(
    Effect.scoped(
      Effect.flatMap(reason === "" ? Effect.succeed(shared) : make(options(ActReason.headers(reason))), (client) =>
        Stream.runForEach(call(client), (message) => Effect.sync(() => onMessage(message))))
    ),
    signal
  )
