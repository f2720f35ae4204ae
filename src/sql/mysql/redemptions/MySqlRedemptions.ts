import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../../../config/AppConfig.ts"
import { type RedemptionBatch, Redemptions, type Revocation, revocationBatch } from "../../../ports/Redemptions.ts"
import {
  advanceHead, answersAdded, answersText, commitText, type RedemptionDialect
} from "../../redemptions/RedemptionText.ts"
import { mayBeDone, returnText, revocationAct } from "../../redemptions/RevocationText.ts"
import * as SqlRedemptions from "../../redemptions/SqlRedemptions.ts"
import { couponColumns } from "../../Rows.ts"
import { actColumns } from "../../text/AuditLogText.ts"
import { integer } from "../../text/Literals.ts"
import { redemptionMarker } from "../../text/OutboxMarkers.ts"
import { mysqlAct, mysqlFacts } from "../admin/MySqlAuditLog.ts"
import { batchKey, mysqlText, timeFromSql } from "../Literals.ts"
import { phaseDialect } from "../MySqlCampaignPhases.ts"
import { named, script, type Script } from "../Script.ts"
import * as Transactions from "../Transactions.ts"

/** The time after the lock. A user variable is a text, which would be compared as one. */
const NOW = "CAST(@now AS DATETIME(6))"

/**
 * Each join in the order of its text and by the index that fits it, whatever the statistics say: what this transaction
 * has added is a handful of rows at the end of an index.
 */
const ADDED = "redemption_heads AS h STRAIGHT_JOIN redemptions AS r FORCE INDEX (redemptions_sequence) " +
  "ON r.campaign_id = h.campaign_id AND r.sequence > h.sequence"

export const redemptionDialect: RedemptionDialect = {
  jsonTime: (time) => new Date(time).toISOString().slice(0, 23).replace("T", " "),
  items: (json) =>
    `(SELECT j.n, j.action, j.coupon_id, UNHEX(j.request) AS request_id, j.terminal_id, j.order_ref, j.reason,
    j.occurred_at, j.expires_at, j.slot_returned
  FROM JSON_TABLE(${mysqlText(json)}, '$[*]' COLUMNS (
    n FOR ORDINALITY,
    action VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin PATH '$[0]',
    coupon_id INT PATH '$[1]',
    request VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin PATH '$[2]',
    terminal_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[3]',
    order_ref VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[4]',
    reason VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[5]',
    occurred_at DATETIME(6) PATH '$[6]',
    expires_at DATETIME(6) PATH '$[7]',
    slot_returned TINYINT PATH '$[8]'
  )) AS j
) AS v`,
  added: ADDED,
  deleteUndone: (campaignId) =>
    `DELETE s FROM ${ADDED}
STRAIGHT_JOIN coupon_states AS s FORCE INDEX (PRIMARY) ON s.campaign_id = r.campaign_id AND s.coupon_id = r.coupon_id
WHERE h.campaign_id = ${campaignId} AND r.action = 'UNDO'`,
  earlier: (time, millis) => `${time} - INTERVAL ${millis} * 1000 MICROSECOND`
}

/** Makes the head if there is none, and takes its lock. The clock is read after that. */
export const lockRedemptions = (campaignId: string): ReadonlyArray<string> => [
  `INSERT INTO redemption_heads (campaign_id, sequence) VALUES (${campaignId}, 0)
ON DUPLICATE KEY UPDATE campaign_id = VALUES(campaign_id)`,
  "SET @now = SYSDATE(6)"
]

/** The whole commit for one round trip; the marker is last, as that of a group commit is. */
const commitScript = (settings: ReadonlyArray<string>, batch: RedemptionBatch): Script<"answers"> => {
  const id = integer(batch.campaignId)
  return script(
    ...settings,
    "START TRANSACTION",
    ...lockRedemptions(id),
    ...commitText(batch, NOW, redemptionDialect),
    redemptionMarker(batchKey(batch.batchId), NOW, id),
    named("answers", answersText(batch)),
    "COMMIT"
  )
}

/**
 * A revocation for one round trip. Locks in the order of everything that has both: the campaign's row, then the head of
 * its redemptions. Both facts that later statements depend on are counted from tables under these locks, and the audit
 * log's row violates NOT NULL unless the slot was returned with the coupon (see `alteration` of the campaigns).
 */
const revocationScript = (settings: ReadonlyArray<string>, revocation: Revocation): Script<"answers"> => {
  const { campaignId, changeId, raise } = revocation
  const batch = revocationBatch(revocation)
  const id = integer(campaignId)
  const key = batchKey(changeId)
  const added = `FROM ${ADDED}`
  const before = raise === undefined ? [] : [`SELECT version FROM campaigns WHERE id = ${id} FOR UPDATE`]
  const applies = raise === undefined ? [] : [
    `SELECT COUNT(*) INTO @applies FROM campaigns WHERE id = ${id} AND version = ${integer(raise.from.version)}`
  ]
  const returned = raise === undefined ? [] : [
    `SELECT COUNT(*) INTO @done ${added} WHERE h.campaign_id = ${id}`,
    ...returnText(raise, { done: "@done = 1", key, now: NOW, phases: phaseDialect })
  ]
  const at = raise === undefined ? "@now" : `IF(c.version = ${integer(raise.from.version)} + 1, @now, NULL)`
  return script(
    ...settings,
    "START TRANSACTION",
    ...before,
    ...lockRedemptions(id),
    ...applies,
    ...answersAdded(batch, NOW, redemptionDialect, mayBeDone(revocation, "@applies = 1")),
    ...returned,
    `INSERT INTO admin_audit (${actColumns})
SELECT ${mysqlAct({ ...revocation, ...revocationAct(revocation) }, at, "c.id")}
${added} JOIN campaigns AS c ON c.id = r.campaign_id WHERE h.campaign_id = ${id}`,
    mysqlFacts(revocation, "DONE"),
    advanceHead(id),
    `${redemptionMarker(key, NOW, id)}${raise === undefined ? "" : " AND @done = 0"}`,
    named("answers", answersText(batch)),
    "COMMIT"
  )
}

const MAX_ATTEMPTS = 6

export const make: Effect.Effect<Redemptions["Type"], never, SqlClient | AppConfig> = Effect.gen(function*() {
  const { forbidAndRead, patienceMillis, read, run, settings } = Transactions.make(yield* SqlClient, yield* AppConfig)
  return SqlRedemptions.make({
    time: timeFromSql,
    // In UTC whatever the session's time zone, for reads do not set it.
    now: () => "UTC_TIMESTAMP(6)",
    keys: (json) =>
      `JSON_TABLE('${json}', '$[*]' COLUMNS (campaign_id INT PATH '$[0]', coupon_id INT PATH '$[1]')) AS k`,
    read,
    forbidAndRead,
    commit: (batch) =>
      Effect.map(
        run(commitScript(settings, batch), { attempts: MAX_ATTEMPTS, patienceMillis }),
        ({ rows }) => rows("answers")
      ),
    revoke: (revocation) =>
      Effect.map(
        run(revocationScript(settings, revocation), { attempts: MAX_ATTEMPTS, patienceMillis }),
        ({ rows }) => rows("answers")
      ),
    couponsByCode: (campaignId, codes) =>
      `SELECT ${couponColumns} FROM coupons FORCE INDEX (coupons_code) ` +
      `WHERE campaign_id = ${integer(campaignId)} AND code IN (${codes.map(mysqlText).join(",")})`
  })
})

/** Redemptions in MySQL or MariaDB. */
export const layer: Layer.Layer<Redemptions, never, SqlClient | AppConfig> = Layer.effect(Redemptions, make)
