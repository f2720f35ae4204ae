import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { InstanceBoard } from "../ports/operation/InstanceBoard.ts"

/** The board of an instance that is alone. */
export const layer: Layer.Layer<InstanceBoard> = Layer.succeed(
  InstanceBoard,
  InstanceBoard.of({
    post: (notice) => Effect.succeed([notice]),
    remove: () => Effect.void
  })
)
