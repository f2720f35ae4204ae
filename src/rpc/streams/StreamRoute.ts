import type { DescMessage, DescMethodServerStreaming, Message, MessageShape } from "@bufbuild/protobuf"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { IssueFailure } from "../../domain/Failure.ts"
import type { Role } from "../../domain/Role.ts"
import { decodeJson } from "../JsonRequest.ts"
import { type CallContext, type Fields, jsonOptions } from "../Route.ts"
import type { UseCases } from "../Startup.ts"

/** What a stream sends next; `undefined`: it ends. Run once at a time, and interrupted when the call ends. */
export type Next<Answer> = Effect.Effect<Answer | undefined, IssueFailure>

/** Every stream is about one campaign: a key that is limited to others may not call it. */
export interface AboutCampaign {
  readonly campaignId: number
}

/** One RPC that answers with a stream. `Input` and `Answer` are sealed in by `make`. */
export interface StreamRoute {
  readonly method: DescMethodServerStreaming
  readonly path: string
  /** Who may call it. A stream lasts: it is not for everyone, and ends with the rights of its caller. */
  readonly access: Role
  /** Throws `InvalidArgument`. */
  readonly decodeJsonMessage: (bytes: Uint8Array) => Message
  readonly jsonOptions: typeof jsonOptions
  /** Begins the stream, whose resources are held until the scope closes. */
  readonly open: (
    useCases: UseCases,
    input: unknown,
    context: CallContext
  ) => Effect.Effect<Next<unknown>, IssueFailure, Scope.Scope>
  /** The message for an answer. `isBinary`: it is written as protobuf, so its fields may be bytes already. */
  readonly respond: (answer: unknown, isBinary: boolean) => never
  /** About how many bytes a message has. */
  readonly sizeOf: (answer: unknown) => number
}

type AboutItsCampaign<I extends DescMessage> = MessageShape<I> extends AboutCampaign ? unknown : never

/** Describes an RPC that answers with a stream. */
export const make = <I extends DescMessage, O extends DescMessage, Answer>(spec: {
  readonly method: DescMethodServerStreaming<I, O> & AboutItsCampaign<I>
  readonly access: Role
  readonly open: (
    useCases: UseCases,
    input: Fields<I>,
    context: CallContext
  ) => Effect.Effect<Next<Answer>, IssueFailure, Scope.Scope>
  readonly respond: (answer: Answer, isBinary: boolean) => MessageShape<O>
  readonly sizeOf: (answer: Answer) => number
}): StreamRoute => ({
  method: spec.method,
  path: `/${spec.method.parent.typeName}/${spec.method.name}`,
  access: spec.access,
  decodeJsonMessage: decodeJson(spec.method.input, { registry: undefined, rejectUnknown: false }),
  jsonOptions,
  open: spec.open as StreamRoute["open"],
  respond: spec.respond as unknown as StreamRoute["respond"],
  sizeOf: spec.sizeOf as StreamRoute["sizeOf"]
})
