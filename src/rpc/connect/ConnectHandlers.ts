import { Code, ConnectError, createConnectRouter, createContextKey, createContextValues } from "@connectrpc/connect"
import type { UniversalHandler, UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol"
import { createAsyncIterable, encodeEnvelope } from "@connectrpc/connect/protocol"
import { codeToHttpStatus, codeToString, errorFromJson, errorFromJsonBytes } from "@connectrpc/connect/protocol-connect"
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc"
import { trailerFlag, trailerParse, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web"
import { type DescMessage, type JsonValue, toJsonString } from "@bufbuild/protobuf"
import { InvalidArgument, type IssueFailure } from "../../domain/Failure.ts"
import * as RequestMetrics from "../../metrics/RequestMetrics.ts"
import { compressions } from "../admission/Compressions.ts"
import type { Dispatcher } from "../dispatch/Dispatcher.ts"
import { MAX_TIMEOUT_MILLIS } from "../dispatch/Dispatcher.ts"
import type { WireError } from "../ErrorCatalog.ts"
import { INTERNAL, normalize, rejection, toConnectError, wireToConnectError } from "../ErrorCatalog.ts"
import type { Route } from "../Route.ts"
import type { Request, Response } from "../Request.ts"
import type { AboutCampaign, StreamRoute } from "../streams/StreamRoute.ts"

/**
 * Lets connect-es read JSON by our rules: it decodes a body's bytes to text by this hook, which passes on the canonical
 * form of what our own reader understood (exact integers), or throws our error, which connect-es passes on untouched.
 */
const textDecoder = (
  route: Pick<Route, "decodeJsonMessage" | "jsonOptions"> & { readonly method: { readonly input: DescMessage } }
) => ({
  decode: (bytes: Uint8Array): string => {
    try {
      return toJsonString(route.method.input, route.decodeJsonMessage(bytes), route.jsonOptions)
    } catch (error) {
      throw error instanceof InvalidArgument ? toConnectError(error) : error
    }
  }
})

/** Whether a call ended in a failure of its route's, which has its form already. */
const failedByRoute = createContextKey(false)

/** The request and its response, and its client as `Dispatcher.clientOf` has it. */
export interface Exchange {
  readonly request: Request
  readonly response: Response
  readonly client: number
}

const exchange = createContextKey<Exchange | undefined>(undefined)

export interface Options {
  readonly dispatcher: Dispatcher
  readonly maxBodyBytes: number
  /** Aborted when the server begins to drain. */
  readonly draining: AbortSignal
}

/** All RPCs, by how they answer. */
export interface Rpcs {
  readonly routes: ReadonlyArray<Route>
  readonly streams: ReadonlyArray<StreamRoute>
}

const errorOfFailure = (failure: IssueFailure | undefined, route?: Route) => {
  const wire = failure === undefined ? undefined : route?.wireOf(failure)
  return wire === undefined ? toConnectError(failure) : wireToConnectError(wire)
}

const routerOf = (
  { routes, streams }: Rpcs,
  { dispatcher, draining, maxBodyBytes }: Options,
  requireConnectProtocolHeader: boolean
): ReadonlyMap<string, UniversalHandler> => {
  const router = createConnectRouter({
    acceptCompression: [...compressions],
    readMaxBytes: maxBodyBytes,
    requireConnectProtocolHeader
  })
  for (const route of routes) {
    router.rpc(
      route.method,
      (input, context) =>
        new Promise<never>((resolve, reject) =>
          dispatcher.dispatch({
            route,
            input,
            timeoutMillis: context.timeoutMs(),
            authorization: context.requestHeader.get("authorization") ?? undefined,
            traceparent: context.requestHeader.get("traceparent") ?? undefined,
            metadata: route.wantsMetadata ? context : undefined,
            client: context.values.get(exchange)!.client,
            request: context.values.get(exchange)!.request,
            response: context.values.get(exchange)!.response,
            answered: (answer) => {
              try {
                resolve(route.respond(answer))
              } catch (error) {
                dispatcher.report(error)
                reject(toConnectError(undefined))
              }
            },
            failed: (failure) => {
              context.values.set(failedByRoute, true)
              reject(errorOfFailure(failure, route))
            }
          })
        ),
      {
        readMaxBytes: Math.max(maxBodyBytes, route.maxBodyBytes),
        // connect-es reads textDecoder, but its public type does not name it.
        jsonOptions: { ...route.jsonOptions, textDecoder: textDecoder(route) } as typeof route.jsonOptions
      }
    )
  }
  for (const route of streams) {
    // From the start, as the lane does for the others.
    RequestMetrics.rpc(route.method.name)
    router.rpc(
      route.method,
      (input, context) => {
        const { request, response } = context.values.get(exchange)!
        const call = {
          route,
          input: input as unknown as AboutCampaign,
          isBinary: !context.requestHeader.get("content-type")!.includes("json"),
          timeoutMillis: context.timeoutMs(),
          authorization: context.requestHeader.get("authorization") ?? undefined,
          signal: context.signal,
          request,
          response
        }
        return dispatcher.streams.run(call, draining, (failure) => {
          context.values.set(failedByRoute, true)
          return errorOfFailure(failure)
        })
      },
      { jsonOptions: { ...route.jsonOptions, textDecoder: textDecoder(route) } as typeof route.jsonOptions }
    )
  }
  return new Map(router.handlers.map((handler) => [handler.requestPath, handler]))
}

const encode = (text: string) => new TextEncoder().encode(text)
const json = (value: unknown) => encode(JSON.stringify(value))

/** The protocol's bare 405 or 415 with what a person at the other end needs. */
const explain = (status: number, handler: UniversalHandler, requestType: string | null): UniversalServerResponse => {
  const allow = [...new Set(handler.allowedMethods)].join(", ")
  const connect = handler.method.methodKind === "unary"
    ? "application/json, application/proto"
    : "application/connect+json, application/connect+proto"
  const types = `${connect}, application/grpc, application/grpc-web`
  const { body: text, type } = rejection(
    requestType ?? undefined,
    Code.Unknown,
    status === 405 ? `${handler.requestPath} takes ${allow}` : `${handler.requestPath} takes content-type ${types}`
  )
  const body = encode(text)
  const header = new Headers({ "content-type": type, "content-length": String(body.length) })
  if (status === 405) header.set("allow", allow)
  else header.set("accept-post", types)
  return { status, header, body: createAsyncIterable([body]) }
}

const errorOf = (wire: WireError) => new ConnectError(wire.message, wire.code)

/** Rewrites grpc-status and grpc-message of an error that connect-es raised itself. */
const rewriteTrailer = (trailer: Headers, rewrite: (code: Code, message: string) => WireError | undefined) => {
  const code = Number(trailer.get("grpc-status") ?? 0)
  const wire = code === 0 ? undefined : rewrite(code, decodeURIComponent(trailer.get("grpc-message") ?? ""))
  if (wire !== undefined) setTrailerStatus(trailer, errorOf(wire))
}

/** The flag of the last envelope of a stream of Connect, without that of compression. */
const END_STREAM = 2

/** Rewrites the error in the last envelope of a stream of Connect that connect-es raised itself. */
const rewriteEndStream = (
  envelope: Uint8Array,
  rewrite: (code: Code, message: string) => WireError | undefined
): Uint8Array => {
  const end = JSON.parse(new TextDecoder().decode(envelope.subarray(5))) as { readonly error?: JsonValue }
  if (end.error === undefined) return envelope
  const error = errorFromJson(end.error, undefined, new ConnectError("", Code.Unknown))
  const wire = rewrite(error.code, error.rawMessage)
  if (wire === undefined) return envelope
  return encodeEnvelope(END_STREAM, json({ ...end, error: { code: codeToString(wire.code), message: wire.message } }))
}

/**
 * Interceptors do not see errors that connect-es raises while it reads a request, so they get the catalog's form on the
 * way out: in the body (Connect), the trailer (gRPC) or the last envelope of the body (gRPC-Web).
 */
const rewriteErrors = async (
  response: UniversalServerResponse,
  rewrite: (code: Code, message: string) => WireError | undefined
): Promise<UniversalServerResponse> => {
  const { body, header, trailer } = response
  if (body === undefined || body === null) return response
  const type = header?.get("content-type") ?? ""
  if (response.status !== 200 && type === "application/json") {
    const chunks: Array<Uint8Array> = []
    for await (const chunk of body) chunks.push(chunk)
    let bytes: Uint8Array = Buffer.concat(chunks)
    const encoding = header?.get("content-encoding")
    const compression = compressions.find(({ name }) => name === encoding)
    const plain = compression === undefined ? bytes : await compression.decompress(bytes, 1 << 20)
    const error = errorFromJsonBytes(plain, undefined, new ConnectError("", Code.Unknown))
    const wire = rewrite(error.code, error.rawMessage)
    if (wire === undefined) return { ...response, body: createAsyncIterable([bytes]) }
    bytes = json({ code: codeToString(wire.code), message: wire.message })
    const rewritten = new Headers(header)
    rewritten.delete("content-encoding")
    rewritten.set("content-length", String(bytes.length))
    return { status: codeToHttpStatus(wire.code), header: rewritten, body: createAsyncIterable([bytes]) }
  }
  if (type.startsWith("application/connect+")) {
    return {
      ...response,
      body: (async function*() {
        // An error's last envelope is short, hence not compressed.
        for await (const chunk of body) yield chunk[0] === END_STREAM ? rewriteEndStream(chunk, rewrite) : chunk
      })()
    }
  }
  if (type.startsWith("application/grpc-web")) {
    return {
      ...response,
      body: (async function*() {
        for await (const chunk of body) {
          // connect-es yields an envelope a chunk; an error's trailer is short, hence not compressed.
          if (chunk[0] !== trailerFlag) yield chunk
          else {
            const fields = trailerParse(chunk.subarray(5))
            rewriteTrailer(fields, rewrite)
            yield encodeEnvelope(trailerFlag, trailerSerialize(fields))
          }
        }
      })()
    }
  }
  if (trailer === undefined) return response
  return {
    ...response,
    body: (async function*() {
      yield* body
      rewriteTrailer(trailer, rewrite)
    })()
  }
}

/** Cuts timeouts to the longest delay of a timer: longer ones would fire at once. */
const capTimeout = (header: Headers) => {
  const timeout = header.get("connect-timeout-ms")
  if (Number(timeout) > MAX_TIMEOUT_MILLIS && /^\d{1,10}$/.test(timeout!)) {
    header.set("connect-timeout-ms", String(MAX_TIMEOUT_MILLIS))
  }
  const [, amount, unit] = /^(\d{1,8})([HMS])$/.exec(header.get("grpc-timeout") ?? "") ?? []
  const millis = Number(amount ?? 0) * { H: 3_600_000, M: 60_000, S: 1_000 }[(unit ?? "S") as "H" | "M" | "S"]
  if (millis > MAX_TIMEOUT_MILLIS) {
    header.set("grpc-timeout", "2147483S")
  }
}

/** Connect, gRPC and gRPC-Web as connect-es has them, above any server. */
export interface ConnectHandlers {
  readonly has: (path: string) => boolean
  /** Answers a request of a path that it has. The request comes `from` there. */
  readonly handle: (
    path: string,
    request: UniversalServerRequest,
    from: Exchange
  ) => Promise<UniversalServerResponse>
}

export const make = (rpcs: Rpcs, options: Options): ConnectHandlers => {
  const { dispatcher, maxBodyBytes } = options
  const lax = routerOf(rpcs, options, false)
  // Two routers, because connect-es either demands a version or ignores it: curl need not send one, but no wrong one.
  const strict = routerOf(rpcs, options, true)

  const byPath = new Map([...rpcs.routes, ...rpcs.streams].map((route) => [route.path, route]))
  const larger = new Map(rpcs.routes.map((route) => [route.path, route.maxBodyBytes]))

  const handle: ConnectHandlers["handle"] = async (path, given, from) => {
    const contextValues = createContextValues().set(exchange, from)
    const request = { ...given, contextValues }
    const isGet = request.method === "GET"
    const versioned = isGet
      ? new URL(request.url).searchParams.has("connect")
      : request.header.has("connect-protocol-version")
    capTimeout(request.header)
    const handler = (versioned ? strict : lax).get(path)!
    const response = await handler(request)
    if (response.status === 405 || response.status === 415) {
      return explain(response.status, handler, request.header.get("content-type"))
    }
    return rewriteErrors(response, (code, message) => {
      if (contextValues.get(failedByRoute)) return undefined
      const wire = normalize(code, message, Math.max(maxBodyBytes, larger.get(path) ?? 0), isGet)
      // Other errors of connect-es, such as the caller's timeout, are counted where the call ends.
      if ((wire?.message ?? message).startsWith("INVALID_ARGUMENT")) {
        dispatcher.refused(byPath.get(path)!, { _tag: "InvalidArgument" })
      }
      if (wire?.message === INTERNAL) dispatcher.report(new Error(`connect-es: ${message}`))
      return wire
    })
  }

  return { has: (path) => lax.has(path), handle }
}
