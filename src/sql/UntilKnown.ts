import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Backoff from "../base/Backoff.ts"
import { CommitInDoubt, type LedgerUnavailable } from "../ports/Ledger.ts"
import { type SqlFailure, unavailable } from "./SqlFailure.ts"

/** A failed attempt whose transaction is over: rolled back, or never begun, or beyond our reach. */
export interface FailedAttempt {
  readonly failure: SqlFailure
  readonly cause: unknown
}

/** How long a transaction is tried. */
export interface Retries {
  /** How often it is sent at most, when each attempt failed in a way that proves that it did nothing. */
  readonly attempts: number
  /** Milliseconds after which no further attempt begins: lock waits take seconds. Default: no limit. */
  readonly patienceMillis?: number
}

/** Failures that prove that nothing was committed, and that another attempt may not meet. */
const REPEATABLE: ReadonlyArray<SqlFailure> = ["NotSent", "Retry", "CodeTaken"]

/** Two instances that deadlocked should not meet again. */
const retryDelay = Backoff.make({ firstMillis: 4, lastMillis: 64 })

/**
 * Runs `attempt` until its outcome is known. Fails with `LedgerUnavailable` if nothing was committed and never will be,
 * and with `CommitInDoubt` otherwise. `beforeNext` runs before each further attempt, with the failure of the last one.
 */
export const untilKnown = <A>(
  attempt: Effect.Effect<Either.Either<A, FailedAttempt>, LedgerUnavailable>,
  { attempts, patienceMillis = Infinity }: Retries,
  beforeNext: (failed: FailedAttempt) => void = () => {}
): Effect.Effect<A, LedgerUnavailable | CommitInDoubt> =>
  Effect.gen(function*() {
    const began = yield* Clock.currentTimeMillis
    for (let tried = 1;; tried++) {
      const sent = yield* attempt
      if (Either.isRight(sent)) return sent.right
      const { cause, failure } = sent.left
      if (failure === "InDoubt") return yield* new CommitInDoubt({ cause })
      if (!REPEATABLE.includes(failure) || tried === attempts) return yield* unavailable(cause)
      if ((yield* Clock.currentTimeMillis) - began > patienceMillis) return yield* unavailable(cause)
      beforeNext(sent.left)
      yield* Effect.logDebug("a transaction is sent again").pipe(
        Effect.annotateLogs({
          attempt: tried,
          failure,
          cause: String((cause as { readonly cause?: unknown }).cause ?? cause)
        })
      )
      yield* Effect.sleep(retryDelay(tried))
    }
  })
