import type { SqlClient } from "@effect/sql/SqlClient"
import type { InStatement } from "@libsql/client"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { ChangeRecord } from "../../../domain/ChangeRecord.ts"
import { AuditLog, type Outcome } from "../../../ports/AuditLog.ts"
import type { Row } from "../../Rows.ts"
import * as SqlAuditLog from "../../SqlAuditLog.ts"
import { actColumns, actorText, factColumns, factValues, stateText } from "../../text/AuditLogText.ts"
import { integer } from "../../text/Literals.ts"
import { LibSqlDriver } from "../LibSql.ts"
import { classifyLibsql } from "../LibSqlFailure.ts"
import { libsqlText } from "../Statements.ts"

/** Adds the facts of an act that its transaction has recorded before this; does nothing without one. */
export const libsqlFacts = ({ actor, changeId }: ChangeRecord, outcome: Outcome): InStatement => {
  const values = factValues(actor, outcome)
  return {
    sql: `INSERT OR IGNORE INTO admin_audit_facts (${factColumns})
SELECT change_id, ${values.map(() => "?").join(", ")} FROM admin_audit WHERE change_id = ?`,
    args: [...values, changeId]
  }
}

const make = Effect.map(LibSqlDriver, (driver) =>
  SqlAuditLog.make({
    time: Number,
    text: libsqlText,
    at: integer,
    insert: (entry) => {
      const { action, actor, after, before, campaignId, changeId } = entry
      const state = [stateText(before), stateText(after)]
      const insert = {
        sql: `INSERT INTO admin_audit (${actColumns}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (change_id) DO NOTHING`,
        args: [changeId, driver.now(), actorText(actor), action, campaignId ?? null, ...state]
      }
      return Effect.uninterruptible(Effect.tryPromise({
        try: () => driver.batch([insert, libsqlFacts(entry, entry.outcome)], "write"),
        catch: (cause) => cause
      }))
    },
    read: (text) =>
      Effect.tryPromise({
        try: async () => (await driver.execute(text)).rows as ReadonlyArray<Row>,
        catch: (cause) => cause
      }),
    classify: classifyLibsql
  }))

/** The audit log in the embedded ledger's file. */
export const layer: Layer.Layer<AuditLog, never, SqlClient | LibSqlDriver> = Layer.effect(AuditLog, make)
