import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as AppConfig from "../../src/config/AppConfig.ts"
import * as LibSqlApiKeyStore from "../../src/sql/libsql/admin/LibSqlApiKeyStore.ts"
import * as LibSqlAuditLog from "../../src/sql/libsql/admin/LibSqlAuditLog.ts"
import * as LibSql from "../../src/sql/libsql/LibSql.ts"
import * as MySqlApiKeyStore from "../../src/sql/mysql/admin/MySqlApiKeyStore.ts"
import * as MySqlAuditLog from "../../src/sql/mysql/admin/MySqlAuditLog.ts"
import * as MySql from "../../src/sql/mysql/connection/MySql.ts"
import { temporaryDirectory } from "../support/guardian.ts"
import { availableDatabases, databaseOn } from "../support/servers.ts"
import { exercise } from "./sessions.exercise.ts"

exercise(
  "libSQL",
  Layer.merge(LibSqlApiKeyStore.layer, LibSqlAuditLog.layer).pipe(
    Layer.provide(LibSql.layer),
    Layer.provide(AppConfig.layerTest({ DATA_DIR: temporaryDirectory("sessions") }))
  )
)

for (const kind of availableDatabases()) {
  const database = Effect.acquireRelease(Effect.promise(() => databaseOn(kind)), (db) => Effect.promise(db.drop))
  exercise(
    kind,
    Layer.unwrapScoped(Effect.map(database, ({ url }) =>
      Layer.merge(MySqlApiKeyStore.layer, MySqlAuditLog.layer).pipe(
        Layer.provide(MySql.layer),
        Layer.provide(AppConfig.layerTest({ MYSQL_URL: url, REDIS_URL: "redis://127.0.0.1:1" }))
      )))
  )
}
