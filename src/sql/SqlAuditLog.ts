import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import { randomBytes } from "node:crypto"
import { AppConfig } from "../config/AppConfig.ts"
import { Actor } from "../ports/Actor.ts"
import { AdminAudit, type AdminAct } from "../ports/AuditLog.ts"
import { CommitInDoubt } from "../ports/Ledger.ts"
import { actColumns, actorText, actRow, listActs, mysqlAct, stateText } from "./text/AuditLogText.ts"
import { integer, timeFromSql } from "./text/Literals.ts"
import { lockWaitSeconds, runText } from "./mysql/connection/MySql.ts"
import type { Row } from "./Rows.ts"
import { sessionSettings } from "./mysql/connection/SessionState.ts"
import { script } from "./mysql/Script.ts"
import { classifyLibsql, classifyMysql, isDuplicateKey, unavailable } from "./SqlFailure.ts"


/** An append is sent again under the same change id when its outcome is in doubt: a duplicate says that it went through. */
const ATTEMPTS = 3

const makeMySql = Effect.gen(function*() {
  const sql = yield* SqlClient
  const config = yield* AppConfig
  const settings = sessionSettings(lockWaitSeconds(config.mysqlReplyTimeout))
  const rowOf = actRow(timeFromSql)

  const insert = (changeId: string, actor: string, act: AdminAct): Effect.Effect<void, SqlError> => {
    const campaign = act.campaignId === undefined ? "NULL" : integer(act.campaignId)
    const { text } = script(
      ...settings,
      `INSERT INTO admin_audit (${actColumns}) VALUES (${mysqlAct(changeId, actor, act, "SYSDATE(6)", campaign)})`
    )
    return Effect.scoped(Effect.flatMap(sql.reserve, (connection) => runText(connection, text))).pipe(
      Effect.asVoid,
      Effect.catchIf((cause) => isDuplicateKey(cause, "admin_audit_change"), () => Effect.void),
      Effect.uninterruptible
    )
  }

  return AdminAudit.of({
    append: (act) =>
      Effect.flatMap(FiberRef.get(Actor), (actor) => {
        const changeId = randomBytes(16).toString("hex")
        return insert(changeId, actor, act).pipe(
          Effect.retry({ times: ATTEMPTS - 1, while: (cause) => classifyMysql(cause) !== "Refused" }),
          Effect.mapError((cause) => classifyMysql(cause) === "InDoubt" ? new CommitInDoubt({ cause }) : unavailable(cause))
        )
      }),
    list: (query) =>
      Effect.mapBoth(sql.unsafe<Row>(listActs(query)).unprepared, { onFailure: unavailable, onSuccess: (rows) => rows.map(rowOf) })
  })
})

const makeLibSql = Effect.map(SqlClient, (sql) => {
  const rowOf = actRow(Number)
  const run = (text: string, args: ReadonlyArray<string | number | null> = []): Effect.Effect<ReadonlyArray<Row>, SqlError> =>
    sql.unsafe<Row>(text, args)

  return AdminAudit.of({
    append: (act) =>
      Effect.flatMap(FiberRef.get(Actor), (actor) => {
        const changeId = randomBytes(16).toString("hex")
        return Effect.suspend(() =>
          run(`INSERT INTO admin_audit (${actColumns}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (change_id) DO NOTHING`, [
            changeId,
            Date.now(),
            actorText(actor),
            act.action,
            act.campaignId ?? null,
            stateText(act.before),
            stateText(act.after)
          ])
        ).pipe(
          Effect.retry({ times: ATTEMPTS - 1, while: (cause) => classifyLibsql(cause) !== "Refused" }),
          Effect.mapBoth({
            onFailure: (cause) => classifyLibsql(cause) === "InDoubt" ? new CommitInDoubt({ cause }) : unavailable(cause),
            onSuccess: () => undefined
          })
        )
      }),
    list: (query) => Effect.mapBoth(run(listActs(query)), { onFailure: unavailable, onSuccess: (rows) => rows.map(rowOf) })
  })
})

/** The audit of administrative acts in whichever database the client is connected to. */
export const layer: Layer.Layer<AdminAudit, never, SqlClient | AppConfig> = Layer.effect(
  AdminAudit,
  Effect.flatMap(SqlClient, (sql) =>
    sql.onDialectOrElse({
      sqlite: () => makeLibSql,
      mysql: () => makeMySql,
      orElse: () => Effect.dieMessage("the audit knows MySQL and libSQL only")
    }) as typeof makeMySql)
)
