import * as m from "../paraglide/messages.js"
import type { FailureMessage } from "$contract/FailureTable.ts"
import { type Failure, type FailureName, fromConnect } from "./Failure.ts"

interface Texts {
  /** What happened. */
  readonly what: () => string
  /** What to do now. */
  readonly advice: () => string
}

/** The texts of every failure: one without them does not compile. */
const texts: { readonly [Name in FailureName]: Texts } = {
  INVALID_ARGUMENT: { what: m.failures_invalid, advice: m.failures_invalid_do },
  RECORD_NOT_FOUND: { what: m.failures_not_found, advice: m.failures_not_found_do },
  CAMPAIGN_NOT_STARTED: { what: m.failures_not_started, advice: m.failures_not_started_do },
  COUPON_ALREADY_CLAIMED: { what: m.failures_already, advice: m.failures_already_do },
  CAMPAIGN_ENDED: { what: m.failures_ended, advice: m.failures_ended_do },
  CAMPAIGN_PAUSED: { what: m.failures_paused, advice: m.failures_paused_do },
  COUPON_SOLD_OUT: { what: m.failures_sold_out, advice: m.failures_sold_out_do },
  CODES_EXHAUSTED: { what: m.failures_exhausted, advice: m.failures_exhausted_do },
  COUPON_REDEEMED: { what: m.failures_redeemed, advice: m.failures_redeemed_do },
  COUPON_EXPIRED: { what: m.failures_expired, advice: m.failures_expired_do },
  COUPON_REVOKED: { what: m.failures_revoked, advice: m.failures_revoked_do },
  OVERLOADED: { what: m.failures_overloaded, advice: m.failures_overloaded_do },
  UNAVAILABLE: { what: m.failures_unavailable, advice: m.failures_unavailable_do },
  OUTCOME_UNKNOWN: { what: m.failures_unknown, advice: m.failures_unknown_do },
  CONFLICT: { what: m.failures_conflict, advice: m.failures_conflict_do },
  DEADLINE_EXCEEDED: { what: m.failures_timed_out, advice: m.failures_timed_out_do },
  UNAUTHENTICATED: { what: m.failures_unauthenticated, advice: m.failures_unauthenticated_do },
  PERMISSION_DENIED: { what: m.failures_denied, advice: m.failures_denied_do },
  RATE_LIMITED: { what: m.failures_rate_limited, advice: m.failures_rate_limited_do },
  WEBHOOKS_OFF: { what: m.failures_webhooks_off, advice: m.failures_webhooks_off_do },
  LAST_ADMIN_KEY: { what: m.failures_last_admin, advice: m.failures_last_admin_do },
  INTERNAL_SERVER_ERROR: { what: m.failures_internal, advice: m.failures_internal_do },
  UNREACHABLE: { what: m.failures_unreachable, advice: m.failures_unreachable_do },
  TIMED_OUT: { what: m.failures_timed_out, advice: m.failures_timed_out_do },
  UNEXPECTED_ANSWER: { what: m.failures_unexpected, advice: m.failures_unexpected_do },
  CANCELED: { what: m.failures_canceled, advice: m.failures_canceled_do }
}

const isKnown = (message: string): message is FailureMessage => Object.hasOwn(texts, message)

/** The failure of a call, from whatever was thrown. */
export const failureOf = (cause: unknown): Failure => fromConnect(cause, isKnown)

export const textsOf = ({ tag }: Failure): { readonly what: string; readonly advice: string } => ({
  what: texts[tag].what(),
  advice: texts[tag].advice()
})
