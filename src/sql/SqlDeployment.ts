import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { EpochMillis } from "../domain/Time.ts"
import { Deployment } from "../ports/Deployment.ts"
import { LedgerUnavailable } from "../ports/Ledger.ts"
import { timeFromSql } from "./text/Literals.ts"
import type { Row } from "./Rows.ts"

const make = (now: string, time: (value: unknown) => EpochMillis) =>
  Effect.map(SqlClient, (sql) => {
    const run = (text: string) => Effect.mapError(sql.unsafe<Row>(text), (cause) => new LedgerUnavailable({ cause }))
    return Deployment.of({
      facts: Effect.flatMap(run("SELECT * FROM deployment"), ([row]) =>
        row === undefined
          ? new LedgerUnavailable({ cause: new Error("the table `deployment` has lost its row: restore it from a backup, or run its migration again") })
          : Effect.succeed({
            identity: String(row.identity),
            redisKeyPrefix: String(row.redis_key_prefix ?? ""),
            servedInProductionAt: row.served_in_production_at === null ? undefined : time(row.served_in_production_at)
          })),
      noteServedInProduction: Effect.asVoid(run(`UPDATE deployment SET served_in_production_at = ${now} WHERE served_in_production_at IS NULL`))
    })
  })

/** The row in MySQL or MariaDB. */
export const layerMySql: Layer.Layer<Deployment, never, SqlClient> = Layer.effect(Deployment, make("UTC_TIMESTAMP(6)", timeFromSql))

/** The row in the embedded ledger's file. */
export const layerLibSql: Layer.Layer<Deployment, never, SqlClient> = Layer.effect(
  Deployment,
  make("CAST(unixepoch('subsec') * 1000 AS INTEGER)", Number)
)
