import type { DescMessage, DescMethodUnary, Message, MessageShape, Registry } from "@bufbuild/protobuf"
import { toBinary, toJsonString } from "@bufbuild/protobuf"
import type * as Effect from "effect/Effect"
import type { IssueFailure } from "../domain/Failure.ts"
import type { Continuation } from "../claim/Continuation.ts"
import type { UseCases } from "./Startup.ts"
import type { Principal, Touches } from "../domain/Principal.ts"
import type { RequestSource } from "../domain/Actor.ts"
import { isRight, type Access, type Right } from "../domain/Role.ts"
import type { WireError } from "./ErrorCatalog.ts"
import { decodeBinary, decodeJson } from "./JsonRequest.ts"

/** What bounds a call besides the caller's own timeout. */
export type Bound =
  /** The use case keeps both timeouts itself, for a wrapper of ours costs 69 µs a request. */
  | "itself"
  /** Nothing is changed, so REQUEST_TIMEOUT ends the call with UNAVAILABLE. */
  | "read"
  /** Something may have been stored, so REQUEST_TIMEOUT ends the call with OUTCOME_UNKNOWN. */
  | "write"

/** What a call reads and writes besides its messages. */
export interface Metadata {
  /** `POST`, or `GET` for a call without side effects. */
  readonly requestMethod: string
  /** Absolute, with its query. */
  readonly url: string
  readonly requestHeader: Headers
  /** Both may be added to until the call ends, well or not. */
  readonly responseHeader: Headers
  readonly responseTrailer: Headers
}

/** Who calls, and what came along with the message. */
export interface CallContext {
  /** Whom the guard let in; `anonymous`, if it was not asked. */
  readonly principal: Principal
  /** Where the request came from; `noSource` where the guard was not asked. */
  readonly source: RequestSource
  /** The caller's own timeout; `undefined`: none. */
  readonly timeoutMillis: number | undefined
  /** Present if and only if the route wants it. */
  readonly metadata: Metadata | undefined
}

/** A call that takes no fiber of its own. */
type Begin<Input, Answer, E> = (
  useCases: UseCases,
  input: Input,
  timeoutMillis: number | undefined,
  continuation: Continuation<Answer, E>
) => void

type Begun = Begin<unknown, unknown, IssueFailure>

/** One RPC: how its messages are read and written, and what it does. `Input` and `Answer` are sealed in by `make`. */
export interface Route {
  readonly method: DescMethodUnary
  readonly path: string
  readonly bound: Bound
  /** Who may call it, which `Dispatcher` has `Guard` decide. */
  readonly access: Access
  /** The campaigns that a call is about. */
  readonly touches: (input: unknown) => Touches
  /** Whether `access` is no right. */
  readonly isPublic: boolean
  /** Both throw `InvalidArgument`. */
  readonly decodeJson: (bytes: Uint8Array) => unknown
  readonly decodeBinary: (bytes: Uint8Array) => unknown
  /** `decodeJson` without a shortcut: the result is a message of protobuf-es. */
  readonly decodeJsonMessage: (bytes: Uint8Array) => Message
  readonly call: (
    useCases: UseCases,
    input: unknown,
    context: CallContext
  ) => Effect.Effect<unknown, IssueFailure>
  /** `call` without a fiber, where the use case offers that: the hot path. */
  readonly begin: Begun | undefined
  /** Whether `call` gets its metadata, which cost a request several microseconds. */
  readonly wantsMetadata: boolean
  /** The wire form of a failure that the catalog does not know; `undefined`: it does. */
  readonly wireOf: (failure: unknown) => WireError | undefined
  readonly jsonOptions: JsonOptions
  readonly encodeJson: (answer: unknown) => string
  readonly encodeBinary: (answer: unknown) => Uint8Array
  /** The response message, for the Connect adapter. */
  readonly respond: (answer: unknown) => never
  /** Whether calls may wait for their turn, so that how long they take says nothing about the load. */
  readonly paced: boolean
  /** The largest body, where that is more than `MAX_BODY_BYTES`. */
  readonly maxBodyBytes: number
  /** About how many bytes an answer has, if that may be many. */
  readonly sizeOf: (answer: unknown) => number
}

/** The fields of a message without what protobuf-es adds, so that a codec written by hand need not fake that. */
export type Fields<Desc extends DescMessage> = Omit<MessageShape<Desc>, "$typeName" | "$unknown">

/** How every message of the service is written: int64 as strings, and zero values too, so that no field is missing. */
export const jsonOptions = { alwaysEmitImplicit: true } as const

interface JsonOptions {
  readonly alwaysEmitImplicit: true
  readonly registry?: Registry
}

/** A message that names a user is for that user: it must not be declared as ANYONE's. */
type AccessTo<I extends DescMessage> =
  | Right
  | (MessageShape<I> extends { readonly userId: bigint } ? "SELF" | "READ_SELF" : "ANYONE" | "REDEEM")

/**
 * A message that names a campaign is about that campaign. Any other call says what it does for a key that is limited to
 * campaigns: `own` if it returns only those of `CallContext.principal`, `all` if it is not for such a key.
 */
type TouchesOf<I extends DescMessage> = MessageShape<I> extends { readonly campaignId: number }
  ? { readonly touches?: never }
  : { readonly touches: "own" | "all" }

/**
 * The route as it is served. Unless PUBLIC_REDEEM is on, redemptions need a REDEEMER as other acts of tills do: they
 * are no public calls, which a rush of claims sheds.
 */
export const served = (route: Route, { publicRedeem }: { readonly publicRedeem: "off" | "on" }): Route =>
  route.access === "REDEEM" && publicRedeem === "off" ? { ...route, access: "REDEEMER", isPublic: false } : route

const campaignOf = (input: unknown): Touches => (input as { readonly campaignId: number }).campaignId

/** Describes a unary RPC. Codecs default to protobuf-es; one given must mean exactly the same (tests compare them). */
export const make = <I extends DescMessage, O extends DescMessage, Answer, E = never>(spec: {
  readonly method: DescMethodUnary<I, O>
  readonly access: AccessTo<I>
  readonly respond: (answer: Answer) => MessageShape<O>
  /** A faster reader of common requests; `undefined` leaves a request to the general one. */
  readonly readJson?: (bytes: Uint8Array) => Fields<I> | undefined
  readonly writeJson?: (answer: Answer) => string
  readonly wantsMetadata?: boolean
  readonly paced?: boolean
  readonly maxBodyBytes?: number
  readonly sizeOf?: (answer: Answer) => number
  /** The wire form of failures of its own. */
  readonly wireOf?: (failure: IssueFailure | E) => WireError | undefined
  /** The messages that may travel in a `google.protobuf.Any`, which JSON has to know. */
  readonly registry?: Registry
  readonly bound: Bound
  readonly call: (
    useCases: UseCases,
    input: Fields<I>,
    context: CallContext
  ) => Effect.Effect<Answer, IssueFailure | E>
  readonly begin?: Begin<Fields<I>, Answer, IssueFailure | E>
} & TouchesOf<I>): Route => {
  const options: JsonOptions = spec.registry === undefined ? jsonOptions : { ...jsonOptions, registry: spec.registry }
  // What changes something must not be answered with success for a field that means nothing.
  const general = decodeJson(spec.method.input, { registry: spec.registry, rejectUnknown: spec.bound === "write" })
  const { readJson, touches } = spec as { readonly readJson?: Route["decodeJson"]; readonly touches?: Touches }
  return {
    method: spec.method,
    path: `/${spec.method.parent.typeName}/${spec.method.name}`,
    bound: spec.bound,
    access: spec.access,
    touches: touches === undefined ? campaignOf : () => touches,
    isPublic: !isRight(spec.access),
    decodeJson: readJson === undefined ? general : (bytes) => readJson(bytes) ?? general(bytes),
    decodeJsonMessage: general,
    decodeBinary: decodeBinary(spec.method.input),
    call: spec.call as Route["call"],
    begin: spec.begin as Begun | undefined,
    wantsMetadata: spec.wantsMetadata ?? false,
    wireOf: (spec.wireOf ?? (() => undefined)) as Route["wireOf"],
    jsonOptions: options,
    encodeJson: (spec.writeJson ??
      ((answer: Answer) => toJsonString(spec.method.output, spec.respond(answer), options))) as Route["encodeJson"],
    encodeBinary: ((answer: Answer) => toBinary(spec.method.output, spec.respond(answer))) as Route["encodeBinary"],
    respond: spec.respond as unknown as Route["respond"],
    paced: spec.paced ?? false,
    maxBodyBytes: spec.maxBodyBytes ?? 0,
    sizeOf: (spec.sizeOf ?? (() => 0)) as Route["sizeOf"]
  }
}
