import * as Data from "effect/Data"

/** A field breaks its rule. Nothing was stored. `field` is its JSON name, or `body` for the message itself. */
export class InvalidArgument extends Data.TaggedError("InvalidArgument")<{
  readonly field: string
  readonly reason: string
}> {}
