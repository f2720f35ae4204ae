import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../../../config/AppConfig.ts"
import type { ChangeRecord } from "../../../domain/ChangeRecord.ts"
import { AuditLog, type AuditEntry, type Outcome } from "../../../ports/AuditLog.ts"
import * as SqlAuditLog from "../../SqlAuditLog.ts"
import { actColumns, actorText, factColumns, factValues, stateText } from "../../text/AuditLogText.ts"
import { integer } from "../../text/Literals.ts"
import { batchKey, mysqlText, timeFromSql, timeToSql } from "../Literals.ts"
import { classifyMysql, isDuplicateKey } from "../MySqlFailure.ts"
import { script } from "../Script.ts"
import * as Transactions from "../Transactions.ts"

/** An act's values as literals; `at` and `campaignId` are expressions. */
export const mysqlAct = (
  { action, actor, after, before, changeId }: Omit<AuditEntry, "campaignId" | "outcome">,
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
    mysqlText(actorText(actor)),
    mysqlText(action),
    campaignId,
    state(before),
    state(after)
  ].join(", ")
}

const textOrNull = (value: string | null) => value === null ? "NULL" : mysqlText(value)

/** Adds the facts of an act that its transaction has recorded before this; does nothing without one. */
export const mysqlFacts = ({ actor, changeId }: ChangeRecord, outcome: Outcome): string =>
  `INSERT INTO admin_audit_facts (${factColumns})
SELECT change_id, ${factValues(actor, outcome).map(textOrNull).join(", ")}
FROM admin_audit WHERE change_id = ${batchKey(changeId)}`

const make = Effect.gen(function*() {
  const sql = yield* SqlClient
  const { read, send, settings } = Transactions.make(sql, yield* AppConfig)

  return SqlAuditLog.make({
    time: timeFromSql,
    text: mysqlText,
    at: timeToSql,
    insert: (entry) => {
      const campaign = entry.campaignId === undefined ? "NULL" : integer(entry.campaignId)
      return send(script(
        ...settings,
        "START TRANSACTION",
        `INSERT INTO admin_audit (${actColumns}) VALUES (${mysqlAct(entry, "SYSDATE(6)", campaign)})`,
        mysqlFacts(entry, entry.outcome),
        "COMMIT"
      )).pipe(
        Effect.mapError(({ cause }) => cause),
        Effect.flatMap((sent) => sent._tag === "Left" ? Effect.fail(sent.left.cause) : Effect.void),
        Effect.catchIf((cause) => isDuplicateKey(cause, "admin_audit_change"), () => Effect.void),
        Effect.uninterruptible
      )
    },
    read,
    classify: classifyMysql
  })
})

/** The audit log in MySQL or MariaDB. */
export const layer: Layer.Layer<AuditLog, never, SqlClient | AppConfig> = Layer.effect(AuditLog, make)
