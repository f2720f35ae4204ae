import { counters, gauges } from "./Metrics.ts"

/** Why a caller's credentials were not enough. */
export const reasons = [
  /** None came along, and the call needs some. */
  "missing",
  /** The header is not `Bearer` and a word. */
  "malformed",
  /** No such key, or not its secret. */
  "unknown_key",
  "revoked_key",
  /** The key has expired, or was replaced some time ago. */
  "expired_key",
  /** The session has ended, or never was. Honest browsers send those, too. */
  "ended_session",
  /** A session's cookie came along with a request that is none of the console's own page. */
  "cross_site",
  /** The key may not be used from the client's address. */
  "network",
  /** The key may not touch the campaign. */
  "campaign",
  /** The key's role is too low. */
  "role",
  /** The key has no calls left in this second. */
  "rate",
  "token_malformed",
  "token_signature",
  "token_expired",
  /** Issuer, audience, type or life of the token are not those asked for. */
  "token_claims",
  /** The token is another user's. */
  "token_subject",
  /** Wrong, or not known to be right, after too many wrong ones of the same client. */
  "limited"
] as const

export type Reason = typeof reasons[number]

const rejected = counters(
  "coupon_credentials_rejected",
  "Calls that were rejected for their API key or token, or for the lack of one, by reason.",
  ["reason"]
)

/** A counter for each reason, there from the start. */
export const rejections = Object.fromEntries(reasons.map((reason) => [reason, rejected({ reason })])) as Readonly<
  Record<Reason, ReturnType<typeof rejected>>
>

const refused = counters(
  "coupon_refused_acts",
  "Administrative acts that were refused, by record: row of its own, summed up in one, or failed to be written.",
  ["record"]
)

export const refusedActs = {
  row: refused({ record: "row" }),
  summed: refused({ record: "summed" }),
  failed: refused({ record: "failed" })
}

/** Set by the agent `key_watch`. */
export const expiring = gauges(
  "coupon_keys_expiring",
  "Valid API keys that expire within 14 days and have no successor, of the whole deployment."
)()

/** There should be none: each is a part of the console that its own policy forbids, or an attack that it stopped. */
export const policyReports = counters(
  "coupon_console_policy_reports",
  "Reports of browsers that the content security policy of the console has stopped something."
)()
