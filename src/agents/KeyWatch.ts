import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { LedgerUnavailable } from "../ports/Ledger.ts"

/** The work on API keys in the background. Done by `security`, which holds the keys. */
export class KeyWatch extends Context.Tag("coupon/agents/KeyWatch")<KeyWatch, {
  /** Records which keys were used since the last time, and counts those that expire soon. */
  readonly runOnce: Effect.Effect<void, LedgerUnavailable>
}>() {}
