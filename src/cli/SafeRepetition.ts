import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Backoff from "../base/Backoff.ts"
import type { CallFailure } from "../client/CouponClient.ts"
import { CliFailure, ofCall } from "./CliFailure.ts"

/** How often a call is sent at most: its request id makes repeating it safe. */
const ATTEMPTS = 4

const pause = Backoff.make({ firstMillis: 200, lastMillis: 2_000 })

/** Whether a call that changes something may have been done. */
const mayBeDone = (failure: CallFailure): boolean =>
  failure._tag === "OutcomeUnknown" || ("mayBeDone" in failure && failure.mayBeDone)

/**
 * Sends a call that has a request id until its outcome is known. If an attempt may have been done and none succeeded,
 * the failure says how to go on: the next one may be answered that nothing was done, which is true of that one alone.
 */
export const untilKnown = <A>(call: Effect.Effect<A, CallFailure>, repetition: string) =>
  Effect.gen(function*() {
    let isOpen = false
    for (let attempt = 1;; attempt++) {
      const sent = yield* Effect.either(call)
      if (Either.isRight(sent)) return sent.right
      const failure = sent.left
      isOpen ||= mayBeDone(failure)
      const isPassing = mayBeDone(failure) || failure._tag === "Unavailable" || failure._tag === "Unreachable"
      if (!isOpen || (!isPassing && failure._tag !== "Overloaded")) return yield* failure
      if (attempt === ATTEMPTS) {
        const { code, message } = ofCall(failure)
        const hint = `it may have been done. To do it once and no more, repeat it with ${repetition}`
        return yield* new CliFailure({ exit: "UNKNOWN", code, message, hint })
      }
      yield* Effect.sleep(pause(attempt))
    }
  })
