import { type MessageInitShape, type MessageShape } from "@bufbuild/protobuf"
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt"
import { type CallOptions, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect"
import { createConnectTransport } from "@connectrpc/connect-node"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as CouponDetail from "../contract/CouponDetail.ts"
import * as FailureTable from "../contract/FailureTable.ts"
import { CouponService } from "../contract/gen/coupon/v1/coupon_pb.ts"
import { type NoAnswer, TimedOut, UnexpectedAnswer, unreachable } from "./ClientFailure.ts"
import { type ClientOptions, DEFAULT_TIMEOUT_MILLIS } from "./ClientOptions.ts"

type AllMethods = (typeof CouponService)["method"]

/** The methods that answer with one message. */
type Methods = {
  [Name in keyof AllMethods as AllMethods[Name]["methodKind"] extends "unary" ? Name : never]: AllMethods[Name]
}

/** Those that answer with a stream of messages. */
type Streams = Omit<AllMethods, keyof Methods>

/**
 * A failure of the API by its tag, or that no answer came. DEADLINE_EXCEEDED is the service's name for the caller's own
 * timeout, so it is `TimedOut`.
 */
export type CallFailure = Exclude<FailureTable.WireFailure, { readonly _tag: "DeadlineExceeded" }> | NoAnswer

/**
 * The public API: one method for each RPC, described in proto/coupon/v1/coupon.proto. A method sends the call once. It
 * fails by tag, see `CallFailure`; interrupting it cancels the call, which may still be done.
 */
export class CouponClient extends Context.Tag("coupon/client/CouponClient")<
  CouponClient,
  & {
    readonly [Name in keyof Methods]: (
      request: MessageInitShape<Methods[Name]["input"]>
    ) => Effect.Effect<MessageShape<Methods[Name]["output"]>, CallFailure>
  }
  & {
    /** Its messages as they arrive. The timeout is for the first one, and for each after the one before. */
    readonly [Name in keyof Streams]: (
      request: MessageInitShape<Streams[Name]["input"]>
    ) => Stream.Stream<MessageShape<Streams[Name]["output"]>, CallFailure>
  }
>() {}

const bearer = (key: Redacted.Redacted<string>): Interceptor => (next) => (request) => {
  request.header.set("authorization", `Bearer ${Redacted.value(key)}`)
  return next(request)
}

/** What connect-es calls the client's own timeout. */
const TIMED_OUT = "the operation timed out"

const failureOf = (url: string, error: ConnectError, writes: boolean): CallFailure => {
  if (error.rawMessage === TIMED_OUT) return new TimedOut({ url, mayBeDone: writes })
  const failure = FailureTable.decode(error.rawMessage, {
    retryAfterSeconds: Number(error.metadata.get("retry-after") ?? 1),
    coupon: CouponDetail.decode(error.details)
  })
  if (failure?._tag === "DeadlineExceeded") return new TimedOut({ url, mayBeDone: writes })
  if (failure !== undefined) return failure
  return error.cause === undefined
    ? new UnexpectedAnswer({ url, status: undefined, text: error.message })
    : unreachable(url, error.cause, writes)
}

/** A stream's messages; the call is canceled when they are no longer wanted. */
const messagesOf = (
  call: (options: CallOptions) => AsyncIterable<unknown>,
  url: string,
  timeoutMillis: number
): Stream.Stream<unknown, CallFailure> =>
  Stream.unwrapScoped(Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new AbortController()),
      (controller) => Effect.sync(() => controller.abort())
    ),
    ({ signal }) =>
      // Without a timeout of the whole call, for it takes as long as it takes.
      Stream.fromAsyncIterable(call({ signal, timeoutMs: 0 }), (cause) =>
        failureOf(url, ConnectError.from(cause), false)).pipe(
          Stream.timeoutFail(() => new TimedOut({ url, mayBeDone: false }), Duration.millis(timeoutMillis))
        )
  ))

/** The client over a transport of connect-es, which may speak any of the protocols; `url` is for failures only. */
export const fromTransport = (
  transport: Transport,
  url: string,
  timeoutMillis = DEFAULT_TIMEOUT_MILLIS
): CouponClient["Type"] => {
  const api = createClient(CouponService, transport)
  const methods = CouponService.methods.map(({ idempotency, localName, methodKind }) => {
    if (methodKind === "server_streaming") {
      const stream = api[localName as keyof Streams] as (
        request: unknown,
        options: CallOptions
      ) => AsyncIterable<unknown>
      return [localName, (request: unknown) =>
        messagesOf((options) => stream(request, options), url, timeoutMillis)]
    }
    const writes = idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS
    const call = api[localName as keyof Methods] as (
      request: unknown,
      options: { readonly signal: AbortSignal }
    ) => Promise<unknown>
    return [localName, (request: unknown) =>
      Effect.tryPromise({
        try: (signal) => call(request, { signal }),
        catch: (cause) => failureOf(url, ConnectError.from(cause), writes)
      })]
  })
  return Object.fromEntries(methods) as CouponClient["Type"]
}

/** The client over Connect and HTTP/1.1. */
export const make = ({ key, timeoutMillis = DEFAULT_TIMEOUT_MILLIS, url }: ClientOptions): CouponClient["Type"] =>
  fromTransport(
    createConnectTransport({
      baseUrl: url,
      httpVersion: "1.1",
      defaultTimeoutMs: timeoutMillis,
      interceptors: key === undefined ? [] : [bearer(key)]
    }),
    url,
    timeoutMillis
  )

export const layer = (options: ClientOptions): Layer.Layer<CouponClient> =>
  Layer.sync(CouponClient, () => make(options))
