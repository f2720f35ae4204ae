import type { CallFailure } from "./Calls.ts"

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
