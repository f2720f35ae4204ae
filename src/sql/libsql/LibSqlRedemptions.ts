import type { InStatement } from "@libsql/client"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Redemptions, type Revocation, revocationBatch } from "../../ports/Redemptions.ts"
import {
  advanceHead, answersAdded, answersText, commitText, type RedemptionDialect
} from "../redemptions/RedemptionText.ts"
import { mayBeDone, returnText, revocationAct } from "../redemptions/RevocationText.ts"
import * as SqlRedemptions from "../redemptions/SqlRedemptions.ts"
import { couponColumns, type Row } from "../Rows.ts"
import { actColumns, actorText, stateText } from "../text/AuditLogText.ts"
import { integer } from "../text/Literals.ts"
import { redemptionMarker } from "../text/OutboxMarkers.ts"
import { untilKnown } from "../UntilKnown.ts"
import { libsqlFacts } from "./admin/LibSqlAuditLog.ts"
import { LibSqlDriver } from "./LibSql.ts"
import { phaseDialect } from "./LibSqlCampaignPhases.ts"
import { libsqlText, makeStatements, runBatch } from "./Statements.ts"

export const redemptionDialect: RedemptionDialect = {
  jsonTime: (time) => time,
  items: (json) =>
    `(SELECT key AS n, value ->> 0 AS action, value ->> 1 AS coupon_id, unhex(value ->> 2) AS request_id,
    value ->> 3 AS terminal_id, value ->> 4 AS order_ref, value ->> 5 AS reason, value ->> 6 AS occurred_at,
    value ->> 7 AS expires_at, value ->> 8 AS slot_returned
  FROM json_each(${libsqlText(json)})
) AS v`,
  added: "redemption_heads AS h CROSS JOIN redemptions AS r " +
    "ON r.campaign_id = h.campaign_id AND r.sequence > h.sequence",
  deleteUndone: (campaignId) =>
    `DELETE FROM coupon_states WHERE campaign_id = ${campaignId} AND coupon_id IN (
  SELECT r.coupon_id FROM redemption_heads AS h
  CROSS JOIN redemptions AS r ON r.campaign_id = h.campaign_id AND r.sequence > h.sequence
  WHERE h.campaign_id = ${campaignId} AND r.action = 'UNDO'
)`,
  earlier: (time, millis) => `${time} - ${millis}`
}

/** Makes the head if there is none; a transaction has the file to itself. */
export const headRow = (campaignId: string): string =>
  `INSERT OR IGNORE INTO redemption_heads (campaign_id, sequence) VALUES (${campaignId}, 0)`

/** Each statement does nothing by itself if it does not apply. */
const revocationStatements = (revocation: Revocation, at: number): Array<InStatement> => {
  const { actor, campaignId, changeId, raise } = revocation
  const { action, after, before } = revocationAct(revocation)
  const batch = revocationBatch(revocation)
  const [id, now, key] = [integer(campaignId), integer(at), `'${changeId}'`]
  const added = `FROM ${redemptionDialect.added} WHERE h.campaign_id = ${id}`
  const version = raise === undefined ? "" : integer(raise.from.version)
  const stands = `EXISTS (SELECT 1 FROM campaigns WHERE id = ${id} AND version = ${version})`
  const done = `EXISTS (SELECT 1 ${added})`
  return [
    headRow(id),
    ...answersAdded(batch, now, redemptionDialect, mayBeDone(revocation, stands)),
    ...raise === undefined ? [] : returnText(raise, { done, key, now, phases: phaseDialect }),
    {
      sql: `INSERT INTO admin_audit (${actColumns}) SELECT ?, ?, ?, ?, r.campaign_id, ?, ? ${added}`,
      args: [changeId, at, actorText(actor), action, stateText(before), stateText(after)]
    },
    libsqlFacts(revocation, "DONE"),
    advanceHead(id),
    `${redemptionMarker(key, now, id)}
AND NOT EXISTS (SELECT 1 FROM outbox WHERE batch_id = ${key} AND kind <> 'VOID')`,
    answersText(batch)
  ]
}

const MAX_ATTEMPTS = 4

export const make: Effect.Effect<Redemptions["Type"], never, LibSqlDriver> = Effect.gen(function*() {
  const driver = yield* LibSqlDriver
  const { forbidAndRead, read } = makeStatements(driver)
  const transaction = (statements: (now: number) => Array<InStatement>) =>
    untilKnown(
      runBatch(driver, statements, (results) => results.at(-1)!.rows as ReadonlyArray<Row>),
      { attempts: MAX_ATTEMPTS }
    )
  return SqlRedemptions.make({
    time: Number,
    now: () => integer(driver.now()),
    keys: (json) => `(SELECT value ->> 0 AS campaign_id, value ->> 1 AS coupon_id FROM json_each('${json}')) AS k`,
    read,
    forbidAndRead: (key, campaignId, text) => forbidAndRead(key, campaignId, () => text),
    commit: (batch) => {
      const id = integer(batch.campaignId)
      return transaction((now) => [
        headRow(id),
        ...commitText(batch, integer(now), redemptionDialect),
        redemptionMarker(`'${batch.batchId}'`, integer(now), id),
        answersText(batch)
      ])
    },
    revoke: (revocation) => transaction((at) => revocationStatements(revocation, at)),
    couponsByCode: (campaignId, codes) =>
      `SELECT ${couponColumns} FROM coupons WHERE campaign_id = ${integer(campaignId)} ` +
      `AND code IN (${codes.map(libsqlText).join(",")})`
  })
})

/** Redemptions in the embedded ledger's file. */
export const layer: Layer.Layer<Redemptions, never, LibSqlDriver> = Layer.effect(Redemptions, make)
