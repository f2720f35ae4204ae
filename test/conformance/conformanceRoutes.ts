import type { DescMessage, MessageShape } from "@bufbuild/protobuf"
import { create, createRegistry, toBinary } from "@bufbuild/protobuf"
import { anyPack, anyUnpack } from "@bufbuild/protobuf/wkt"
import type { Code } from "@connectrpc/connect"
import * as Effect from "effect/Effect"
import { DeadlineExceeded } from "../../src/domain/Failure.ts"
import type { WireError } from "../../src/rpc/ErrorCatalog.ts"
import type { Metadata, Route } from "../../src/rpc/Route.ts"
import * as Routes from "../../src/rpc/Route.ts"
import { file_connectrpc_conformance_v1_config } from "./gen/connectrpc/conformance/v1/config_pb.ts"
import type { Header, UnaryResponseDefinition } from "./gen/connectrpc/conformance/v1/service_pb.ts"
import {
  ConformancePayload_RequestInfoSchema,
  ConformancePayloadSchema,
  ConformanceService,
  file_connectrpc_conformance_v1_service,
  HeaderSchema,
  IdempotentUnaryRequestSchema,
  IdempotentUnaryResponseSchema,
  UnaryRequestSchema,
  UnaryResponseSchema
} from "./gen/connectrpc/conformance/v1/service_pb.ts"

const registry = createRegistry(file_connectrpc_conformance_v1_service, file_connectrpc_conformance_v1_config)

/** The error that a request asked for. */
interface AskedFor {
  readonly _tag: "AskedFor"
  readonly wire: WireError
}

const headersOf = (entries: Iterable<[string, string]>): Array<Header> =>
  Array.from(entries, ([name, value]) => create(HeaderSchema, { name, value: [value] }))

const append = (target: Headers, headers: ReadonlyArray<Header>) => {
  for (const { name, value } of headers) for (const one of value) target.append(name, one)
}

/** What a unary method does, step by step as the suite's own reference server does it. */
const answer = <I extends DescMessage>(
  desc: I,
  request: MessageShape<I>,
  definition: UnaryResponseDefinition | undefined,
  timeoutMillis: number | undefined,
  metadata: Metadata
) => {
  const query = new URL(metadata.url).searchParams
  const requestInfo = create(ConformancePayload_RequestInfoSchema, {
    requestHeaders: headersOf(metadata.requestHeader),
    ...timeoutMillis === undefined ? {} : { timeoutMs: BigInt(Math.round(timeoutMillis)) },
    requests: [anyPack(desc, request)],
    ...metadata.requestMethod === "GET" ? { connectGetInfo: { queryParams: headersOf(query) } } : {}
  })
  append(metadata.responseHeader, definition?.responseHeaders ?? [])
  append(metadata.responseTrailer, definition?.responseTrailers ?? [])
  const response = definition?.response
  const outcome = response?.case !== "error"
    ? Effect.succeed(
      create(ConformancePayloadSchema, {
        requestInfo,
        ...response?.case === "responseData" ? { data: response.value } : {}
      })
    )
    : Effect.fail<AskedFor>({
      _tag: "AskedFor",
      wire: {
        code: response.value.code as number as Code,
        message: response.value.message ?? "",
        retryAfterSeconds: undefined,
        details: [...response.value.details, anyPack(ConformancePayload_RequestInfoSchema, requestInfo)].map((any) => {
          const value = anyUnpack(any, registry)
          const known = value === undefined ? undefined : registry.getMessage(value.$typeName)
          // A detail of a type that is not known here cannot be built from its description: the suite has none.
          if (value === undefined || known === undefined) throw new Error(`unknown detail ${any.typeUrl}`)
          return { desc: known, value }
        })
      }
    })
  const delayed = Effect.delay(outcome, definition?.responseDelayMs ?? 0)
  return timeoutMillis === undefined
    ? delayed
    : Effect.timeoutFail(delayed, { duration: timeoutMillis, onTimeout: () => new DeadlineExceeded() })
}

const wireOf = (failure: { readonly _tag: string }) =>
  failure._tag === "AskedFor" ? (failure as AskedFor).wire : undefined

/** protobuf-es adds `$typeName` when it decodes; the lane's readers and connect-es both give messages. */
const message = <I extends DescMessage>(fields: Routes.Fields<I>) => fields as MessageShape<I>

const unary = Routes.make({
  method: ConformanceService.method.unary,
  // Keeps its timeout itself and is served by the lane whatever encodings the client accepts, like IssueCoupon.
  bound: "itself",
  access: "ANYONE",
  touches: "own",
  call: (_, input, { metadata, timeoutMillis }) => {
    const request = message<typeof UnaryRequestSchema>(input)
    return answer(UnaryRequestSchema, request, request.responseDefinition, timeoutMillis, metadata!)
  },
  respond: (payload) => create(UnaryResponseSchema, { payload }),
  wantsMetadata: true,
  wireOf,
  registry
})

const idempotentUnary = Routes.make({
  method: ConformanceService.method.idempotentUnary,
  bound: "read",
  access: "ANYONE",
  touches: "own",
  call: (_, input, { metadata, timeoutMillis }) => {
    const request = message<typeof IdempotentUnaryRequestSchema>(input)
    return answer(IdempotentUnaryRequestSchema, request, request.responseDefinition, timeoutMillis, metadata!)
  },
  respond: (payload) => create(IdempotentUnaryResponseSchema, { payload }),
  wantsMetadata: true,
  wireOf,
  registry
})

/** The unary methods of Connect's conformance service; `Unimplemented` is left out, as the suite wants it. */
export const routes: ReadonlyArray<Route> = [unary, idempotentUnary]

/**
 * Kept here so that the server need not know protobuf: the size-delimited form in which the suite talks to a server.
 */
export const delimited = <Desc extends DescMessage>(desc: Desc, value: MessageShape<Desc>): Uint8Array => {
  const bytes = toBinary(desc, value)
  const size = Buffer.alloc(4)
  size.writeUInt32BE(bytes.length)
  return Buffer.concat([size, bytes])
}
