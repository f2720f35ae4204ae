import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { ResponseError } from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as RpcClient from "@effect/rpc/RpcClient"
import type { RpcClientError } from "@effect/rpc/RpcClientError"
import * as RpcSerialization from "@effect/rpc/RpcSerialization"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { OperatorFailure } from "../contract/OperatorErrors.ts"
import { OperatorRpcs, PATH } from "../contract/OperatorRpcs.ts"
import { CliFailure, fromContract, tooSlow, unreachable } from "./CliFailure.ts"
import type { Connection } from "./Connection.ts"

const codes = {
  Unauthenticated: "UNAUTHENTICATED",
  PermissionDenied: "PERMISSION_DENIED",
  Unavailable: "UNAVAILABLE",
  Overloaded: "OVERLOADED",
  NotFound: "RECORD_NOT_FOUND",
  Conflict: "CONFLICT",
  InvalidArgument: "INVALID_ARGUMENT",
  OutcomeUnknown: "OUTCOME_UNKNOWN",
  InternalError: "INTERNAL_SERVER_ERROR"
} satisfies Record<OperatorFailure["_tag"], string>

/** The HTTP status that a failure of the protocol ends in, if the service (or a proxy before it) answered at all. */
const statusOf = (cause: unknown): number | undefined => (cause as { readonly response?: { readonly status?: number } }).response?.status

const notOurs = (url: string, status: number, writes: boolean) =>
  // As Envoy answers for an instance that died while the call was under way.
  status === 409 ? unreachable(`${url}${PATH}`, new Error("the instance that was asked is gone"), writes) : new CliFailure({
    exit: status === 429 || status >= 500 ? "UNAVAILABLE" : "FAILED",
    code: `HTTP_${status}`,
    message: `${url}${PATH} answers HTTP ${status}${status === 200 ? " and nothing of the operator plane" : ""}`,
    hint: status === 404
      ? "a proxy may keep the operator plane from the public: the repository's Envoy has it on a listener of its own, http://127.0.0.1:8081 (--url or COUPON_URL)"
      : "a proxy, or something else than the service, may have answered"
  })

const failureOf = (url: string, writes: boolean) => (failure: OperatorFailure | RpcClientError): CliFailure => {
  if (failure._tag === "RpcClientError") {
    const status = statusOf(failure.cause)
    return status === undefined ? unreachable(url, failure.cause, writes) : notOurs(url, status, writes)
  }
  const code = codes[failure._tag]
  const known = fromContract(code)!
  // What is not there may be a key: the message has said it.
  return new CliFailure({ exit: known.exit, code, message: failure.message, hint: failure._tag === "NotFound" ? undefined : known.hint })
}

type Client = RpcClient.FromGroup<typeof OperatorRpcs, RpcClientError>

/** The operator plane of one instance (or, behind a proxy, of whichever it chooses). */
export interface OperatorClient {
  /** One call with one answer. `writes`: it changes something, so that a lost answer leaves it unknown. */
  readonly call: <A>(
    make: (client: Client) => Effect.Effect<A, OperatorFailure | RpcClientError>,
    options?: { readonly writes?: boolean }
  ) => Effect.Effect<A, CliFailure>
  readonly stream: <A>(make: (client: Client) => Stream.Stream<A, OperatorFailure | RpcClientError>) => Stream.Stream<A, CliFailure>
}

export const make = ({ key, timeoutMillis, url }: Connection): Effect.Effect<OperatorClient, never, Scope.Scope> =>
  Effect.gen(function*() {
    const protocol = RpcClient.layerProtocolHttp({
      url: `${url}${PATH}`,
      transformClient: (client) =>
        client.pipe(
          // In the request's own header: where proxies, and the guard, look.
          HttpClient.mapRequest((request) => Option.match(key, {
            onNone: () => request,
            onSome: (secret) => HttpClientRequest.bearerToken(request, Redacted.value(secret))
          })),
          HttpClient.filterStatusOk,
          HttpClient.transformResponse(Effect.filterOrFail(
            // Anything else would be waited for in vain: it holds no line of the protocol.
            (response) => response.headers["content-type"]?.startsWith("application/ndjson") === true,
            (response) => new ResponseError({ request: response.request, response, reason: "Decode" })
          ))
        ) as typeof client
    }).pipe(Layer.provide([FetchHttpClient.layer, RpcSerialization.layerNdjson]))
    const context = yield* Layer.build(protocol)
    const client = yield* Effect.provide(RpcClient.make(OperatorRpcs, { disableTracing: true }), context)
    return {
      call: (make, { writes = false } = {}) =>
        make(client).pipe(
          Effect.mapError(failureOf(url, writes)),
          Effect.timeoutFail({ duration: timeoutMillis, onTimeout: () => tooSlow(url, writes) })
        ),
      stream: (make) => Stream.mapError(make(client), failureOf(url, false))
    }
  })
