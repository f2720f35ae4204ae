import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../../config/AppConfig.ts"
import { EventLog } from "../../ports/EventLog.ts"
import * as SqlEventLog from "../events/SqlEventLog.ts"
import { unavailable } from "../SqlFailure.ts"
import { type EventLogDialect, STEP_COLUMNS } from "../text/EventLogText.ts"
import { integer } from "../text/Literals.ts"
import { mysqlText, timeFromSql, timeToSql } from "./Literals.ts"
import { script } from "./Script.ts"
import * as Transactions from "./Transactions.ts"

/** In UTC whatever the session's time zone, for reads do not set it. */
const NOW = "UTC_TIMESTAMP(6)"

const STEPS = STEP_COLUMNS.map((name, place) =>
  `${name} ${name === "version" || name === "ended" ? "BIGINT" : "INT"} PATH '$[${place}]'`
)

/** The heads are looked up by the rows of the array, never scanned: a transaction locks its own alone. */
const joined = (json: string, others: string): string =>
  `JSON_TABLE(${mysqlText(json)}, '$[*]' COLUMNS (
  n FOR ORDINALITY,
  ${STEPS.join(",\n  ")},
  ${others}
)) AS e STRAIGHT_JOIN campaign_event_heads AS h FORCE INDEX (PRIMARY) ON h.campaign_id = e.campaign_id
LEFT JOIN redemption_log_heads AS d FORCE INDEX (PRIMARY) ON d.campaign_id = h.campaign_id
LEFT JOIN code_log_heads AS k FORCE INDEX (PRIMARY) ON k.campaign_id = h.campaign_id`

/** With `VALUES()`, because MariaDB knows no other way. */
export const eventLogDialect: EventLogDialect = {
  now: () => NOW,
  greater: "GREATEST",
  least: "LEAST",
  time: (time) => `CAST(${timeToSql(time)} AS DATETIME(6))`,
  jsonTime: (time) => new Date(time).toISOString().slice(0, 23).replace("T", " "),
  candidates: (json) =>
    joined(
      json,
      `type VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin PATH '$[7]',
  first_id INT PATH '$[8]',
  last_id INT PATH '$[9]',
  payload VARCHAR(8000) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[10]',
  at DATETIME(6) PATH '$[11]'`
    ),
  steps: (json) => joined(json, "size INT PATH '$[7]'"),
  moveHeads: "ON DUPLICATE KEY UPDATE sequence = VALUES(sequence), last_id = VALUES(last_id), " +
    "version = VALUES(version), ended_version = VALUES(ended_version), moved_at = VALUES(moved_at)",
  moveRedemptions: "ON DUPLICATE KEY UPDATE sequence = VALUES(sequence)",
  moveCodes: "ON DUPLICATE KEY UPDATE code_count = VALUES(code_count), low_count = VALUES(low_count)"
}

/**
 * In one statement, also where heads are made. INSERT IGNORE before it would lock those that are there for reading, and
 * two such locks that are to become exclusive are a deadlock.
 */
export const lockHeads: SqlEventLog.LockHeads = (campaignIds, missing) => {
  const ids = campaignIds.map(integer).join(",")
  return [
    missing.length === 0
      ? "SELECT campaign_id FROM campaign_event_heads FORCE INDEX (PRIMARY) " +
        `WHERE campaign_id IN (${ids}) ORDER BY campaign_id FOR UPDATE`
      : `INSERT INTO campaign_event_heads (campaign_id, moved_at)
SELECT id, ${NOW} FROM campaigns FORCE INDEX (PRIMARY) WHERE id IN (${ids}) ORDER BY id
ON DUPLICATE KEY UPDATE campaign_id = VALUES(campaign_id)`
  ]
}

export const make: Effect.Effect<EventLog["Type"], never, SqlClient | AppConfig> = Effect.gen(function*() {
  const { read, run, settings } = Transactions.make(yield* SqlClient, yield* AppConfig)
  const transaction = (statements: ReadonlyArray<string>) =>
    run(script(...settings, "START TRANSACTION", ...statements, "COMMIT")).pipe(
      Effect.asVoid,
      Effect.catchTag("CommitInDoubt", ({ cause }) => Effect.fail(unavailable(cause)))
    )
  return SqlEventLog.make({
    text: eventLogDialect,
    time: timeFromSql,
    ago: (millis) => `${NOW} - INTERVAL ${integer(millis * 1_000)} MICROSECOND`,
    read,
    passLocks: (campaignIds) =>
      transaction([
        `SELECT id FROM campaigns WHERE id IN (${campaignIds.map(integer).join(",")}) ORDER BY id FOR UPDATE`
      ]),
    commit: (statements) => transaction(statements(lockHeads))
  })
})

/** The event log in MySQL or MariaDB. */
export const layer: Layer.Layer<EventLog, never, SqlClient | AppConfig> = Layer.effect(EventLog, make)
