import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf"
import { Code, ConnectError } from "@connectrpc/connect"
import { codeToHttpStatus, codeToString, errorToJson } from "@connectrpc/connect/protocol-connect"
import type { Coupon } from "../domain/Coupon.ts"
import type { IssueFailure, Overloaded } from "../domain/Failure.ts"
import * as CouponDetail from "../contract/CouponDetail.ts"
import { entryOf, table, tagOf, textOf } from "../contract/FailureTable.ts"

/** The message of a defect. Its cause goes to the log only. */
export const INTERNAL = table.InternalServerError.message

/** An error as a protocol needs it, independent of any. */
export interface WireError {
  readonly code: Code
  readonly message: string
  readonly retryAfterSeconds: number | undefined
  readonly details: ReadonlyArray<{ readonly desc: DescMessage; readonly value: MessageInitShape<DescMessage> }>
}

/** A failure's wire form; `undefined` stands for a defect. */
export const toWire = (failure: IssueFailure | undefined): WireError => {
  if (failure === undefined) {
    return { code: Code.Internal, message: INTERNAL, retryAfterSeconds: undefined, details: [] }
  }
  const entry = entryOf(failure._tag)
  const coupon = entry.coupon?.(failure)
  return {
    code: Code[entry.code],
    message: textOf(failure),
    // RFC 9110 section 10.2.3: Retry-After is a whole number of seconds. At least one, so that clients do pause.
    retryAfterSeconds: entry.retryAfter === undefined ? undefined : Math.max(1, Math.ceil(entry.retryAfter(failure))),
    details: coupon === undefined ? [] : [CouponDetail.encode(coupon)]
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
  // The adapter's own encoder reads only these fields. A real ConnectError costs a stack trace and undici Headers.
  body: JSON.stringify(errorToJson(
    { code: wire.code, rawMessage: wire.message, details: wire.details } as unknown as ConnectError,
    { alwaysEmitImplicit: true }
  )),
  retryAfterSeconds: wire.retryAfterSeconds
})

/** Replies of failures that carry nothing: after sold out nearly every answer is one of these. */
const fixed = new Map<string, ErrorReply>()

/** Replies that belong to an object: a holder's coupon, for claims that are repeated, and a failure of an overload. */
const kept = new WeakMap<Coupon | Overloaded, ErrorReply>()

/** For the unary lane: byte for byte what the adapter answers to a Connect unary request. */
export const toErrorReply = (failure: IssueFailure | undefined): ErrorReply => {
  const keeper = failure?._tag === "CouponAlreadyClaimed"
    ? failure.coupon
    : failure?._tag === "Overloaded"
    ? failure
    : undefined
  const known = keeper === undefined ? fixed.get(failure?._tag ?? INTERNAL) : kept.get(keeper)
  if (known !== undefined) return known
  const made = wireToErrorReply(toWire(failure))
  if (keeper !== undefined) kept.set(keeper, made)
  const entry = failure === undefined ? undefined : entryOf(failure._tag)
  if (entry?.reason === undefined && entry?.coupon === undefined && entry?.retryAfter === undefined) {
    fixed.set(failure?._tag ?? INTERNAL, made)
  }
  return made
}

const BAD_REQUEST = `${table.InvalidArgument.message}: `

/** The answer to a request that breaks the protocol, such as one with a malformed timeout. */
export const badRequest = (reason: string, code: Code = Code.InvalidArgument): WireError => ({
  code,
  message: BAD_REQUEST + reason,
  retryAfterSeconds: undefined,
  details: []
})

export const badRequestReply = (reason: string, code?: Code): ErrorReply => wireToErrorReply(badRequest(reason, code))

/** Connect's code for a body over the limit is resource_exhausted; the message distinguishes it from OVERLOADED. */
export const bodyTooLarge = (maxBytes: number): WireError =>
  badRequest(`body must be at most ${maxBytes} bytes`, Code.ResourceExhausted)

export const bodyTooLargeReply = (maxBytes: number): ErrorReply => wireToErrorReply(bodyTooLarge(maxBytes))

/**
 * The body of a bare 404, 405 or 415. A Connect client reads the error in it. A gRPC client goes by the status, and
 * would take JSON for a broken server.
 */
export const rejection = (
  requestType: string | undefined,
  code: Code,
  message: string
): { readonly type: string; readonly body: string } =>
  requestType === undefined || /^application\/(json|proto|connect\+)/i.test(requestType)
    ? { type: "application/json", body: `${JSON.stringify({ code: codeToString(code), message })}\n` }
    : { type: "text/plain; charset=utf-8", body: `${message}\n` }

/**
 * Gives errors of the adapter the form of this catalog: a body that does not parse, a malformed timeout. `undefined`:
 * the error has that form already, or belongs to the protocol (unimplemented compression, a cancelled call).
 */
export const normalize = (code: Code, message: string, maxBytes: number, isGet: boolean): WireError | undefined => {
  if (tagOf(message) !== undefined || message.startsWith(BAD_REQUEST)) return undefined
  switch (code) {
    case Code.InvalidArgument:
      return badRequest(message)
    case Code.ResourceExhausted:
      return bodyTooLarge(maxBytes)
    case Code.DeadlineExceeded:
      return toWire({ _tag: "DeadlineExceeded" } as IssueFailure)
    case Code.Internal:
      if (message === "decompression failed") return badRequest("body cannot be decompressed")
      // gRPC's compression rules prescribe this code and text, so it stays as it is.
      if (message.startsWith("received compressed envelope")) return undefined
      if (message.startsWith("parse binary: ")) return badRequest("body is not a valid protobuf message")
      // A GET's message that is not base64 surfaces as a bare exception; implementations never throw one.
      return isGet ? badRequest("message is not valid base64") : toWire(undefined)
    default:
      return undefined
  }
}
