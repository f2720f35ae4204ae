import * as Data from "effect/Data"

/** An address that webhooks may not go to, or a host without one. `reason` is a sentence without its full stop. */
export class AddressRefused extends Data.TaggedError("AddressRefused")<{ readonly reason: string }> {}
