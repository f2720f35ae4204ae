/**
 * coupon-issuance for programs on Effect: a typed client whose calls fail by tag. `coupon-issuance/connect` is for
 * programs without Effect, `coupon-issuance/testing` for tests, `coupon-issuance/webhooks` for receivers, and
 * `coupon-issuance/gen` has the messages.
 *
 * @module
 */

export {
  type CallFailure,
  clientConfig,
  CouponClient,
  fromTransport,
  layer,
  layerConfig,
  make
} from "../client/CouponClient.ts"
export { type ClientOptions } from "../client/ClientOptions.ts"
export { type ClaimFailure, ClaimOutcome } from "../client/Claim.ts"
export { type Repetition, repetitionOf } from "../client/Repetition.ts"
export { retrying } from "../client/Retry.ts"
export { DEFAULT_RETRY, DEFAULT_THROTTLING, type RetryPolicy, type RetryThrottling } from "../client/RetryPolicy.ts"
export { layer as layerWebhooks, WebhookClient } from "../client/WebhookClient.ts"
export { type NoAnswer } from "../client/ClientFailure.ts"
export type { FailureMessage, WireFailure } from "../contract/FailureTable.ts"
export type { Coupon } from "../domain/Coupon.ts"
export type { IssuedCoupon, KnownCoupon } from "../domain/redemption/Redemption.ts"

/**
 * The failures of calls, each a class with a tag. Calls fail with them, and tests make them.
 *
 * @example
 * import { CouponClient, Failures } from "coupon-issuance"
 * import { layerMemory } from "coupon-issuance/testing"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const client = yield* CouponClient
 *   return yield* client.getCampaign({ campaignId: 7 }).pipe(
 *     Effect.as("found"),
 *     Effect.catchTag("RecordNotFound", () => Effect.succeed("there is no campaign 7"))
 *   )
 * })
 *
 * console.log(await Effect.runPromise(Effect.provide(program, layerMemory))) // there is no campaign 7
 * console.log(new Failures.Overloaded({ retryAfterSeconds: 2 })._tag) // Overloaded
 */
export * as Failures from "./Failures.ts"
