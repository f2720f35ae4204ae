import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { GateFacts } from "../ports/operation/GateFacts.ts"

/** The gate in the process goes by the process's clock, and has no settings of its own. */
export const layer: Layer.Layer<GateFacts> = Layer.succeed(
  GateFacts,
  GateFacts.of({ now: Effect.sync(() => Date.now()), settings: Effect.succeed({}) })
)
