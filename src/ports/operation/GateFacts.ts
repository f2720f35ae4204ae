import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { EpochMillis } from "../../domain/Time.ts"
import type { GateUnavailable } from "../Gate.ts"

/** What the gate's store tells of itself: for an operator, never for a request. */
export class GateFacts extends Context.Tag("coupon/issuance/GateFacts")<GateFacts, {
  /** The clock by which claims before the start and after the end are turned away, with 2 s of slack. */
  readonly now: Effect.Effect<EpochMillis, GateUnavailable>
  /** Settings of the store that what it holds depends on, by their own names; none where it may not be asked. */
  readonly settings: Effect.Effect<Readonly<Record<string, string>>, GateUnavailable>
}>() {}
