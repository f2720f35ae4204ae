import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { pauseMillis } from "../base/BackoffPause.ts"
import type { CallFailure } from "./Calls.ts"
import { DEFAULT_RETRY, type RetryPolicy } from "./RetryPolicy.ts"

/** What a failure says about another call: when, and what has become of this one. */
export interface Repetition {
  /** The service asks for a pause of at least so long. */
  readonly afterMillis: number
  /** The call may have been done, although its answer is a failure. */
  readonly mayBeDone: boolean
}

/** HTTP statuses by which a proxy says that it got no answer from the service. */
const PROXY_STATUSES: ReadonlySet<number | undefined> = new Set([502, 503, 504])

/**
 * Whether the failure may pass by itself: `undefined` if the same call would fail again. By tag: OVERLOADED,
 * UNAVAILABLE and RATE_LIMITED after their Retry-After; OUTCOME_UNKNOWN, and an answer that never came, soon.
 *
 * @example
 * import { Failures, repetitionOf } from "coupon-issuance"
 *
 * console.log(repetitionOf(new Failures.Overloaded({ retryAfterSeconds: 2 }))?.afterMillis) // 2000
 * console.log(repetitionOf(new Failures.CampaignPaused())) // undefined
 */
export const repetitionOf = (failure: { readonly _tag: string }): Repetition | undefined => {
  const known = failure as CallFailure
  switch (known._tag) {
    case "Overloaded":
    case "Unavailable":
    case "RateLimited":
      return { afterMillis: known.retryAfterSeconds * 1_000, mayBeDone: false }
    case "OutcomeUnknown":
      return { afterMillis: 0, mayBeDone: true }
    case "TimedOut":
    case "Unreachable":
      return { afterMillis: 0, mayBeDone: known.mayBeDone }
    case "UnexpectedAnswer":
      return PROXY_STATUSES.has(known.status) ? { afterMillis: 0, mayBeDone: true } : undefined
    default:
      return undefined
  }
}

/**
 * Repeats a call while it fails with what passes by itself, and fails with its last failure. For calls that are safe to
 * repeat alone: those that read, claims, and those with a `requestId`.
 *
 * @example
 * import { CouponClient, retrying } from "coupon-issuance"
 * import { layerMemory } from "coupon-issuance/testing"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const client = yield* CouponClient
 *   const { campaigns } = yield* retrying(client.listCampaigns({}))
 *   console.log(campaigns.length) // 0
 * })
 *
 * await Effect.runPromise(Effect.provide(program, layerMemory))
 */
export const retrying = <A, E extends { readonly _tag: string }, R>(
  call: Effect.Effect<A, E, R>,
  policy: RetryPolicy = DEFAULT_RETRY
): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const began = yield* Clock.currentTimeMillis
    const backoff = { firstMillis: policy.firstPauseMillis, lastMillis: policy.lastPauseMillis }
    for (let attempt = 1;; attempt++) {
      const outcome = yield* Effect.either(call)
      if (outcome._tag === "Right") return outcome.right
      const repetition = repetitionOf(outcome.left)
      if (repetition === undefined || attempt >= policy.attempts) return yield* Effect.fail(outcome.left)
      const pause = repetition.afterMillis + pauseMillis(backoff, attempt, yield* Random.next)
      const left = began + policy.budgetMillis - (yield* Clock.currentTimeMillis)
      if (pause > left) return yield* Effect.fail(outcome.left)
      yield* Effect.sleep(pause)
    }
  })
