import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../../../config/AppConfig.ts"
import { type Erasure, Erasures } from "../../../ports/operation/Erasures.ts"
import { unavailable } from "../../SqlFailure.ts"
import * as SqlErasures from "../../SqlErasures.ts"
import { actColumns } from "../../text/AuditLogText.ts"
import {
  erasureAct, eraseText, heldRows, isErasure, noteText, unrelayedRows, verdictText
} from "../../text/ErasureText.ts"
import { integer } from "../../text/Literals.ts"
import { batchKey } from "../Literals.ts"
import { named, script, type Script } from "../Script.ts"
import * as Transactions from "../Transactions.ts"
import { mysqlAct, mysqlFacts } from "./MySqlAuditLog.ts"

/**
 * An erasure for one round trip. It locks the coupon's row, and nothing that a claim has locked when it waits for that
 * row. Whether the relay has settled the coupon is read after the lock, without a lock of the outbox: a coupon never
 * returns to it. The audit log's row violates NOT NULL unless the user was replaced.
 */
const erasureScript = (settings: ReadonlyArray<string>, erasure: Erasure): Script<"verdict"> => {
  const { changeId, settledMillis } = erasure
  const key = batchKey(changeId)
  const act = { ...erasure, ...erasureAct(erasure) }
  return script(
    ...settings,
    "START TRANSACTION",
    `SELECT p.id ${heldRows(erasure)} FOR UPDATE`,
    "SET @now = SYSDATE(6)",
    `SELECT COUNT(*) INTO @unrelayed ${unrelayedRows(erasure)}`,
    noteText(erasure, {
      issuedBefore: `CAST(@now AS DATETIME(6)) - INTERVAL ${integer(settledMillis)} * 1000 MICROSECOND`,
      key,
      now: "@now",
      relayed: "@unrelayed = 0"
    }),
    eraseText(erasure, key),
    `INSERT INTO admin_audit (${actColumns})
SELECT ${mysqlAct(act, "IF(p.user_id = -p.id, @now, NULL)", "p.campaign_id")}
FROM erased_coupons AS e JOIN coupons AS p ON p.campaign_id = e.campaign_id AND p.id = e.coupon_id
WHERE ${isErasure(erasure, key)} AND NOT EXISTS (SELECT 1 FROM admin_audit AS a WHERE a.change_id = ${key})`,
    mysqlFacts(erasure, "DONE").concat(
      ` AND NOT EXISTS (SELECT 1 FROM admin_audit_facts AS f WHERE f.change_id = ${key})`
    ),
    named("verdict", verdictText(erasure, key)),
    "COMMIT"
  )
}

export const make: Effect.Effect<Erasures["Type"], never, SqlClient | AppConfig> = Effect.gen(function*() {
  const { patienceMillis, read, run, settings } = Transactions.make(yield* SqlClient, yield* AppConfig)
  return SqlErasures.make({
    read,
    write: (text) =>
      Effect.catchTag(run(script(...settings, text)), "CommitInDoubt", ({ cause }) => Effect.fail(unavailable(cause))),
    // Looked up by the rows of the array, read without a lock before: a condition would lock what it reads as well.
    deletion: (keys) =>
      `DELETE e FROM JSON_TABLE('${keys}', '$[*]' COLUMNS (
  campaign_id INT PATH '$[0]',
  coupon_id INT PATH '$[1]'
)) AS k STRAIGHT_JOIN erased_coupons AS e FORCE INDEX (PRIMARY)
ON e.campaign_id = k.campaign_id AND e.coupon_id = k.coupon_id`,
    earlier: (millis) => `UTC_TIMESTAMP(6) - INTERVAL ${integer(millis)} * 1000 MICROSECOND`,
    erase: (erasure) =>
      Effect.map(
        run(erasureScript(settings, erasure), { attempts: 6, patienceMillis }),
        ({ rows }) => rows("verdict")[0]!
      )
  })
})

/** Erasures in MySQL or MariaDB. */
export const layer: Layer.Layer<Erasures, never, SqlClient | AppConfig> = Layer.effect(Erasures, make)
