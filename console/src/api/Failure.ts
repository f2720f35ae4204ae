import { Code, ConnectError } from "@connectrpc/connect"
import { type Coupon, CouponSchema } from "$contract/gen/coupon/v1/coupon_pb.ts"
import type { FailureMessage } from "$contract/FailureTable.ts"
import type { LAST_ADMIN_KEY } from "$contract/OperatorErrors.ts"

/** A failure of the service by its message, one of the operator plane alone, or that no answer of it came. */
export type FailureName =
  | FailureMessage
  | typeof LAST_ADMIN_KEY
  | "UNREACHABLE"
  | "TIMED_OUT"
  | "UNEXPECTED_ANSWER"
  | "CANCELED"

/** A call that failed, whichever plane it went to. */
export class Failure extends Error {
  readonly tag: FailureName
  /** In the service's words; empty if there are none. */
  readonly reason: string
  readonly retryAfterSeconds: number
  /** That holds the user's coupon, or that is redeemed. */
  readonly coupon: Coupon | undefined

  constructor(
    tag: FailureName,
    { coupon, reason = "", retryAfterSeconds = 1 }: {
      readonly reason?: string
      readonly retryAfterSeconds?: number
      readonly coupon?: Coupon | undefined
    } = {}
  ) {
    super(tag)
    this.tag = tag
    this.reason = reason
    this.retryAfterSeconds = retryAfterSeconds
    this.coupon = coupon
  }
}

const passing: ReadonlySet<FailureName> = new Set<FailureName>([
  "UNAVAILABLE",
  "OUTCOME_UNKNOWN",
  "TIMED_OUT",
  "UNREACHABLE",
  "OVERLOADED",
  "RATE_LIMITED"
])

/** Whether the same call may succeed in a moment. One that changes something has to be safe to repeat. */
export const isPassing = ({ tag }: Failure): boolean => passing.has(tag)

/** A failure from what connect-es threw. `known`: whether a message is one of the service. */
export const fromConnect = (cause: unknown, known: (message: string) => message is FailureMessage): Failure => {
  if (cause instanceof Failure) return cause
  const error = ConnectError.from(cause)
  const colon = error.rawMessage.indexOf(":")
  const message = colon < 0 ? error.rawMessage : error.rawMessage.slice(0, colon)
  const reason = colon < 0 ? "" : error.rawMessage.slice(colon + 1).trim()
  if (known(message)) {
    const [coupon] = error.findDetails(CouponSchema)
    return new Failure(message, { coupon, reason, retryAfterSeconds: Number(error.metadata.get("retry-after") ?? 1) })
  }
  if (error.code === Code.Canceled) return new Failure("CANCELED")
  if (error.code === Code.DeadlineExceeded) return new Failure("TIMED_OUT")
  // A fetch without an answer is a TypeError, which connect-es calls unknown. So is a stream that is cut off.
  if (error.code === Code.Unknown || error.cause instanceof TypeError) return new Failure("UNREACHABLE")
  return new Failure("UNEXPECTED_ANSWER", { reason: error.message })
}
