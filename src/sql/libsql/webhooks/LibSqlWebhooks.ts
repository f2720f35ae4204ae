import { SqlClient } from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CommitInDoubt } from "../../../ports/Ledger.ts"
import { WebhookCursors } from "../../../ports/webhooks/WebhookCursors.ts"
import { WebhookEndpoints } from "../../../ports/webhooks/WebhookEndpoints.ts"
import { WebhookRecords } from "../../../ports/webhooks/WebhookRecords.ts"
import type { Row } from "../../Rows.ts"
import { unavailable } from "../../SqlFailure.ts"
import { actColumns, actorText, factColumns, factValues, stateText } from "../../text/AuditLogText.ts"
import { integer } from "../../text/Literals.ts"
import * as SqlWebhookCursors from "../../webhooks/SqlWebhookCursors.ts"
import * as SqlWebhookEndpoints from "../../webhooks/SqlWebhookEndpoints.ts"
import * as SqlWebhookRecords from "../../webhooks/SqlWebhookRecords.ts"
import type { WebhookDialect } from "../../webhooks/WebhookDialect.ts"
import { LibSqlDriver } from "../LibSql.ts"
import { classifyLibsql } from "../LibSqlFailure.ts"

/** Any text as a literal. SQLite ends a text at its first NUL, which these texts do not have. */
const literal = (text: string): string => `'${text.replaceAll("\0", "\ufffd").replaceAll("'", "''")}'`
const literalOrNull = (text: string | null): string => text === null ? "NULL" : literal(text)

const makeDialect = Effect.gen(function*() {
  const sql = yield* SqlClient
  const driver = yield* LibSqlDriver
  const dialect: WebhookDialect = {
    now: () => integer(driver.now()),
    eventTime: integer,
    text: literal,
    insertIgnore: "INSERT OR IGNORE",
    forUpdate: "",
    inOrder: "",
    read: (text) => Effect.mapError(sql.unsafe<Row>(text), unavailable),
    transact: (statements, last) =>
      Effect.tryPromise({
        try: async () =>
          (await driver.batch([...statements, last], "write")).at(-1)!.rows as unknown as ReadonlyArray<Row>,
        catch: (cause) => classifyLibsql(cause) === "InDoubt" ? new CommitInDoubt({ cause }) : unavailable(cause)
      }).pipe(Effect.uninterruptible),
    act: ({ action, actor, after, before, campaignId, changeId, outcome }, condition) => {
      const campaign = campaignId === undefined ? "NULL" : integer(campaignId)
      const states = [stateText(before), stateText(after)].map(literalOrNull)
      const values = [literal(changeId), integer(driver.now()), literal(actorText(actor)), literal(action), campaign]
      return [
        `INSERT INTO admin_audit (${actColumns}) SELECT ${[...values, ...states].join(", ")} ${condition}`,
        `INSERT OR IGNORE INTO admin_audit_facts (${factColumns})
SELECT change_id, ${factValues(actor, outcome).map(literalOrNull).join(", ")} FROM admin_audit
WHERE change_id = ${literal(changeId)}`
      ]
    },
    actRecorded: (changeId) => `SELECT 1 FROM admin_audit WHERE change_id = ${literal(changeId)}`
  }
  return dialect
})

/** Webhooks in the embedded ledger's file. */
export const layer: Layer.Layer<
  WebhookEndpoints | WebhookCursors | WebhookRecords,
  never,
  SqlClient | LibSqlDriver
> = Layer.effectContext(Effect.map(makeDialect, (dialect) =>
  Context.make(WebhookEndpoints, SqlWebhookEndpoints.make(dialect)).pipe(
    Context.add(WebhookCursors, SqlWebhookCursors.make(dialect)),
    Context.add(WebhookRecords, SqlWebhookRecords.make(dialect))
  )))
