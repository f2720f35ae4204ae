import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { GateUnavailable } from "../ports/Gate.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../ports/Ledger.ts"
import type { KeysUnavailable } from "../security/ApiKeys.ts"
import { InternalError, type OperatorFailure, OutcomeUnknown, Unavailable } from "../contract/OperatorErrors.ts"

/** What is told of anything unexpected. */
const INTERNAL = "INTERNAL_SERVER_ERROR: the cause is in the log of the instance that answered"

export const storesAway = (waitingFor: ReadonlyArray<string>): Unavailable =>
  new Unavailable({ message: `this instance still waits for ${waitingFor.join(" and ") || "its stores"}`, retryAfterSeconds: 1 })

export const stopping = new Unavailable({ message: "this instance is stopping; another one, or its successor, will answer", retryAfterSeconds: 1 })

export type StoreFailure = LedgerUnavailable | CommitInDoubt | GateUnavailable | KeysUnavailable

/** A failure of a store as an operator hears it. What the store said may hold addresses and names: it goes to the log. */
const told = {
  LedgerUnavailable: new Unavailable({ message: "the ledger does not answer", retryAfterSeconds: 1 }),
  GateUnavailable: new Unavailable({ message: "the gate does not answer", retryAfterSeconds: 1 }),
  // A key that may have been stored nevertheless is nobody's: its secret was not told.
  KeysUnavailable: new Unavailable({ message: "the store of API keys does not answer", retryAfterSeconds: 1 }),
  CommitInDoubt: new OutcomeUnknown({ message: "the ledger failed while committing; look before you ask again" })
} satisfies Record<StoreFailure["_tag"], OperatorFailure>

const isStoreFailure = (failure: { readonly _tag: string }): failure is StoreFailure => Object.hasOwn(told, failure._tag)

/** Turns what a call may fail with into what an operator hears; the cause of the rest, and of defects, is logged here. */
export const failureOf = (
  call: string,
  cause: Cause.Cause<OperatorFailure | StoreFailure>
): Effect.Effect<never, OperatorFailure> => {
  if (Cause.isInterruptedOnly(cause)) return Effect.interrupt
  const failure = Cause.isFailType(cause) ? cause.error : undefined
  if (failure === undefined) {
    return Effect.zipRight(Effect.logError(`the operator's call ${call} failed unexpectedly`, cause), Effect.fail(new InternalError({ message: INTERNAL })))
  }
  return isStoreFailure(failure)
    ? Effect.zipRight(Effect.logWarning(`the operator's call ${call} was refused by a store`, cause), Effect.fail(told[failure._tag]))
    : Effect.fail(failure)
}
