import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../../../config/AppConfig.ts"
import { ApiKeyStore } from "../../../security/ApiKeyStore.ts"
import * as SqlApiKeyStore from "../../SqlApiKeyStore.ts"
import { batchKey, mysqlText, timeFromSql, timeToSql } from "../Literals.ts"
import { script } from "../Script.ts"
import * as Transactions from "../Transactions.ts"
import { mysqlAct, mysqlFacts } from "./MySqlAuditLog.ts"

const make = Effect.gen(function*() {
  const { read, run, settings } = Transactions.make(yield* SqlClient, yield* AppConfig)
  return SqlApiKeyStore.make<string>({
    time: timeFromSql,
    text: mysqlText,
    at: timeToSql,
    now: () => "UTC_TIMESTAMP(6)",
    today: () => "UTC_DATE()",
    changeId: batchKey,
    act: (entry, now) => mysqlAct(entry, now, "NULL"),
    facts: (entry) => mysqlFacts(entry, entry.outcome),
    onSameKey: "ON DUPLICATE KEY UPDATE",
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
  })
})

/** The keys in MySQL or MariaDB. */
export const layer: Layer.Layer<ApiKeyStore, never, SqlClient | AppConfig> = Layer.effect(ApiKeyStore, make)
