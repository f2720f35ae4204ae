import type { Code } from "@connectrpc/connect"
import * as Data from "effect/Data"
import type { IssuedCoupon, KnownCoupon } from "../domain/redemption/Redemption.ts"
import * as Failures from "../domain/Failure.ts"

/** `CouponAlreadyClaimed` as a client decodes it from the error's detail. */
export class CouponAlreadyClaimed extends Data.TaggedError("CouponAlreadyClaimed")<{ readonly coupon: IssuedCoupon }> {}

/** `CouponRedeemed` as a client decodes it from the error's detail. */
export class CouponRedeemed extends Data.TaggedError("CouponRedeemed")<{ readonly coupon: KnownCoupon }> {}

/** `CouponExpired` as a client decodes it from the error's detail. */
export class CouponExpired extends Data.TaggedError("CouponExpired")<{ readonly coupon: KnownCoupon }> {}

/** `CouponRevoked` as a client decodes it from the error's detail. */
export class CouponRevoked extends Data.TaggedError("CouponRevoked")<{ readonly coupon: KnownCoupon }> {}

/** A defect of the service. Its cause is only in the log of the instance that answered. */
export class InternalServerError extends Data.TaggedError("InternalServerError") {}

/** Every failure that an answer of the public API may carry. A failure of the domain is one of these. */
export type WireFailure =
  | Exclude<Failures.IssueFailure, { readonly coupon: unknown }>
  | CouponAlreadyClaimed
  | CouponRedeemed
  | CouponExpired
  | CouponRevoked
  | InternalServerError

export type FailureTag = WireFailure["_tag"]

/** What an answer carries besides the message, in whatever protocol. */
export interface Carried {
  /** What follows the message after `: `; empty if nothing does. */
  readonly reason: string
  /** The Retry-After header or trailer, in seconds. */
  readonly retryAfterSeconds: number
  /** The error's detail `coupon.v1.Coupon`. */
  readonly coupon: IssuedCoupon | KnownCoupon | undefined
}

/** One failure: its code and message, what it carries, and how a client reads it back. */
export interface Entry<F> {
  readonly code: keyof typeof Code
  readonly message: string
  readonly reason?: (failure: F) => string
  /** Seconds, not yet rounded. */
  readonly retryAfter?: (failure: F) => number
  readonly coupon?: (failure: F) => IssuedCoupon | KnownCoupon
  /** `undefined`: the answer lacks what this failure has to carry. */
  readonly decode: (carried: Carried) => F | undefined
}

type Table = { readonly [Tag in FailureTag]: Entry<Extract<WireFailure, { readonly _tag: Tag }>> }

const retryAfter = (failure: { readonly retryAfterSeconds: number }): number => failure.retryAfterSeconds
const reason = (failure: { readonly reason: string }): string => failure.reason

/**
 * The one table of failures: tag, message and Connect code. The server encodes by it, clients decode by it, and metrics
 * take their labels from it. A failure without an entry does not compile.
 */
export const table = {
  InvalidArgument: {
    code: "InvalidArgument",
    message: "INVALID_ARGUMENT",
    reason: ({ field, reason }) => `${field} ${reason}`.trimEnd(),
    decode: ({ reason }) => {
      const [field, ...words] = reason.split(" ")
      return new Failures.InvalidArgument({ field: field!, reason: words.join(" ") })
    }
  },
  RecordNotFound: { code: "NotFound", message: "RECORD_NOT_FOUND", decode: () => new Failures.RecordNotFound() },
  CampaignNotStarted: {
    code: "FailedPrecondition",
    message: "CAMPAIGN_NOT_STARTED",
    decode: () => new Failures.CampaignNotStarted()
  },
  CouponAlreadyClaimed: {
    code: "AlreadyExists",
    message: "COUPON_ALREADY_CLAIMED",
    coupon: ({ coupon }) => coupon,
    decode: ({ coupon }) => coupon && new CouponAlreadyClaimed({ coupon })
  },
  CampaignEnded: {
    code: "FailedPrecondition",
    message: "CAMPAIGN_ENDED",
    decode: () => new Failures.CampaignEnded()
  },
  CampaignPaused: {
    code: "FailedPrecondition",
    message: "CAMPAIGN_PAUSED",
    decode: () => new Failures.CampaignPaused()
  },
  CouponSoldOut: {
    code: "FailedPrecondition",
    message: "COUPON_SOLD_OUT",
    decode: () => new Failures.CouponSoldOut()
  },
  CodesExhausted: {
    code: "FailedPrecondition",
    message: "CODES_EXHAUSTED",
    decode: () => new Failures.CodesExhausted()
  },
  CouponRedeemed: {
    code: "AlreadyExists",
    message: "COUPON_REDEEMED",
    coupon: ({ coupon }) => coupon,
    decode: ({ coupon }) => coupon && "state" in coupon ? new CouponRedeemed({ coupon }) : undefined
  },
  CouponExpired: {
    code: "FailedPrecondition",
    message: "COUPON_EXPIRED",
    coupon: ({ coupon }) => coupon,
    decode: ({ coupon }) => coupon && "state" in coupon ? new CouponExpired({ coupon }) : undefined
  },
  CouponRevoked: {
    code: "FailedPrecondition",
    message: "COUPON_REVOKED",
    coupon: ({ coupon }) => coupon,
    decode: ({ coupon }) => coupon && "state" in coupon ? new CouponRevoked({ coupon }) : undefined
  },
  Overloaded: {
    code: "ResourceExhausted",
    message: "OVERLOADED",
    retryAfter,
    decode: ({ retryAfterSeconds }) => new Failures.Overloaded({ retryAfterSeconds })
  },
  Unavailable: {
    code: "Unavailable",
    message: "UNAVAILABLE",
    retryAfter,
    decode: ({ retryAfterSeconds }) => new Failures.Unavailable({ retryAfterSeconds })
  },
  OutcomeUnknown: { code: "Aborted", message: "OUTCOME_UNKNOWN", decode: () => new Failures.OutcomeUnknown() },
  Conflict: { code: "Aborted", message: "CONFLICT", decode: () => new Failures.Conflict() },
  DeadlineExceeded: {
    code: "DeadlineExceeded",
    message: "DEADLINE_EXCEEDED",
    decode: () => new Failures.DeadlineExceeded()
  },
  Unauthenticated: {
    code: "Unauthenticated",
    message: "UNAUTHENTICATED",
    reason,
    decode: ({ reason }) => new Failures.Unauthenticated({ reason })
  },
  PermissionDenied: {
    code: "PermissionDenied",
    message: "PERMISSION_DENIED",
    reason,
    decode: ({ reason }) => new Failures.PermissionDenied({ reason })
  },
  RateLimited: {
    code: "ResourceExhausted",
    message: "RATE_LIMITED",
    retryAfter,
    decode: ({ retryAfterSeconds }) => new Failures.RateLimited({ retryAfterSeconds })
  },
  WebhooksOff: { code: "FailedPrecondition", message: "WEBHOOKS_OFF", decode: () => new Failures.WebhooksOff() },
  InternalServerError: {
    code: "Internal",
    message: "INTERNAL_SERVER_ERROR",
    decode: () => new InternalServerError()
  }
} as const satisfies Table

/** A failure's message, such as `COUPON_SOLD_OUT`. */
export type FailureMessage = (typeof table)[FailureTag]["message"]

/** The entry of a failure. */
export const entryOf = (tag: FailureTag): Entry<WireFailure> => table[tag] as Entry<WireFailure>

/** The message of a failure with its reason, as it is sent. */
export const textOf = (failure: WireFailure): string => {
  const { message, reason } = entryOf(failure._tag)
  return reason === undefined ? message : `${message}: ${reason(failure)}`
}

const tags: ReadonlyMap<string, FailureTag> = new Map(
  (Object.keys(table) as Array<FailureTag>).map((tag) => [table[tag].message, tag])
)

/** The failure that a message stands for; `undefined` for a message that is not in the table. */
export const tagOf = (message: string): FailureTag | undefined => tags.get(message)

/** Reads a failure back: `text` is the message with its reason. `undefined` for an answer that is not of this API. */
export const decode = (text: string, carried: Omit<Carried, "reason">): WireFailure | undefined => {
  const colon = text.indexOf(":")
  const tag = tagOf(colon < 0 ? text : text.slice(0, colon))
  if (tag === undefined) return undefined
  return entryOf(tag).decode({ ...carried, reason: colon < 0 ? "" : text.slice(colon + 1).trimStart() })
}
