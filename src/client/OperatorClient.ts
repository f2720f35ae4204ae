import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { ResponseError } from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as Rpc from "@effect/rpc/Rpc"
import * as RpcClient from "@effect/rpc/RpcClient"
import type { RpcClientError } from "@effect/rpc/RpcClientError"
import type * as RpcGroup from "@effect/rpc/RpcGroup"
import * as RpcSchema from "@effect/rpc/RpcSchema"
import * as RpcSerialization from "@effect/rpc/RpcSerialization"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type OperatorFailure, Rejection } from "../contract/OperatorErrors.ts"
import { OperatorRpcs, PATH } from "../contract/OperatorRpcs.ts"
import { Writes } from "../contract/operator/CallAccess.ts"
import { type NoAnswer, TimedOut, UnexpectedAnswer, Unreachable, unreachable } from "./ClientFailure.ts"
import { type ClientOptions, DEFAULT_TIMEOUT_MILLIS } from "./ClientOptions.ts"

type Rpcs = RpcGroup.Rpcs<typeof OperatorRpcs>

/** A failure of the operator plane by its tag, or that no answer came. */
export type OperatorCallFailure = OperatorFailure | NoAnswer

/**
 * The operator plane of one instance; behind a proxy, of an instance that the proxy chooses. One method for each call,
 * see `OperatorRpcs`. Only a call with a single answer has a timeout.
 */
export class OperatorClient extends Context.Tag("coupon/client/OperatorClient")<OperatorClient, {
  readonly [Call in Rpcs as Call["_tag"]]: (
    payload: Rpc.PayloadConstructor<Call>
  ) => Rpc.SuccessSchema<Call> extends RpcSchema.Stream<infer Item, infer _>
    ? Stream.Stream<Item["Type"], OperatorCallFailure>
    : Effect.Effect<Rpc.Success<Call>, OperatorCallFailure>
}>() {}

/** The HTTP status of the answer that the protocol could not read; `undefined`: there was no answer. */
const statusOf = (cause: unknown): number | undefined =>
  (cause as { readonly response?: { readonly status?: number } }).response?.status

const noAnswer = (url: string, cause: unknown, writes: boolean): NoAnswer => {
  const status = statusOf(cause)
  if (status === undefined) return unreachable(url, cause, writes)
  // Envoy answers so for an instance that died during the call.
  if (status === 409) {
    return new Unreachable({ url: `${url}${PATH}`, reason: "the instance that was asked is gone", mayBeDone: writes })
  }
  const text = `HTTP ${status}${status === 200 ? " and nothing of the operator plane" : ""}`
  return new UnexpectedAnswer({ url: `${url}${PATH}`, status, text })
}

const decodeRejection = Schema.decodeUnknownOption(Schema.parseJson(Rejection))

/** What the instance answered before it read the call; nothing for any other answer. */
const rejectionIn = (cause: unknown): Option.Option<Rejection> =>
  cause instanceof ResponseError ? decodeRejection(cause.description) : Option.none()

const failureOf = (url: string, writes: boolean) => (failure: OperatorFailure | RpcClientError): OperatorCallFailure =>
  failure._tag === "RpcClientError"
    ? Option.getOrElse(rejectionIn(failure.cause), () => noAnswer(url, failure.cause, writes))
    : failure

type AnyCall = (payload: unknown) =>
  & Effect.Effect<unknown, OperatorFailure | RpcClientError>
  & Stream.Stream<unknown, OperatorFailure | RpcClientError>

/** The client over HTTP; its connections end with the scope. */
export const make = (
  { headers = {}, key, timeoutMillis = DEFAULT_TIMEOUT_MILLIS, url }: ClientOptions
): Effect.Effect<OperatorClient["Type"], never, Scope.Scope> =>
  Effect.gen(function*() {
    const protocol = RpcClient.layerProtocolHttp({
      url: `${url}${PATH}`,
      transformClient: (client) =>
        client.pipe(
          // As a header of the request, where proxies and the guard read it.
          HttpClient.mapRequest(HttpClientRequest.setHeaders(headers)),
          HttpClient.mapRequest((request) =>
            key === undefined ? request : HttpClientRequest.bearerToken(request, Redacted.value(key))
          ),
          // What is answered before a call is read, e.g. for a wrong key, is JSON with an HTTP status.
          HttpClient.transformResponse(Effect.flatMap((response) =>
            response.status === 200 ? Effect.succeed(response) : Effect.flatMap(
              Effect.orElseSucceed(response.text, () => ""),
              (description) => {
                const { request } = response
                return Effect.fail(new ResponseError({ request, response, reason: "StatusCode", description }))
              }
            )
          )),
          HttpClient.transformResponse(Effect.filterOrFail(
            // Any other type holds no line of the protocol, and the call would wait for one until its timeout.
            (response) => response.headers["content-type"]?.startsWith("application/ndjson") === true,
            (response) => new ResponseError({ request: response.request, response, reason: "Decode" })
          ))
        ) as typeof client
    }).pipe(Layer.provide([FetchHttpClient.layer, RpcSerialization.layerNdjson]))
    const context = yield* Layer.build(protocol)
    const client = yield* Effect.provide(RpcClient.make(OperatorRpcs, { disableTracing: true }), context)
    const methods = Array.from(OperatorRpcs.requests.values(), (rpc) => {
      const call = client[rpc._tag] as AnyCall
      const writes = Option.isSome(Context.getOption(rpc.annotations, Writes))
      return [rpc._tag, RpcSchema.isStreamSchema(rpc.successSchema)
        ? (payload: unknown) => Stream.mapError(call(payload), failureOf(url, writes))
        : (payload: unknown) =>
          call(payload).pipe(
            Effect.mapError(failureOf(url, writes)),
            Effect.timeoutFail({
              duration: timeoutMillis,
              onTimeout: () => new TimedOut({ url, mayBeDone: writes })
            })
          )]
    })
    return Object.fromEntries(methods) as OperatorClient["Type"]
  })

export const layer = (options: ClientOptions): Layer.Layer<OperatorClient> =>
  Layer.scoped(OperatorClient, make(options))
