import type { DescMessage, DescMethodUnary, Message, MessageShape } from "@bufbuild/protobuf"
import { toBinary, toJsonString } from "@bufbuild/protobuf"
import type * as Effect from "effect/Effect"
import type { IssueFailure } from "../domain/IssueFailure.ts"
import type { UseCases } from "../issuance/Startup.ts"
import { decodeBinary, decodeJson } from "./JsonRequest.ts"

/** What bounds a call besides the caller's own timeout. */
export type Bound =
  /** The use case keeps both timeouts itself, for a wrapper of ours costs 69 µs a request. */
  | "itself"
  /** Nothing is changed, so REQUEST_TIMEOUT ends the call with UNAVAILABLE. */
  | "read"
  /** Something may have been stored, so REQUEST_TIMEOUT ends the call with OUTCOME_UNKNOWN. */
  | "write"

/** One RPC: how its messages are read and written, and what it does. `Input` and `Answer` are sealed in by `make`. */
export interface Route {
  readonly method: DescMethodUnary
  readonly path: string
  readonly bound: Bound
  /** Both throw `InvalidArgument`. */
  readonly decodeJson: (bytes: Uint8Array) => unknown
  readonly decodeBinary: (bytes: Uint8Array) => unknown
  /** `decodeJson` without a shortcut: the result is a message of protobuf-es. */
  readonly decodeJsonMessage: (bytes: Uint8Array) => Message
  readonly call: (useCases: UseCases, input: unknown, timeoutMillis: number | undefined) => Effect.Effect<unknown, IssueFailure>
  readonly encodeJson: (answer: unknown) => string
  readonly encodeBinary: (answer: unknown) => Uint8Array
  /** The response message, for the Connect adapter. */
  readonly respond: (answer: unknown) => never
}

/** The fields of a message without what protobuf-es adds, so that a codec written by hand need not fake that. */
export type Fields<Desc extends DescMessage> = Omit<MessageShape<Desc>, "$typeName" | "$unknown">

/** How every message of the service is written: int64 as strings, and zero values too, so that a field is always there. */
export const jsonOptions = { alwaysEmitImplicit: true } as const

/** Describes a unary RPC. Codecs default to protobuf-es; one given must mean exactly the same (tests compare them). */
export const make = <I extends DescMessage, O extends DescMessage, Answer>(spec: {
  readonly method: DescMethodUnary<I, O>
  readonly bound: Bound
  readonly call: (
    useCases: UseCases,
    input: Fields<I>,
    timeoutMillis: number | undefined
  ) => Effect.Effect<Answer, IssueFailure>
  readonly respond: (answer: Answer) => MessageShape<O>
  /** A faster reader of common requests; `undefined` leaves a request to the general one. */
  readonly readJson?: (bytes: Uint8Array) => Fields<I> | undefined
  readonly writeJson?: (answer: Answer) => string
}): Route => {
  const general = decodeJson(spec.method.input)
  const { readJson } = spec
  return {
    method: spec.method,
    path: `/${spec.method.parent.typeName}/${spec.method.name}`,
    bound: spec.bound,
    decodeJson: readJson === undefined ? general : (bytes) => readJson(bytes) ?? general(bytes),
    decodeJsonMessage: general,
    decodeBinary: decodeBinary(spec.method.input),
    call: spec.call as Route["call"],
    encodeJson: (spec.writeJson ??
      ((answer: Answer) => toJsonString(spec.method.output, spec.respond(answer), jsonOptions))) as Route["encodeJson"],
    encodeBinary: ((answer: Answer) => toBinary(spec.method.output, spec.respond(answer))) as Route["encodeBinary"],
    respond: spec.respond as unknown as Route["respond"]
  }
}
