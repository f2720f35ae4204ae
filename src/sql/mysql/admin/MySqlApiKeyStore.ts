import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../../../config/AppConfig.ts"
import { ApiKeyStore } from "../../../security/ApiKeyStore.ts"
import * as SqlApiKeyStore from "../../SqlApiKeyStore.ts"
import type { KeyEntry } from "../../SqlApiKeyStore.ts"
import { actColumns } from "../../text/AuditLogText.ts"
import { integer } from "../../text/Literals.ts"
import { mysqlText, timeFromSql } from "../Literals.ts"
import { script } from "../Script.ts"
import * as Transactions from "../Transactions.ts"
import { mysqlAct, mysqlFacts } from "./MySqlAuditLog.ts"

const make = Effect.gen(function*() {
  const sql = yield* SqlClient
  const config = yield* AppConfig
  const { send, settings } = Transactions.make(sql, config)
  const transaction = (...statements: ReadonlyArray<string>) =>
    Effect.flatMap(
      send(script(...settings, "START TRANSACTION", ...statements, "COMMIT")),
      (sent) => sent._tag === "Left" ? Effect.fail(sent.left.cause) : Effect.void
    )
  const actOf = (entry: KeyEntry) => mysqlAct(entry, "UTC_TIMESTAMP(6)", "NULL")
  return yield* SqlApiKeyStore.make({
    time: timeFromSql,
    insert: ({ id, name, requestsPerSecond, role, secretHash }, entry) => {
      const rate = requestsPerSecond === undefined ? "NULL" : integer(requestsPerSecond)
      return transaction(
        `INSERT INTO api_keys (id, name, role, secret_hash, requests_per_second, created_at)
VALUES (${[id, name, role, secretHash].map(mysqlText).join(", ")}, ${rate}, UTC_TIMESTAMP(6))`,
        `INSERT INTO admin_audit (${actColumns}) VALUES (${actOf(entry)})`,
        mysqlFacts(entry, entry.outcome)
      )
    },
    revoke: (id, entry) => {
      const valid = `id = ${mysqlText(id)} AND revoked_at IS NULL`
      return transaction(
        `SELECT id FROM api_keys WHERE ${valid} FOR UPDATE`,
        `INSERT INTO admin_audit (${actColumns}) SELECT ${actOf(entry)} FROM api_keys WHERE ${valid}`,
        mysqlFacts(entry, entry.outcome),
        `UPDATE api_keys SET revoked_at = UTC_TIMESTAMP(6) WHERE ${valid}`
      )
    }
  })
})

/** The keys in MySQL or MariaDB. */
export const layer: Layer.Layer<ApiKeyStore, never, SqlClient | AppConfig> = Layer.effect(ApiKeyStore, make)
