import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { KeysUnavailable } from "./ApiKeys.ts"

/** The ledger's note that it has been served in production. It keeps administration closed from then on. */
export class ProductionNote extends Context.Tag("coupon/security/ProductionNote")<ProductionNote, {
  /** Whether an instance ever served this ledger in production mode. Never `false` again after it was `true`. */
  readonly found: Effect.Effect<boolean, KeysUnavailable>
  /** Notes it, for every instance and for good. Durable when it returns; safe to repeat. */
  readonly leave: Effect.Effect<void, KeysUnavailable>
}>() {}
