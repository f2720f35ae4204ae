/** How long a call is repeated while its failures pass by themselves. */
export interface RetryPolicy {
  /** Most calls, the first one included. 1: never again. */
  readonly attempts: number
  /**
   * The time that all calls and the pauses between them may take, in milliseconds. No pause begins that would end
   * later; a call that has begun then has its own timeout.
   */
  readonly budgetMillis: number
  /** The longest pause before the second call, in milliseconds; it doubles from call to call. */
  readonly firstPauseMillis: number
  /** The longest of these pauses. A `Retry-After` of the service comes on top, and may be longer. */
  readonly lastPauseMillis: number
}

/**
 * Eight calls within ten seconds.
 *
 * @example
 * import { DEFAULT_RETRY } from "coupon-issuance"
 *
 * // For a user who waits at a screen: rather "try again" after three seconds.
 * const policy = { ...DEFAULT_RETRY, budgetMillis: 3_000 }
 * console.log(policy.attempts) // 8
 */
export const DEFAULT_RETRY: RetryPolicy = {
  attempts: 8,
  budgetMillis: 10_000,
  firstPauseMillis: 100,
  lastPauseMillis: 2_000
}

/**
 * How many calls a client repeats while many of its calls fail, in the terms of gRPC's `retryThrottling` (gRFC A6). It
 * has `maxTokens` at first. A call that fails with what may pass by itself takes one, any other outcome brings
 * `tokenRatio`, and nothing is repeated while half of them or less are left.
 */
export interface RetryThrottling {
  /** 1 to 1,000. */
  readonly maxTokens: number
  /** More than 0: in the long run, so many calls are repeated for each one that succeeds. */
  readonly tokenRatio: number
}

/**
 * After 50 failures in a row nothing is repeated; then one call for ten that succeed.
 *
 * @example
 * import { DEFAULT_THROTTLING, make } from "coupon-issuance"
 *
 * // For a gateway with many calls a second, which rather fails at once than adds to an overload.
 * const retryThrottling = { ...DEFAULT_THROTTLING, maxTokens: 20 }
 * const client = make({ url: "https://coupons.example.com", retryThrottling })
 * console.log(typeof client.retrying) // function
 */
export const DEFAULT_THROTTLING: RetryThrottling = { maxTokens: 100, tokenRatio: 0.1 }
