import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Outbox } from "../../ports/Outbox.ts"

/** A VOID marker forbids the late commit of its batch for this long (docs/internals/protocol.md, "In doubt"). */
const VOID_KEPT_MILLIS = Duration.toMillis("1 hour")

/** Deletes VOID markers older than an hour, at most 1,000 a run. */
export const make = Effect.map(Outbox, (outbox) => ({ runOnce: outbox.purgeVoid(VOID_KEPT_MILLIS) }))
