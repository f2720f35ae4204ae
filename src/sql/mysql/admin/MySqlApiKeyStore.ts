import { SqlClient } from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../../../config/AppConfig.ts"
import { ApiKeyStore } from "../../../security/ApiKeyStore.ts"
import { SessionStore } from "../../../security/sessions/SessionStore.ts"
import type { KeyDialect } from "../../keys/RecordedWrites.ts"
import * as SqlApiKeyStore from "../../keys/SqlApiKeyStore.ts"
import * as SqlSessionStore from "../../keys/SqlSessionStore.ts"
import { integer } from "../../text/Literals.ts"
import { batchKey, mysqlText, timeFromSql, timeToSql } from "../Literals.ts"
import { script } from "../Script.ts"
import * as Transactions from "../Transactions.ts"
import { mysqlAct, mysqlFacts } from "./MySqlAuditLog.ts"

const dialect = Effect.gen(function*() {
  const { read, run, settings } = Transactions.make(yield* SqlClient, yield* AppConfig)
  return {
    time: timeFromSql,
    text: mysqlText,
    at: timeToSql,
    now: () => "UTC_TIMESTAMP(6)",
    today: () => "UTC_DATE()",
    after: (time, millis) => `${time} + INTERVAL ${integer(millis * 1_000)} MICROSECOND`,
    changeId: batchKey,
    act: (entry, now) => mysqlAct(entry, now, "NULL"),
    facts: (entry) => mysqlFacts(entry, entry.outcome),
    insertIfAbsent: "INSERT IGNORE INTO",
    later: "GREATEST",
    read,
    commit: (statements) =>
      Effect.uninterruptible(run(script(
        ...settings,
        "START TRANSACTION",
        // One write of keys at a time, in all instances: no name may be taken twice.
        "SELECT id FROM deployment WHERE id = 1 FOR UPDATE",
        ...statements,
        "COMMIT"
      )))
  } satisfies KeyDialect<string>
})

/** The keys and their sessions in MySQL or MariaDB. */
export const layer: Layer.Layer<ApiKeyStore | SessionStore, never, SqlClient | AppConfig> = Layer.effectContext(
  Effect.map(dialect, (keys) =>
    Context.make(ApiKeyStore, SqlApiKeyStore.make(keys)).pipe(
      Context.add(SessionStore, SqlSessionStore.make(keys))
    ))
)
