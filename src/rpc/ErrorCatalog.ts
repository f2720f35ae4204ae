import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf"
import { Code, ConnectError } from "@connectrpc/connect"
import { codeToHttpStatus, codeToString, errorToJson } from "@connectrpc/connect/protocol-connect"
import type { Coupon } from "../domain/Coupon.ts"
import type { IssueFailure, Overloaded } from "../domain/Failure.ts"
import { formatRfc3339 } from "../domain/Time.ts"
import { CouponSchema } from "../contract/gen/coupon/v1/coupon_pb.ts"

/** Anything unexpected: told to the client without a cause, which goes to the log alone. */
export const INTERNAL = "INTERNAL_SERVER_ERROR"

/** How a failure looks to a client, in every protocol. */
interface Entry<F> {
  readonly code: Code
  readonly message: string
  /** What follows the message after `: `. */
  readonly reason?: (failure: F) => string
  /** Seconds for the Retry-After header (a trailer in gRPC). */
  readonly retryAfter?: (failure: F) => number
  /** The coupon for the error's detail, `coupon.v1.Coupon`. */
  readonly coupon?: (failure: F) => Coupon
}

type Catalog = { readonly [Tag in IssueFailure["_tag"]]: Entry<Extract<IssueFailure, { readonly _tag: Tag }>> }

/** The one place where failures get their message and code. A failure without an entry does not compile. */
export const catalog = {
  InvalidArgument: {
    code: Code.InvalidArgument,
    message: "INVALID_ARGUMENT",
    reason: (failure) => `${failure.field} ${failure.reason}`
  },
  RecordNotFound: { code: Code.NotFound, message: "RECORD_NOT_FOUND" },
  CampaignNotStarted: { code: Code.FailedPrecondition, message: "CAMPAIGN_NOT_STARTED" },
  CouponAlreadyClaimed: { code: Code.AlreadyExists, message: "COUPON_ALREADY_CLAIMED", coupon: (failure) => failure.coupon },
  CampaignEnded: { code: Code.FailedPrecondition, message: "CAMPAIGN_ENDED" },
  CampaignPaused: { code: Code.FailedPrecondition, message: "CAMPAIGN_PAUSED" },
  CouponSoldOut: { code: Code.FailedPrecondition, message: "COUPON_SOLD_OUT" },
  Overloaded: { code: Code.ResourceExhausted, message: "OVERLOADED", retryAfter: (failure) => failure.retryAfterSeconds },
  Unavailable: { code: Code.Unavailable, message: "UNAVAILABLE", retryAfter: (failure) => failure.retryAfterSeconds },
  OutcomeUnknown: { code: Code.Aborted, message: "OUTCOME_UNKNOWN" },
  Conflict: { code: Code.Aborted, message: "CONFLICT" },
  DeadlineExceeded: { code: Code.DeadlineExceeded, message: "DEADLINE_EXCEEDED" },
  Unauthenticated: { code: Code.Unauthenticated, message: "UNAUTHENTICATED", reason: (failure) => failure.reason },
  PermissionDenied: { code: Code.PermissionDenied, message: "PERMISSION_DENIED", reason: (failure) => failure.reason },
  RateLimited: { code: Code.ResourceExhausted, message: "RATE_LIMITED", retryAfter: (failure) => failure.retryAfterSeconds }
} satisfies Catalog

/** An error as a protocol needs it, independent of any. */
export interface WireError {
  readonly code: Code
  readonly message: string
  readonly retryAfterSeconds: number | undefined
  readonly details: ReadonlyArray<{ readonly desc: DescMessage; readonly value: MessageInitShape<DescMessage> }>
}

/** A failure's wire form; `undefined` stands for a defect. */
export const toWire = (failure: IssueFailure | undefined): WireError => {
  if (failure === undefined) return { code: Code.Internal, message: INTERNAL, retryAfterSeconds: undefined, details: [] }
  const entry = (catalog as Catalog)[failure._tag] as Entry<IssueFailure>
  const coupon = entry.coupon?.(failure)
  return {
    code: entry.code,
    message: entry.reason === undefined ? entry.message : `${entry.message}: ${entry.reason(failure)}`,
    // A whole number of seconds, at least one, as RFC 9110 asks of Retry-After.
    retryAfterSeconds: entry.retryAfter === undefined ? undefined : Math.max(1, Math.ceil(entry.retryAfter(failure))),
    details: coupon === undefined ? [] : [{
      desc: CouponSchema,
      value: {
        campaignId: coupon.campaignId,
        userId: coupon.userId,
        code: coupon.code,
        issuedAt: formatRfc3339(coupon.issuedAt)
      }
    }]
  }
}

/** For the Connect adapter, which turns it into any of its protocols. */
export const toConnectError = (failure: IssueFailure | undefined): ConnectError => wireToConnectError(toWire(failure))

export const wireToConnectError = (wire: WireError): ConnectError => {
  const error = new ConnectError(wire.message, wire.code, {
    ...wire.retryAfterSeconds === undefined ? {} : { "retry-after": String(wire.retryAfterSeconds) },
    ...wire.code === Code.Unauthenticated ? { "www-authenticate": "Bearer" } : {}
  })
  error.details = wire.details.map(({ desc, value }) => ({ desc, value: value as Record<string, unknown> }))
  return error
}

/** A Connect unary error response: HTTP status, JSON body, Retry-After. */
export interface ErrorReply {
  readonly status: number
  readonly body: string
  readonly retryAfterSeconds: number | undefined
}

export const wireToErrorReply = (wire: WireError): ErrorReply => ({
  status: codeToHttpStatus(wire.code),
  // The adapter's own encoder, which reads just these three fields: making a ConnectError costs a stack trace and undici Headers.
  body: JSON.stringify(errorToJson(
    { code: wire.code, rawMessage: wire.message, details: wire.details } as unknown as ConnectError,
    { alwaysEmitImplicit: true }
  )),
  retryAfterSeconds: wire.retryAfterSeconds
})

/** Failures that always look the same: after sold out nearly every answer is one of these. */
const fixed = new Map<string, ErrorReply>()

/** What holders hear who ask again and again, which goes with the coupon, and what the few failures of an overload say. */
const kept = new WeakMap<Coupon | Overloaded, ErrorReply>()

/** For the unary lane: byte for byte what the adapter answers to a Connect unary request. */
export const toErrorReply = (failure: IssueFailure | undefined): ErrorReply => {
  const keeper = failure?._tag === "CouponAlreadyClaimed" ? failure.coupon : failure?._tag === "Overloaded" ? failure : undefined
  const known = keeper === undefined ? fixed.get(failure?._tag ?? INTERNAL) : kept.get(keeper)
  if (known !== undefined) return known
  const made = wireToErrorReply(toWire(failure))
  if (keeper !== undefined) kept.set(keeper, made)
  const entry: Entry<never> | undefined = failure === undefined ? undefined : (catalog as Catalog)[failure._tag]
  if (entry?.reason === undefined && entry?.coupon === undefined && entry?.retryAfter === undefined) {
    fixed.set(failure?._tag ?? INTERNAL, made)
  }
  return made
}

const BAD_REQUEST = `${catalog.InvalidArgument.message}: `

/** The answer to a request that broke the protocol rather than a rule of ours, such as a malformed timeout. */
export const badRequest = (reason: string, code: Code = Code.InvalidArgument): WireError => ({
  code,
  message: BAD_REQUEST + reason,
  retryAfterSeconds: undefined,
  details: []
})

export const badRequestReply = (reason: string, code?: Code): ErrorReply => wireToErrorReply(badRequest(reason, code))

/** Connect's code for a body over the limit is resource_exhausted; the message tells it from being overloaded. */
export const bodyTooLarge = (maxBytes: number): WireError =>
  badRequest(`body must be at most ${maxBytes} bytes`, Code.ResourceExhausted)

export const bodyTooLargeReply = (maxBytes: number): ErrorReply => wireToErrorReply(bodyTooLarge(maxBytes))

/**
 * The body that goes with a bare 404, 405 or 415. A client of Connect reads the error in it; one of gRPC goes by the status
 * and takes JSON for a server that is confused.
 */
export const refusal = (requestType: string | undefined, code: Code, message: string): { readonly type: string; readonly body: string } =>
  requestType === undefined || /^application\/(json|proto|connect\+)/i.test(requestType)
    ? { type: "application/json", body: `${JSON.stringify({ code: codeToString(code), message })}\n` }
    : { type: "text/plain; charset=utf-8", body: `${message}\n` }

const messages = new Set<string>([INTERNAL, ...Object.values(catalog).map((entry) => entry.message)])

/**
 * Errors that the adapter raises before it calls an implementation (a body that does not parse, a malformed timeout)
 * never pass this catalog. This gives them its form; `undefined`: the error has it already, or is the protocol's own
 * business (unimplemented compression, a call that was cancelled).
 */
export const normalize = (code: Code, message: string, maxBytes: number, isGet: boolean): WireError | undefined => {
  if (messages.has(message) || message.startsWith(BAD_REQUEST)) return undefined
  switch (code) {
    case Code.InvalidArgument:
      return badRequest(message)
    case Code.ResourceExhausted:
      return bodyTooLarge(maxBytes)
    case Code.DeadlineExceeded:
      return toWire({ _tag: "DeadlineExceeded" } as IssueFailure)
    case Code.Internal:
      if (message === "decompression failed") return badRequest("body cannot be decompressed")
      // What gRPC's rules of compression ask for, in code and word: no failure of ours.
      if (message.startsWith("received compressed envelope")) return undefined
      if (message.startsWith("parse binary: ")) return badRequest("body is not a valid protobuf message")
      // A GET's message that is not base64 surfaces as a bare exception; implementations never throw one.
      return isGet ? badRequest("message is not valid base64") : toWire(undefined)
    default:
      return undefined
  }
}
