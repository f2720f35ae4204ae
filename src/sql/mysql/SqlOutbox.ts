import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { AppConfig } from "../../config/AppConfig.ts"
import { Outbox } from "../../ports/Outbox.ts"
import * as LibSqlOutbox from "../libsql/LibSqlOutbox.ts"
import * as MySqlOutbox from "./MySqlOutbox.ts"
import * as RecentBatches from "./RecentBatches.ts"

/** The outbox of whichever database the client is connected to. */
export const layer: Layer.Layer<Outbox, never, SqlClient | AppConfig> = Layer.effect(
  Outbox,
  Effect.flatMap(SqlClient, (sql) =>
    sql.onDialectOrElse({
      sqlite: () => LibSqlOutbox.make,
      mysql: () => MySqlOutbox.make,
      orElse: () => Effect.dieMessage("the outbox knows MySQL and libSQL only")
    }) as typeof MySqlOutbox.make)
).pipe(Layer.provide(RecentBatches.layer))
