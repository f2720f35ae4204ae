import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { pauseMillis } from "../base/BackoffPause.ts"
import { repetitionOf } from "./Repetition.ts"
import type { RetryBudget } from "./RetryBudget.ts"
import { DEFAULT_RETRY, type RetryPolicy } from "./RetryPolicy.ts"

/** Repeats a call by a policy, as long as the budget allows it. */
export const repeating = <A, E extends { readonly _tag: string }, R>(
  call: Effect.Effect<A, E, R>,
  policy: RetryPolicy,
  budget: Pick<RetryBudget, "allows">
): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const began = yield* Clock.currentTimeMillis
    const backoff = { firstMillis: policy.firstPauseMillis, lastMillis: policy.lastPauseMillis }
    for (let attempt = 1;; attempt++) {
      const outcome = yield* Effect.either(call)
      if (outcome._tag === "Right") return outcome.right
      const repetition = repetitionOf(outcome.left)
      if (repetition === undefined || attempt >= policy.attempts || !budget.allows()) {
        return yield* Effect.fail(outcome.left)
      }
      const pause = repetition.afterMillis + pauseMillis(backoff, attempt, yield* Random.next)
      const left = began + policy.budgetMillis - (yield* Clock.currentTimeMillis)
      if (pause > left) return yield* Effect.fail(outcome.left)
      yield* Effect.sleep(pause)
    }
  })

const UNLIMITED = { allows: () => true }

/**
 * Repeats a call while it fails with what passes by itself, and fails with its last failure. For calls that are safe to
 * repeat alone: those that read, claims, and those with a `requestId`. `retrying` of a client does so by the client's
 * policy, within the budget that all its calls share; this has no budget but the policy's.
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
): Effect.Effect<A, E, R> => repeating(call, policy, UNLIMITED)
