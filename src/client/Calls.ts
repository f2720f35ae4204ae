import type { DescService } from "@bufbuild/protobuf"
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt"
import { type CallOptions, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect"
import { createConnectTransport } from "@connectrpc/connect-web"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as CouponDetail from "../contract/CouponDetail.ts"
import * as FailureTable from "../contract/FailureTable.ts"
import * as CallTelemetry from "./CallTelemetry.ts"
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

const withHeaders = (headers: Readonly<Record<string, string>>): Interceptor => (next) => (request) => {
  for (const [name, value] of Object.entries(headers)) request.header.set(name, value)
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
  // What connect-es makes of an answer that is not in the form of its protocol.
  const [, status] = /^HTTP (\d{3})$/.exec(error.rawMessage) ?? []
  return error.cause === undefined
    ? new UnexpectedAnswer({ url, status: status === undefined ? undefined : Number(status), text: error.message })
    : unreachable(url, error.cause, writes)
}

/** A stream's messages; the call is canceled when they are no longer wanted. */
const messagesOf = (
  call: (options: CallOptions) => AsyncIterable<unknown>,
  url: string,
  timeoutMillis: number,
  telemetry: CallTelemetry.CallTelemetry
): Stream.Stream<unknown, CallFailure> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const { signal } = yield* Effect.acquireRelease(
      Effect.sync(() => new AbortController()),
      (controller) => Effect.sync(() => controller.abort())
    )
    const began = yield* Clock.currentTimeMillis
    yield* Effect.addFinalizer((exit) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => telemetry.ended(CallTelemetry.tagOf(exit), now - began)))
    const headers = yield* CallTelemetry.propagation
    // Without a timeout of the whole call, for it takes as long as it takes.
    return Stream.fromAsyncIterable(call({ signal, headers, timeoutMs: 0 }), (cause) =>
      failureOf(url, ConnectError.from(cause), false)).pipe(
        Stream.timeoutFail(() => new TimedOut({ url, mayBeDone: false }), Duration.millis(timeoutMillis))
      )
  })).pipe(Stream.withSpan(telemetry.name, { kind: "client", attributes: telemetry.attributes }))

/** The one answer of a call. */
const answerOf = (
  call: (options: CallOptions) => Promise<unknown>,
  url: string,
  writes: boolean,
  telemetry: CallTelemetry.CallTelemetry
): Effect.Effect<unknown, CallFailure> =>
  Effect.gen(function*() {
    const began = yield* Clock.currentTimeMillis
    const headers = yield* CallTelemetry.propagation
    return yield* Effect.tryPromise({
      try: (signal) => call({ signal, headers }),
      catch: (cause) => failureOf(url, ConnectError.from(cause), writes)
    }).pipe(Effect.onExit((exit) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => telemetry.ended(CallTelemetry.tagOf(exit), now - began))))
  }).pipe(Effect.withSpan(telemetry.name, { kind: "client", attributes: telemetry.attributes }))

/**
 * A function for each method of a service, over a transport of connect-es: an Effect for one that answers with a
 * message, a Stream for one that answers with several. `url` is for failures and telemetry only. `ended` gets the
 * outcome of each Effect.
 */
export const methodsOf = (
  service: DescService,
  transport: Transport,
  { ended = () => {}, timeoutMillis, url }: {
    readonly url: string
    readonly timeoutMillis: number
    readonly ended?: (exit: Exit.Exit<unknown, CallFailure>) => void
  }
): Readonly<Record<string, unknown>> => {
  const api = createClient(service, transport) as Readonly<Record<string, unknown>>
  const methods = service.methods.map((method) => {
    const { idempotency, localName, methodKind } = method
    const telemetry = CallTelemetry.make(method, url)
    if (methodKind === "server_streaming") {
      const stream = api[localName] as (request: unknown, options: CallOptions) => AsyncIterable<unknown>
      return [localName, (request: unknown) =>
        messagesOf((options) => stream(request, options), url, timeoutMillis, telemetry)] as const
    }
    const writes = idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS
    const call = api[localName] as (request: unknown, options: CallOptions) => Promise<unknown>
    return [localName, (request: unknown) =>
      Effect.onExit(
        answerOf((options) => call(request, options), url, writes, telemetry),
        (exit) => Effect.sync(() => ended(exit))
      )] as const
  })
  return Object.fromEntries(methods)
}

/** Connect in its binary form by the platform's `fetch`, so that browsers and Node run the same. */
export const transportOf = (
  { fetch, headers = {}, key, timeoutMillis = DEFAULT_TIMEOUT_MILLIS, url }: ClientOptions
): Transport =>
  createConnectTransport({
    baseUrl: url,
    useBinaryFormat: true,
    defaultTimeoutMs: timeoutMillis,
    interceptors: [
      ...Object.keys(headers).length === 0 ? [] : [withHeaders(headers)],
      ...key === undefined ? [] : [bearer(key)]
    ],
    ...fetch === undefined ? {} : { fetch }
  })
