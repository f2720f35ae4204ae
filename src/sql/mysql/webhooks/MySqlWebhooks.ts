import { SqlClient } from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../../../config/AppConfig.ts"
import { WebhookCursors } from "../../../ports/webhooks/WebhookCursors.ts"
import { WebhookEndpoints } from "../../../ports/webhooks/WebhookEndpoints.ts"
import { WebhookRecords } from "../../../ports/webhooks/WebhookRecords.ts"
import { actColumns } from "../../text/AuditLogText.ts"
import { integer } from "../../text/Literals.ts"
import * as SqlWebhookCursors from "../../webhooks/SqlWebhookCursors.ts"
import * as SqlWebhookEndpoints from "../../webhooks/SqlWebhookEndpoints.ts"
import * as SqlWebhookRecords from "../../webhooks/SqlWebhookRecords.ts"
import type { WebhookDialect } from "../../webhooks/WebhookDialect.ts"
import { mysqlAct, mysqlFacts } from "../admin/MySqlAuditLog.ts"
import { batchKey, mysqlText, timeToSql } from "../Literals.ts"
import { named, script } from "../Script.ts"
import * as Transactions from "../Transactions.ts"

const makeDialect = Effect.gen(function*() {
  const { read, run, settings } = Transactions.make(yield* SqlClient, yield* AppConfig)
  const dialect: WebhookDialect = {
    now: () => "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', SYSDATE(6)) DIV 1000)",
    eventTime: (time) => `CAST(${timeToSql(time)} AS DATETIME(6))`,
    text: mysqlText,
    insertIgnore: "INSERT IGNORE",
    forUpdate: " FOR UPDATE",
    inOrder: " FORCE INDEX (PRIMARY)",
    read,
    transact: (statements, last) =>
      run(script(...settings, "START TRANSACTION", ...statements, named("last", last), "COMMIT")).pipe(
        Effect.map(({ rows }) => rows("last")),
        Effect.uninterruptible
      ),
    act: (entry, condition) => {
      const campaign = entry.campaignId === undefined ? "NULL" : integer(entry.campaignId)
      return [
        `INSERT INTO admin_audit (${actColumns}) SELECT ${mysqlAct(entry, "SYSDATE(6)", campaign)} ${condition}`,
        mysqlFacts(entry, entry.outcome)
      ]
    },
    actRecorded: (changeId) => `SELECT 1 FROM admin_audit WHERE change_id = ${batchKey(changeId)}`
  }
  return dialect
})

/** Webhooks in MySQL or MariaDB. */
export const layer: Layer.Layer<
  WebhookEndpoints | WebhookCursors | WebhookRecords,
  never,
  SqlClient | AppConfig
> = Layer.effectContext(Effect.map(makeDialect, (dialect) =>
  Context.make(WebhookEndpoints, SqlWebhookEndpoints.make(dialect)).pipe(
    Context.add(WebhookCursors, SqlWebhookCursors.make(dialect)),
    Context.add(WebhookRecords, SqlWebhookRecords.make(dialect))
  )))
