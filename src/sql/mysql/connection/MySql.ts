import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as SqlClientTag from "@effect/sql/SqlClient"
import type { SqlClient } from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { readFileSync } from "node:fs"
import { rootMessage } from "../../../base/RootMessage.ts"
import { AppConfig, InvalidConfiguration } from "../../../config/AppConfig.ts"
import type { LedgerUnavailable } from "../../../ports/Ledger.ts"
import type * as Migrations from "../../Migrations.ts"
import { parseUrl, type Endpoint } from "./MySqlUrl.ts"
import { connect, failedConnect, ServerUnfit, servingSession, servingSettings, sessionFacts, wholly } from "./Pool.ts"
import { watchPool } from "./PoolWatch.ts"
import { migrate, missing } from "./SchemaMigration.ts"
import * as SessionState from "./SessionState.ts"

export { address, parseUrl, type Endpoint } from "./MySqlUrl.ts"
export { lockWaitSeconds, runText, ServerUnfit, servingSession, sessionFacts } from "./Pool.ts"
export { migrate } from "./SchemaMigration.ts"

/** The endpoints that the settings name: for serving, and for migrating. */
export const endpoints: Effect.Effect<
  { readonly serving: Endpoint; readonly migrating: Endpoint },
  InvalidConfiguration,
  AppConfig
> = Effect.flatMap(
  AppConfig,
  (config) =>
    Effect.try({
      try: () => {
        const url = Option.getOrUndefined(config.mysqlUrl)
        if (url === undefined) throw new InvalidConfiguration("MYSQL_URL: must be set")
        const ca = Option.getOrUndefined(Option.map(config.mysqlCaFile, (file) => readCa(file)))
        return {
          serving: parseUrl(url, { ca }),
          migrating: parseUrl(Option.getOrElse(config.mysqlMigrationUrl, () => url), {
            name: "MYSQL_MIGRATION_URL",
            ca
          })
        }
      },
      catch: (error) => error as InvalidConfiguration
    })
)

const readCa = (file: string): string => {
  try {
    return readFileSync(file, "utf8")
  } catch (error) {
    throw new InvalidConfiguration(`MYSQL_CA_FILE: ${(error as Error).message}`)
  }
}

/**
 * The pool of connections to `MYSQL_URL`, on a database with the current schema. Fails with `LedgerUnavailable` while
 * the server is not there (build it again later) and with the others if trying again does not help.
 */
export const layer: Layer.Layer<
  MysqlClient.MysqlClient | SqlClient,
  LedgerUnavailable | ServerUnfit | Migrations.SchemaUnfit | InvalidConfiguration,
  AppConfig
> = Layer.scopedContext(wholly(Effect.gen(function*() {
  const config = yield* AppConfig
  const { migrating, serving } = yield* endpoints
  const client = yield* connect(serving, { ...servingSettings(config), onPool: yield* watchPool(config.mysqlPoolSize) })
  const facts = yield* Effect.mapError(sessionFacts(client, servingSession(config, serving)), failedConnect)
  const unfit = SessionState.unfit(facts)
  if (unfit !== undefined) return yield* new ServerUnfit({ message: unfit.message })
  const todo = yield* missing(client)
  if (todo.some(({ isOptional }) => !isOptional)) yield* migrate(migrating)
  else if (todo.length > 0) {
    yield* Effect.catchTag(migrate(migrating), "LedgerUnavailable", ({ cause }) =>
      Effect.logWarning(`an optional migration was not tried, and the service does without it: ${rootMessage(cause)}`))
  }
  return Context.make(MysqlClient.MysqlClient, client).pipe(Context.add(SqlClientTag.SqlClient, client))
})))
