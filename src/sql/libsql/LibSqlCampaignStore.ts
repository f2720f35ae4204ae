import type { InStatement } from "@libsql/client"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { codesText } from "../../domain/codes/CampaignCodes.ts"
import type { AuditEntry } from "../../ports/AuditLog.ts"
import { type CampaignChange, type CampaignCreation, CampaignStore } from "../../ports/CampaignStore.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../../ports/Ledger.ts"
import type { Row } from "../Rows.ts"
import { createdPayload } from "../events/EventCandidates.ts"
import * as SqlCampaignStore from "../SqlCampaignStore.ts"
import { errorField } from "../SqlFailure.ts"
import { actColumns, actorText, stateText } from "../text/AuditLogText.ts"
import { changedPhases, createdPhases } from "../text/CampaignPhaseText.ts"
import { createdText } from "../text/EventLogText.ts"
import {
  campaignColumns, campaignTable, changeAct, changesCodes, creationAct, undoWindow, validityRow
} from "../text/CampaignText.ts"
import { integer } from "../text/Literals.ts"
import { changedMarker, isMarker, type Marker, markerColumns, markerValues } from "../text/OutboxMarkers.ts"
import { untilKnown } from "../UntilKnown.ts"
import { libsqlFacts } from "./admin/LibSqlAuditLog.ts"
import { LibSqlDriver } from "./LibSql.ts"
import { phaseDialect } from "./LibSqlCampaignPhases.ts"
import { libsqlText, makeStatements, runBatch } from "./Statements.ts"

const MAX_ATTEMPTS = 4

const columns = (now: number): string => campaignColumns(integer(now))

/** `substr` compares letter for letter, where LIKE would fold the case of ASCII. */
const prefixCondition = (prefix: string): string =>
  `substr(c.name, 1, ${Array.from(prefix).length}) = ${libsqlText(prefix)}`

/** The audit log's row of the campaign that the statement before it has just written; none if it wrote nothing. */
const auditRow = (
  { action, actor, after, before, changeId }: Omit<AuditEntry, "campaignId" | "outcome">,
  now: number,
  marker: Marker
): InStatement => ({
  sql: `INSERT INTO admin_audit (${actColumns})
SELECT ?, ?, ?, ?, campaign_id, ?, ? FROM outbox WHERE batch_id = ? AND ${isMarker(marker)}`,
  args: [changeId, now, actorText(actor), action, stateText(before), stateText(after), changeId]
})

/** The validity that a creation or change sets, by its marker; the campaign's counter is that of its place. */
const validityOf = (validity: ReturnType<typeof validityRow>, changeId: string): ReadonlyArray<InStatement> =>
  validity === undefined ? [] : [
    `INSERT INTO coupon_validities (${validity.columns})
SELECT ${validity.values("c.id", "c.current_coupon")} FROM outbox AS o JOIN campaigns AS c ON c.id = o.campaign_id
WHERE o.batch_id = '${changeId}'`
  ]

const creation = ({ actor, changeId, draft, request }: CampaignCreation, now: number): Array<InStatement> => [
  {
    sql: "INSERT INTO campaigns (name, coupon_limit, start_time, end_time, created_at, updated_at, code_spec, " +
      `validity_version, undo_window_millis) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ${undoWindow(draft)})`,
    args: [
      ...[draft.name, draft.couponLimit, draft.startTime, draft.endTime ?? null, now, now],
      codesText(draft.codes) ?? null,
      draft.validity === undefined ? null : 1
    ]
  },
  createdPhases("last_insert_rowid()", integer(now)),
  {
    sql: `INSERT INTO outbox (${markerColumns}) VALUES (${markerValues("CREATED", "?", "last_insert_rowid()", "?")})`,
    args: [changeId, now]
  },
  ...createdText(
    `(SELECT campaign_id FROM outbox WHERE batch_id = '${changeId}')`,
    integer(now),
    libsqlText(JSON.stringify(createdPayload(draft)))
  ),
  ...validityOf(validityRow(1, undefined, draft.validity, libsqlText), changeId),
  auditRow({ changeId, actor, ...creationAct(draft) }, now, "CREATED"),
  libsqlFacts({ changeId, actor }, "DONE"),
  ...request === undefined ? [] : [{
    sql: "INSERT INTO campaign_requests (campaign_id, request_id, content, created_at) " +
      "SELECT campaign_id, ?, ?, ? FROM outbox WHERE batch_id = ?",
    args: [Buffer.from(request.id, "utf8"), Buffer.from(request.content, "hex"), now, changeId]
  }],
  {
    sql: `SELECT ${columns(now)} FROM ${campaignTable}
WHERE c.id = (SELECT campaign_id FROM outbox WHERE batch_id = ?)`,
    args: [changeId]
  }
]

/** Each statement does nothing by itself if the change does not apply. */
const alteration = (change: CampaignChange, now: number): Array<InStatement> => {
  const { actor, changeId, from, to } = change
  const applies = `EXISTS (SELECT 1 FROM outbox WHERE batch_id = '${changeId}' AND kind = 'CHANGED')`
  const validity = validityRow(from.version + 1, from.validity, to.validity, libsqlText)
  return [
    {
      sql: `UPDATE campaigns SET name = ?, coupon_limit = ?, status = ?, start_time = ?, end_time = ?,
version = version + 1, updated_at = ?, code_spec = ?, undo_window_millis = ${undoWindow(to)}${
        validity === undefined ? "" : `, validity_version = ${integer(from.version + 1)}`
      }
WHERE id = ? AND version = ? AND current_coupon <= ?${changesCodes(change) ? " AND current_coupon = 0" : ""}`,
      args: [
        ...[to.name, to.couponLimit, to.status, to.startTime, to.endTime ?? null, now, codesText(to.codes) ?? null],
        ...[from.campaignId, from.version, to.couponLimit]
      ]
    },
    {
      // changes() tells of the statement before this one.
      sql: changedMarker("?", "?", "id = ? AND changes() > 0"),
      args: [changeId, now, from.campaignId]
    },
    ...validityOf(validity, changeId),
    auditRow({ changeId, actor, ...changeAct(change) }, now, "CHANGED"),
    libsqlFacts(change, "DONE"),
    {
      sql: `DELETE FROM campaign_raises WHERE campaign_id = ? AND ${applies}`,
      args: [from.campaignId]
    },
    ...changedPhases(change, integer(now), applies, phaseDialect),
    {
      sql: `SELECT ${columns(now)},
(SELECT COUNT(*) FROM outbox AS o WHERE o.batch_id = ? AND o.kind = 'CHANGED') AS applied
FROM ${campaignTable} WHERE c.id = ?`,
      args: [changeId, from.campaignId]
    }
  ]
}

export const make = Effect.gen(function*() {
  const driver = yield* LibSqlDriver
  const { forbidAndRead, read } = makeStatements(driver)

  /** Runs a transaction, and returns the rows of its last statement. */
  const commit = (
    statements: (now: number) => Array<InStatement>
  ): Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable | CommitInDoubt> =>
    Effect.uninterruptible(untilKnown(
      runBatch(driver, statements, (results) => results.at(-1)!.rows as ReadonlyArray<Row>),
      { attempts: MAX_ATTEMPTS }
    ))

  return SqlCampaignStore.make({
    now: () => integer(driver.now()),
    time: Number,
    prefix: prefixCondition,
    key: (id) => `'${id}'`,
    requestId: (id) => `x'${Buffer.from(id, "utf8").toString("hex")}'`,
    isRepeated: (cause) => String(errorField(cause, "message")).includes("campaign_requests.request_id"),
    read,
    forbidAndRead,
    create: (of) => Effect.map(commit((now) => creation(of, now)), ([row]) => row!),
    change: (of) =>
      Effect.map(commit((now) => alteration(of, now)), ([row]) => ({ row, applies: Number(row?.applied) === 1 })),
    announceRaise: (campaignId, version, couponLimit) => {
      const limit = integer(couponLimit)
      return Effect.asVoid(read(
        `INSERT INTO campaign_raises (campaign_id, announced_limit)
SELECT c.id, ${limit} FROM campaigns AS c WHERE c.id = ${integer(campaignId)} AND c.version = ${integer(version)}
ON CONFLICT (campaign_id) DO UPDATE SET announced_limit = MAX(announced_limit, excluded.announced_limit)`
      ))
    }
  })
})

/** The campaigns in the file of `LibSql`. */
export const layer: Layer.Layer<CampaignStore, never, LibSqlDriver> = Layer.effect(CampaignStore, make)
