import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../../../config/AppConfig.ts"
import { AuditLog, type AuditEntry } from "../../../ports/AuditLog.ts"
import type { Row } from "../../Rows.ts"
import * as SqlAuditLog from "../../SqlAuditLog.ts"
import { actColumns, actorText, stateText } from "../../text/AuditLogText.ts"
import { integer } from "../../text/Literals.ts"
import { lockWaitSeconds, runText } from "../connection/MySql.ts"
import { sessionSettings } from "../connection/SessionState.ts"
import { batchKey, mysqlText, timeFromSql } from "../Literals.ts"
import { classifyMysql, isDuplicateKey } from "../MySqlFailure.ts"
import { script } from "../Script.ts"

/** An act's values as literals; `at` and `campaignId` are expressions. */
export const mysqlAct = (
  { action, actor, after, before, changeId }: Omit<AuditEntry, "campaignId">,
  at: string,
  campaignId: string
): string => {
  const state = (value: unknown) => {
    const text = stateText(value)
    return text === null ? "NULL" : mysqlText(text)
  }
  return [
    batchKey(changeId),
    at,
    mysqlText(actorText(actor.name)),
    mysqlText(action),
    campaignId,
    state(before),
    state(after)
  ].join(", ")
}

const make = Effect.gen(function*() {
  const sql = yield* SqlClient
  const config = yield* AppConfig
  const settings = sessionSettings(lockWaitSeconds(config.mysqlReplyTimeout))

  return SqlAuditLog.make({
    time: timeFromSql,
    insert: (entry) => {
      const campaign = entry.campaignId === undefined ? "NULL" : integer(entry.campaignId)
      const { text } = script(
        ...settings,
        `INSERT INTO admin_audit (${actColumns}) VALUES (${mysqlAct(entry, "SYSDATE(6)", campaign)})`
      )
      return Effect.scoped(Effect.flatMap(sql.reserve, (connection) => runText(connection, text))).pipe(
        Effect.asVoid,
        Effect.catchIf((cause) => isDuplicateKey(cause, "admin_audit_change"), () => Effect.void),
        Effect.uninterruptible
      )
    },
    read: (text) => sql.unsafe<Row>(text).unprepared,
    classify: classifyMysql
  })
})

/** The audit log in MySQL or MariaDB. */
export const layer: Layer.Layer<AuditLog, never, SqlClient | AppConfig> = Layer.effect(AuditLog, make)
