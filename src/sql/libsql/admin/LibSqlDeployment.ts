import type { SqlClient } from "@effect/sql/SqlClient"
import * as Layer from "effect/Layer"
import { Deployment } from "../../../ports/operation/Deployment.ts"
import * as SqlDeployment from "../../SqlDeployment.ts"

/** The row in the embedded ledger's file. */
export const layer: Layer.Layer<Deployment, never, SqlClient> = Layer.effect(
  Deployment,
  SqlDeployment.make("CAST(unixepoch('subsec') * 1000 AS INTEGER)", Number)
)
