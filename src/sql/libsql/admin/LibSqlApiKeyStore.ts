import type { SqlClient } from "@effect/sql/SqlClient"
import type { InStatement } from "@libsql/client"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ApiKeyStore } from "../../../security/ApiKeyStore.ts"
import * as SqlApiKeyStore from "../../SqlApiKeyStore.ts"
import type { KeyEntry } from "../../SqlApiKeyStore.ts"
import { actColumns, actorText, stateText } from "../../text/AuditLogText.ts"
import { LibSqlDriver } from "../LibSql.ts"
import { libsqlFacts } from "./LibSqlAuditLog.ts"

const make = Effect.flatMap(LibSqlDriver, (driver) => {
  const valid = "id = ? AND revoked_at IS NULL"
  const valuesOf = ({ action, actor, after, before, changeId }: KeyEntry, now: number) =>
    [changeId, now, actorText(actor), action, null, stateText(before), stateText(after)] as const
  const batch = (statements: (now: number) => Array<InStatement>) =>
    Effect.uninterruptible(
      Effect.tryPromise({ try: () => driver.batch(statements(Date.now()), "write"), catch: (cause) => cause })
    )
  return SqlApiKeyStore.make({
    time: Number,
    insert: ({ id, name, requestsPerSecond, role, secretHash }, entry) =>
      batch((now) => [
        {
          sql: "INSERT INTO api_keys (id, name, role, secret_hash, requests_per_second, created_at) " +
            "VALUES (?, ?, ?, ?, ?, ?)",
          args: [id, name, role, secretHash, requestsPerSecond ?? null, now]
        },
        {
          sql: `INSERT INTO admin_audit (${actColumns}) VALUES (?, ?, ?, ?, ?, ?, ?)`,
          args: [...valuesOf(entry, now)]
        },
        libsqlFacts(entry, entry.outcome)
      ]),
    revoke: (id, entry) =>
      batch((now) => [
        {
          sql: `INSERT INTO admin_audit (${actColumns}) SELECT ?, ?, ?, ?, ?, ?, ? FROM api_keys WHERE ${valid}`,
          args: [...valuesOf(entry, now), id]
        },
        libsqlFacts(entry, entry.outcome),
        { sql: `UPDATE api_keys SET revoked_at = ? WHERE ${valid}`, args: [now, id] }
      ])
  })
})

/** The keys in the embedded ledger's file. */
export const layer: Layer.Layer<ApiKeyStore, never, SqlClient | LibSqlDriver> = Layer.effect(ApiKeyStore, make)
