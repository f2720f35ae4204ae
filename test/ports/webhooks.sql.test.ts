import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterAll } from "vitest"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { AuditLog } from "../../src/ports/AuditLog.ts"
import * as EventLogText from "../../src/sql/text/EventLogText.ts"
import * as LibSqlAuditLog from "../../src/sql/libsql/admin/LibSqlAuditLog.ts"
import * as LibSql from "../../src/sql/libsql/LibSql.ts"
import * as LibSqlWebhooks from "../../src/sql/libsql/webhooks/LibSqlWebhooks.ts"
import * as MySqlAuditLog from "../../src/sql/mysql/admin/MySqlAuditLog.ts"
import * as MySql from "../../src/sql/mysql/connection/MySql.ts"
import * as MySqlWebhooks from "../../src/sql/mysql/webhooks/MySqlWebhooks.ts"
import { availableDatabases, databaseOn, type DatabaseKind } from "../support/servers.ts"
import * as WebhooksExercise from "./webhooks.exercise.ts"

const root = mkdtempSync(Path.join(tmpdir(), "coupon-webhooks-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const runAll = (texts: ReadonlyArray<string>) =>
  Effect.orDie(Effect.flatMap(SqlClient, (sql) =>
    Effect.forEach(texts, (text) => sql.unsafe(text), { discard: true })))

/** `at` of an event, in the dialect. */
const logs = (at: (millis: number) => string): WebhooksExercise.Logs<SqlClient> => ({
  append: (campaignId, times) =>
    runAll([
      ...times.map((millis, index) =>
        `INSERT INTO campaign_events (campaign_id, sequence, type, at) VALUES (${campaignId}, ${
          index + 1
        }, 'campaign.updated', ${at(millis)})`),
      `INSERT INTO campaign_event_heads (campaign_id, sequence, moved_at) VALUES (${campaignId}, ${times.length}, ${
        at(times.at(-1)!)
      })`
    ]),
  forget: (campaignId, upTo) => runAll(EventLogText.removeText(campaignId, upTo))
})

const acts = Effect.orDie(Effect.map(
  Effect.flatMap(AuditLog, (audit) => audit.list({ beforeId: undefined, limit: 1_000, campaignId: undefined })),
  (records) => records.map(({ action }) => action).reverse()
))

WebhooksExercise.exercise(
  "Webhooks on libSQL",
  Layer.merge(LibSqlWebhooks.layer, LibSqlAuditLog.layer).pipe(
    Layer.provideMerge(LibSql.layer),
    Layer.provide(AppConfig.layerTest({ DATA_DIR: root }))
  ),
  logs(String),
  acts
)

const database = (kind: DatabaseKind) =>
  Effect.acquireRelease(Effect.promise(() => databaseOn(kind)), (db) => Effect.promise(db.drop))

for (const kind of availableDatabases()) {
  WebhooksExercise.exercise(
    `Webhooks on ${kind}`,
    Layer.unwrapScoped(Effect.map(database(kind), ({ url }) =>
      Layer.merge(MySqlWebhooks.layer, MySqlAuditLog.layer).pipe(
        Layer.provideMerge(MySql.layer),
        Layer.provide(AppConfig.layerTest({ MYSQL_URL: url, REDIS_URL: "redis://127.0.0.1:1" }))
      ))),
    logs((millis) => `'${new Date(millis).toISOString().slice(0, 23).replace("T", " ")}'`),
    acts
  )
}
