/** The failures of calls, each a class with a tag; docs/reference/errors.md has what to do about each. */
export { TimedOut, UnexpectedAnswer, Unreachable } from "../client/ClientFailure.ts"
export {
  CouponAlreadyClaimed,
  CouponExpired,
  CouponRedeemed,
  CouponRevoked,
  InternalServerError
} from "../contract/FailureTable.ts"
export {
  CampaignEnded,
  CampaignNotStarted,
  CampaignPaused,
  CodesExhausted,
  Conflict,
  CouponSoldOut,
  InvalidArgument,
  OutcomeUnknown,
  Overloaded,
  PermissionDenied,
  RateLimited,
  RecordNotFound,
  Unauthenticated,
  Unavailable,
  WebhooksOff
} from "../domain/Failure.ts"
