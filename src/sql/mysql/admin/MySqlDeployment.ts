import type { SqlClient } from "@effect/sql/SqlClient"
import * as Layer from "effect/Layer"
import { Deployment } from "../../../ports/operation/Deployment.ts"
import * as SqlDeployment from "../../SqlDeployment.ts"
import { timeFromSql } from "../Literals.ts"

/** The row in MySQL or MariaDB. */
export const layer: Layer.Layer<Deployment, never, SqlClient> = Layer.effect(
  Deployment,
  SqlDeployment.make("UTC_TIMESTAMP(6)", timeFromSql)
)
