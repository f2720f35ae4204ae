import * as Data from "effect/Data"

/** A field breaks its rule; nothing was stored. `field` is the JSON name of the field, or `body` for the message itself. */
export class InvalidArgument extends Data.TaggedError("InvalidArgument")<{
  readonly field: string
  readonly reason: string
}> {}
