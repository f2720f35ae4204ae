import type { FailureMessage } from "../../src/contract/FailureTable.ts"

/**
 * What a client received: `OK`, a failure's message as the service documents it, `NO_ANSWER` when the connection failed
 * before a reply came, or `HTTP <status>` for a reply that the contract does not know.
 */
export type Outcome = string

/** One IssueCoupon as its client saw it. Plain JSON, so that the history of a failed run can be kept and read. */
export interface Attempt {
  /** Milliseconds since the epoch, with fractions, by the monotonic clock of one load generator. */
  readonly askedAt: number
  readonly answeredAt: number
  readonly campaignId: number
  /** Decimal, because a user id may exceed what a JSON number holds. */
  readonly userId: string
  /** Base URL of the instance that was asked. */
  readonly instance: string
  readonly outcome: Outcome
  /** The code that came with `OK` or `COUPON_ALREADY_CLAIMED`. */
  readonly code?: string
}

/** Answers after which this attempt neither has issued anything nor ever will. */
export const NOTHING_ISSUED: ReadonlySet<Outcome> = new Set<FailureMessage>([
  "RECORD_NOT_FOUND",
  "CAMPAIGN_NOT_STARTED",
  "CAMPAIGN_ENDED",
  "CAMPAIGN_PAUSED",
  "COUPON_SOLD_OUT",
  "CODES_EXHAUSTED",
  "OVERLOADED",
  "UNAVAILABLE"
])

/** Answers that leave open what happened: the client has to ask again, or look the claim up. */
export const OPEN: ReadonlySet<Outcome> = new Set<FailureMessage | "NO_ANSWER">([
  "OUTCOME_UNKNOWN",
  "DEADLINE_EXCEEDED",
  "NO_ANSWER"
])
