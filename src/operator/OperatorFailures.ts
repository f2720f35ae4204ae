import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { EventStreamUnavailable } from "../ports/EventStream.ts"
import type { GateUnavailable } from "../ports/Gate.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../ports/Ledger.ts"
import type { KeysUnavailable } from "../security/ApiKeys.ts"
import { InternalError, type OperatorFailure, OutcomeUnknown, Unavailable } from "../contract/OperatorErrors.ts"

/** The message of every unexpected failure. */
const INTERNAL = "INTERNAL_SERVER_ERROR: the cause is in the log of the instance that answered"

export const storesAway = (waitingFor: ReadonlyArray<string>): Unavailable =>
  new Unavailable({
    message: `this instance still waits for ${waitingFor.join(" and ") || "its stores"}`,
    retryAfterSeconds: 1
  })

export const stopping = new Unavailable({
  message: "this instance is stopping; another one, or its successor, will answer",
  retryAfterSeconds: 1
})

export type StoreFailure =
  | LedgerUnavailable
  | CommitInDoubt
  | EventStreamUnavailable
  | GateUnavailable
  | KeysUnavailable

/** A store's failure as the operator receives it. The store's own message may hold addresses: only the log has it. */
const failures = {
  LedgerUnavailable: new Unavailable({ message: "the ledger does not answer", retryAfterSeconds: 1 }),
  GateUnavailable: new Unavailable({ message: "the gate does not answer", retryAfterSeconds: 1 }),
  EventStreamUnavailable: new Unavailable({ message: "the event stream does not answer", retryAfterSeconds: 1 }),
  // The key may have been stored. It is unusable, because its secret was never sent.
  KeysUnavailable: new Unavailable({ message: "the store of API keys does not answer", retryAfterSeconds: 1 }),
  CommitInDoubt: new OutcomeUnknown({ message: "the ledger failed while committing; look before you ask again" })
} satisfies Record<StoreFailure["_tag"], OperatorFailure>

const isStoreFailure = (failure: { readonly _tag: string }): failure is StoreFailure =>
  Object.hasOwn(failures, failure._tag)

/** Turns a call's failure into one that the operator receives. Logs the cause of store failures and defects. */
export const failureOf = (
  call: string,
  cause: Cause.Cause<OperatorFailure | StoreFailure>
): Effect.Effect<never, OperatorFailure> => {
  if (Cause.isInterruptedOnly(cause)) return Effect.interrupt
  const failure = Cause.isFailType(cause) ? cause.error : undefined
  if (failure === undefined) {
    const log = Effect.logError(`the operator's call ${call} failed unexpectedly`, cause)
    return Effect.zipRight(log, Effect.fail(new InternalError({ message: INTERNAL })))
  }
  if (!isStoreFailure(failure)) return Effect.fail(failure)
  const log = Effect.logWarning(`the operator's call ${call} failed in a store`, cause)
  return Effect.zipRight(log, Effect.fail(failures[failure._tag]))
}
