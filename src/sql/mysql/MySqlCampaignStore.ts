import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../../config/AppConfig.ts"
import { type CampaignCodes, codesText } from "../../domain/codes/CampaignCodes.ts"
import { type CampaignChange, type CampaignCreation, CampaignStore } from "../../ports/CampaignStore.ts"
import { createdPayload } from "../events/EventCandidates.ts"
import * as SqlCampaignStore from "../SqlCampaignStore.ts"
import { unavailable } from "../SqlFailure.ts"
import { actColumns } from "../text/AuditLogText.ts"
import { changedPhases, createdPhases } from "../text/CampaignPhaseText.ts"
import {
  campaignColumns, campaignTable, changeAct, changesCodes, creationAct, undoWindow, validityRow
} from "../text/CampaignText.ts"
import { createdText } from "../text/EventLogText.ts"
import { hexadecimal, integer } from "../text/Literals.ts"
import { changedMarker, markerColumns, markerValues } from "../text/OutboxMarkers.ts"
import { mysqlAct, mysqlFacts } from "./admin/MySqlAuditLog.ts"
import { batchKey, bytes, mysqlText, timeFromSql, timeToSql } from "./Literals.ts"
import { phaseDialect } from "./MySqlCampaignPhases.ts"
import { isDuplicateKey, REQUEST_KEY } from "./MySqlFailure.ts"
import { named, script, type Script } from "./Script.ts"
import * as Transactions from "./Transactions.ts"

/** In UTC whatever the session's time zone, for reads do not set it. */
const NOW = "UTC_TIMESTAMP(6)"

const columns = campaignColumns(NOW)

const end = (time: number | undefined) => time === undefined ? "NULL" : timeToSql(time)

const codeSpec = (codes: CampaignCodes): string => {
  const text = codesText(codes)
  return text === undefined ? "NULL" : mysqlText(text)
}

/**
 * A new campaign, its row in the audit log and its marker, which the relay leaves alone. `at` violates NOT NULL unless
 * the row is this transaction's own (see `groupCommit` on servers that go on alone).
 */
const creation = (
  settings: ReadonlyArray<string>,
  { actor, changeId, draft, request }: CampaignCreation
): Script<"campaign"> => {
  const entry = { changeId, actor, ...creationAct(draft) }
  const at = "(SELECT created_at FROM campaigns WHERE id = @campaign AND created_at = @now)"
  const validity = validityRow(1, undefined, draft.validity, mysqlText)
  return script(
    ...settings,
    "START TRANSACTION",
    "SET @now = SYSDATE(6)",
    `INSERT INTO campaigns (name, coupon_limit, start_time, end_time, created_at, updated_at, code_spec,
  validity_version, undo_window_millis)
VALUES (${mysqlText(draft.name)}, ${integer(draft.couponLimit)},
${timeToSql(draft.startTime)}, ${end(draft.endTime)}, @now, @now, ${codeSpec(draft.codes)},
${validity === undefined ? "NULL" : "1"}, ${undoWindow(draft)})`,
    "SET @campaign = LAST_INSERT_ID()",
    ...validity === undefined
      ? []
      : [`INSERT INTO coupon_validities (${validity.columns}) VALUES (${validity.values("@campaign", "0")})`],
    createdPhases("@campaign", "@now"),
    ...createdText("@campaign", "@now", mysqlText(JSON.stringify(createdPayload(draft)))),
    `INSERT INTO admin_audit (${actColumns}) VALUES (${mysqlAct(entry, at, "@campaign")})`,
    mysqlFacts(entry, "DONE"),
    `INSERT INTO outbox (${markerColumns})
VALUES (${markerValues("CREATED", batchKey(changeId), "@campaign", "@now")})`,
    ...request === undefined ? [] : [
      `INSERT INTO campaign_requests (campaign_id, request_id, content, created_at)
VALUES (@campaign, ${bytes(request.id)}, x'${hexadecimal(request.content)}', @now)`
    ],
    named("campaign", `SELECT ${columns} FROM ${campaignTable} WHERE c.id = @campaign`),
    "COMMIT"
  )
}

/**
 * A change for one round trip. Statements cannot branch, so each does nothing by itself if the change does not apply.
 * `campaign` is the campaign as it is then. Locks in the order of a group commit: campaign, marker. Whether the change
 * applies is read from the table under the lock (not by a scalar subquery, see `groupCommit`), and the audit log's row
 * violates NOT NULL unless the update was made: no count of a server that goes on alone is trusted.
 */
const alteration = (settings: ReadonlyArray<string>, change: CampaignChange): Script<"campaign" | "applies"> => {
  const { actor, changeId, from, to } = change
  const entry = { changeId, actor, ...changeAct(change) }
  const id = integer(from.campaignId)
  const version = integer(from.version)
  const limit = integer(to.couponLimit)
  const [setCodes, noneIssued] = changesCodes(change)
    ? [`, code_spec = ${codeSpec(to.codes)}`, " AND current_coupon = 0"]
    : ["", ""]
  const validity = validityRow(from.version + 1, from.validity, to.validity, mysqlText)
  const setValidity = validity === undefined ? "" : `, validity_version = ${integer(from.version + 1)}`
  return script(
    ...settings,
    "START TRANSACTION",
    `SELECT version FROM campaigns WHERE id = ${id} FOR UPDATE`,
    "SET @now = SYSDATE(6)",
    `SELECT COUNT(*) INTO @applies FROM campaigns
WHERE id = ${id} AND version = ${version} AND current_coupon <= ${limit}${noneIssued}`,
    `UPDATE campaigns SET name = ${mysqlText(to.name)}, coupon_limit = ${limit}, status = '${to.status}',
start_time = ${timeToSql(to.startTime)}, end_time = ${end(to.endTime)},
version = version + 1, updated_at = @now, undo_window_millis = ${undoWindow(to)}${setCodes}${setValidity}
WHERE id = ${id} AND version = ${version} AND @applies = 1`,
    ...validity === undefined ? [] : [
      `INSERT INTO coupon_validities (${validity.columns})
SELECT ${validity.values("id", "current_coupon")} FROM campaigns WHERE id = ${id} AND @applies = 1`
    ],
    `DELETE FROM campaign_raises WHERE campaign_id = ${id} AND @applies = 1`,
    ...changedPhases(change, "CAST(@now AS DATETIME(6))", "@applies = 1", phaseDialect),
    changedMarker(batchKey(changeId), "@now", `id = ${id} AND @applies = 1`),
    `INSERT INTO admin_audit (${actColumns})
SELECT ${mysqlAct(entry, `IF(version = ${version} + 1, @now, NULL)`, "id")}
FROM campaigns WHERE id = ${id} AND @applies = 1`,
    mysqlFacts(entry, "DONE"),
    named("campaign", `SELECT ${columns} FROM ${campaignTable} WHERE c.id = ${id}`),
    named("applies", "SELECT @applies AS applies"),
    "COMMIT"
  )
}

/** LIKE compares letter for letter, also spaces at the end, which `=` pads away. */
const likePrefix = (prefix: string): string =>
  `c.name LIKE ${mysqlText(`${prefix.replace(/[!%_]/g, "!$&")}%`)} ESCAPE '!'`

/** Campaigns on MySQL or MariaDB. */
export const make = ({ forbidAndRead, read, run, settings }: Transactions.Transactions): CampaignStore["Type"] =>
  SqlCampaignStore.make({
    now: () => NOW,
    time: timeFromSql,
    prefix: likePrefix,
    key: batchKey,
    requestId: bytes,
    isRepeated: (cause) => isDuplicateKey(cause, REQUEST_KEY),
    read,
    forbidAndRead: (key, campaignId, text) => forbidAndRead(key, campaignId, text()),
    create: (of) => Effect.map(run(creation(settings, of)), ({ rows }) => rows("campaign")[0]!),
    change: (of) =>
      Effect.map(run(alteration(settings, of)), ({ rows }) => ({
        row: rows("campaign")[0],
        applies: Number(rows("applies")[0]!.applies) === 1
      })),
    announceRaise: (campaignId, version, couponLimit) => {
      const limit = integer(couponLimit)
      return run(script(
        ...settings,
        `INSERT INTO campaign_raises (campaign_id, announced_limit)
SELECT c.id, ${limit} FROM campaigns AS c WHERE c.id = ${integer(campaignId)} AND c.version = ${integer(version)}
ON DUPLICATE KEY UPDATE announced_limit = GREATEST(announced_limit, ${limit})`
      )).pipe(
        Effect.asVoid,
        Effect.catchTag("CommitInDoubt", ({ cause }) => Effect.fail(unavailable(cause)))
      )
    }
  })

/** The campaigns of `MySqlLedger`. */
export const layer: Layer.Layer<CampaignStore, never, SqlClient | AppConfig> = Layer.effect(
  CampaignStore,
  Effect.gen(function*() {
    return make(Transactions.make(yield* SqlClient, yield* AppConfig))
  })
)
