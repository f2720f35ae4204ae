import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import type { EpochMillis } from "../domain/Time.ts"
import { Deployment } from "../ports/operation/Deployment.ts"
import { LedgerUnavailable } from "../ports/Ledger.ts"
import type { Row } from "./Rows.ts"

const LOST_ROW =
  "the table `deployment` has lost its row: restore it from a backup, or run its migration again"

/** The row of the deployment. `now` is the ledger's clock, as an expression. */
export const make = (
  now: string,
  time: (value: unknown) => EpochMillis
): Effect.Effect<Deployment["Type"], never, SqlClient> =>
  Effect.map(SqlClient, (sql) => {
    const run = (text: string) => Effect.mapError(sql.unsafe<Row>(text), (cause) => new LedgerUnavailable({ cause }))
    return Deployment.of({
      facts: Effect.flatMap(run("SELECT * FROM deployment"), ([row]) =>
        row === undefined
          ? new LedgerUnavailable({ cause: new Error(LOST_ROW) })
          : Effect.succeed({
            identity: String(row.identity),
            redisKeyPrefix: String(row.redis_key_prefix ?? ""),
            servedInProductionAt: row.served_in_production_at === null ? undefined : time(row.served_in_production_at)
          })),
      noteServedInProduction: Effect.asVoid(
        run(`UPDATE deployment SET served_in_production_at = ${now} WHERE served_in_production_at IS NULL`)
      )
    })
  })
