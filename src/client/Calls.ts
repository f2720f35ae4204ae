import type { DescService } from "@bufbuild/protobuf"
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt"
import { type CallOptions, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect"
import { createConnectTransport } from "@connectrpc/connect-node"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as CouponDetail from "../contract/CouponDetail.ts"
import * as FailureTable from "../contract/FailureTable.ts"
import { type NoAnswer, TimedOut, UnexpectedAnswer, unreachable } from "./ClientFailure.ts"
import { type ClientOptions, DEFAULT_TIMEOUT_MILLIS } from "./ClientOptions.ts"

/**
 * A failure of the API by its tag, or that no answer came. DEADLINE_EXCEEDED is the service's name for the caller's own
 * timeout, so it is `TimedOut`.
 */
export type CallFailure = Exclude<FailureTable.WireFailure, { readonly _tag: "DeadlineExceeded" }> | NoAnswer

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

/**
 * A function for each method of a service, over a transport of connect-es: an Effect for one that answers with a
 * message, a Stream for one that answers with several. `url` is for failures only.
 */
export const methodsOf = (
  service: DescService,
  transport: Transport,
  url: string,
  timeoutMillis: number
): Readonly<Record<string, unknown>> => {
  const api = createClient(service, transport) as Readonly<Record<string, unknown>>
  const methods = service.methods.map(({ idempotency, localName, methodKind }) => {
    if (methodKind === "server_streaming") {
      const stream = api[localName] as (request: unknown, options: CallOptions) => AsyncIterable<unknown>
      return [localName, (request: unknown) =>
        messagesOf((options) => stream(request, options), url, timeoutMillis)] as const
    }
    const writes = idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS
    const call = api[localName] as (
      request: unknown,
      options: { readonly signal: AbortSignal }
    ) => Promise<unknown>
    return [localName, (request: unknown) =>
      Effect.tryPromise({
        try: (signal) => call(request, { signal }),
        catch: (cause) => failureOf(url, ConnectError.from(cause), writes)
      })] as const
  })
  return Object.fromEntries(methods)
}

/** Connect over HTTP/1.1. */
export const transportOf = ({ key, timeoutMillis = DEFAULT_TIMEOUT_MILLIS, url }: ClientOptions): Transport =>
  createConnectTransport({
    baseUrl: url,
    httpVersion: "1.1",
    defaultTimeoutMs: timeoutMillis,
    interceptors: key === undefined ? [] : [bearer(key)]
  })
