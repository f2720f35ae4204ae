import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AuditLog } from "../../../ports/AuditLog.ts"
import type { Row } from "../../Rows.ts"
import * as SqlAuditLog from "../../SqlAuditLog.ts"
import { actColumns, actorText, stateText } from "../../text/AuditLogText.ts"
import { classifyLibsql } from "../LibSqlFailure.ts"

const make = Effect.map(SqlClient, (sql) =>
  SqlAuditLog.make({
    time: Number,
    insert: ({ action, actor, after, before, campaignId, changeId }) =>
      sql.unsafe(
        `INSERT INTO admin_audit (${actColumns}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (change_id) DO NOTHING`,
        [
          changeId,
          Date.now(),
          actorText(actor.name),
          action,
          campaignId ?? null,
          stateText(before),
          stateText(after)
        ]
      ),
    read: (text) => sql.unsafe<Row>(text),
    classify: classifyLibsql
  }))

/** The audit log in the embedded ledger's file. */
export const layer: Layer.Layer<AuditLog, never, SqlClient> = Layer.effect(AuditLog, make)
