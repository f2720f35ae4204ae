import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { EpochMillis } from "../../domain/Time.ts"
import type { GateUnavailable } from "../Gate.ts"

/** What one instance leaves for the others to see. */
export interface InstanceNotice {
  readonly instance: string
  /** When it was left, by the clock of that instance. */
  readonly at: EpochMillis
  /** Any text. */
  readonly text: string
}

/** Notices are kept for this long: an instance that is gone without leaving is missed for as long. */
export const KEPT_MILLIS = 600_000

/**
 * Where the instances of a deployment see each other: for operators, never for a request. It is no truth about
 * anything, may lose its memory, and no instance waits for another by it.
 */
export class InstanceBoard extends Context.Tag("coupon/operation/InstanceBoard")<InstanceBoard, {
  /** Puts a notice in the place of the instance's former one, and returns the latest one of each instance. */
  readonly post: (notice: InstanceNotice) => Effect.Effect<ReadonlyArray<InstanceNotice>, GateUnavailable>
  /** Removes the notices of these instances. */
  readonly remove: (instances: ReadonlyArray<string>) => Effect.Effect<void, GateUnavailable>
}>() {}
