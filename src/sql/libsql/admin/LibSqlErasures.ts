import type { InStatement } from "@libsql/client"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Erasure, Erasures } from "../../../ports/operation/Erasures.ts"
import type { Row } from "../../Rows.ts"
import { unavailable } from "../../SqlFailure.ts"
import * as SqlErasures from "../../SqlErasures.ts"
import { actColumns, actorText, stateText } from "../../text/AuditLogText.ts"
import { erasureAct, eraseText, isErasure, noteText, unrelayedRows, verdictText } from "../../text/ErasureText.ts"
import { integer } from "../../text/Literals.ts"
import { untilKnown } from "../../UntilKnown.ts"
import { LibSqlDriver } from "../LibSql.ts"
import { makeStatements, runBatch } from "../Statements.ts"
import { libsqlFacts } from "./LibSqlAuditLog.ts"

/** Each statement does nothing by itself if it does not apply. */
const statements = (erasure: Erasure, at: number): Array<InStatement> => {
  const { actor, changeId, settledMillis } = erasure
  const { action, after, before, campaignId } = erasureAct(erasure)
  const key = `'${changeId}'`
  const issuedBefore = integer(at - settledMillis)
  const relayed = `NOT EXISTS (SELECT 1 ${unrelayedRows(erasure)})`
  return [
    noteText(erasure, { issuedBefore, key, now: integer(at), relayed }),
    eraseText(erasure, key),
    {
      sql: `INSERT INTO admin_audit (${actColumns}) SELECT ?, ?, ?, ?, ?, ?, ? FROM erased_coupons AS e
WHERE ${isErasure(erasure, key)} AND NOT EXISTS (SELECT 1 FROM admin_audit WHERE change_id = ${key})`,
      args: [changeId, at, actorText(actor), action, campaignId!, stateText(before), stateText(after)]
    },
    libsqlFacts(erasure, "DONE"),
    verdictText(erasure, key)
  ]
}

export const make: Effect.Effect<Erasures["Type"], never, LibSqlDriver> = Effect.map(LibSqlDriver, (driver) => {
  const { read } = makeStatements(driver)
  return SqlErasures.make({
    read,
    write: (text) => Effect.tryPromise({ try: () => driver.execute(text), catch: unavailable }),
    deletion: (keys) =>
      "DELETE FROM erased_coupons WHERE (campaign_id, coupon_id) IN " +
      `(SELECT value ->> 0, value ->> 1 FROM json_each('${keys}'))`,
    earlier: (millis) => integer(driver.now() - millis),
    erase: (erasure) =>
      untilKnown(
        runBatch(driver, (now) => statements(erasure, now), (results) => results.at(-1)!.rows[0] as Row),
        { attempts: 4 }
      )
  })
})

/** Erasures in the embedded ledger's file. */
export const layer: Layer.Layer<Erasures, never, LibSqlDriver> = Layer.effect(Erasures, make)
