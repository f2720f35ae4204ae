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
