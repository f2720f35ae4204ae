import type { Client, InStatement } from "@libsql/client"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import { randomBytes } from "node:crypto"
import type { CampaignDraft } from "../../domain/Campaign.ts"
import { Actor } from "../../ports/Actor.ts"
import type { AdminAct } from "../../ports/AuditLog.ts"
import { CommitInDoubt, LedgerUnavailable, type CampaignChange, type Ledger } from "../../ports/Ledger.ts"
import { actColumns, actorText, stateText } from "../text/AuditLogText.ts"
import { changedPhases, createdPhases, libsqlPhases } from "../text/CampaignPhaseText.ts"
import { campaignColumns, campaignTable, changeAct, creationAct, foundCampaigns, listText, refusedChange } from "../text/CampaignText.ts"
import { integer } from "../text/Literals.ts"
import { makeRows, type Row } from "../Rows.ts"
import { classifyLibsql } from "../SqlFailure.ts"

const rowsOf = makeRows(Number)

const unavailable = (cause: unknown) => new LedgerUnavailable({ cause })

const ATTEMPTS = 4

/** The process's clock is the ledger's. */
const now = (): string => integer(Date.now())

const columns = (): string => campaignColumns(now())

/** `substr` compares letter for letter, where LIKE would fold the case of ASCII. */
const prefixCondition = (prefix: string): string => {
  const text = `CAST(x'${Buffer.from(prefix, "utf8").toString("hex")}' AS TEXT)`
  return `substr(c.name, 1, ${Array.from(prefix).length}) = ${text}`
}

/** The audit's row of the campaign that the statement before it has just written; none if it wrote nothing. */
const auditRow = (changeId: string, actor: string, act: AdminAct, now: number, kind: "VOID" | "CHANGED"): InStatement => ({
  sql: `INSERT INTO admin_audit (${actColumns})
SELECT ?, ?, ?, ?, campaign_id, ?, ? FROM outbox WHERE batch_id = ? AND kind = '${kind}'`,
  args: [changeId, now, actorText(actor), act.action, stateText(act.before), stateText(act.after), changeId]
})

const creation = (changeId: string, actor: string, draft: CampaignDraft, now: number): Array<InStatement> => [
  {
    sql: "INSERT INTO campaigns (name, coupon_limit, start_time, end_time, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
    args: [draft.name, draft.couponLimit, draft.startTime, draft.endTime ?? null, now, now]
  },
  createdPhases("last_insert_rowid()", integer(now)),
  // The marker, which is a VOID from the start: there is nothing to relay.
  { sql: "INSERT INTO outbox (batch_id, kind, campaign_id, created_at) VALUES (?, 'VOID', last_insert_rowid(), ?)", args: [changeId, now] },
  auditRow(changeId, actor, creationAct(draft), now, "VOID"),
  {
    sql: `SELECT ${columns()} FROM ${campaignTable} WHERE c.id = (SELECT campaign_id FROM outbox WHERE batch_id = ?)`,
    args: [changeId]
  }
]

/** Each statement does nothing by itself if the change does not apply. */
const alteration = (change: CampaignChange, actor: string, now: number): Array<InStatement> => {
  const { changeId, from, to } = change
  const applies = `EXISTS (SELECT 1 FROM outbox WHERE batch_id = '${changeId}' AND kind = 'CHANGED')`
  return [
    {
      sql: `UPDATE campaigns SET name = ?, coupon_limit = ?, status = ?, start_time = ?, end_time = ?, version = version + 1, updated_at = ?
WHERE id = ? AND version = ? AND current_coupon <= ?`,
      args: [to.name, to.couponLimit, to.status, to.startTime, to.endTime ?? null, now, from.campaignId, from.version, to.couponLimit]
    },
    {
      // changes() tells of the statement before this one.
      sql: "INSERT INTO outbox (batch_id, kind, campaign_id, created_at) SELECT ?, 'CHANGED', ?, ? WHERE changes() > 0",
      args: [changeId, from.campaignId, now]
    },
    auditRow(changeId, actor, changeAct(change), now, "CHANGED"),
    {
      sql: `DELETE FROM campaign_raises WHERE campaign_id = ? AND ${applies}`,
      args: [from.campaignId]
    },
    ...changedPhases(change, integer(now), applies, libsqlPhases),
    {
      sql: `SELECT ${columns()}, (SELECT COUNT(*) FROM outbox AS o WHERE o.batch_id = ? AND o.kind = 'CHANGED') AS applied
FROM ${campaignTable} WHERE c.id = ?`,
      args: [changeId, from.campaignId]
    }
  ]
}

/** The part of `LibSqlLedger` that is about campaigns rather than coupons. */
export const make = (ledger: {
  readonly driver: Client
  readonly run: (sql: string, args?: Array<string | number | bigint | null>) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
  /** Makes sure that no transaction under this key can commit from now on. */
  readonly forbid: (key: string, campaignId: number) => Effect.Effect<unknown, LedgerUnavailable>
}) => {
  const { driver, forbid, run } = ledger

  /** Runs a transaction, and returns the rows of its last statement. */
  const commit = (statements: (now: number) => Array<InStatement>): Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable | CommitInDoubt> =>
    Effect.tryPromise({
      try: async () => (await driver.batch(statements(Date.now()), "write")).at(-1)!.rows as ReadonlyArray<Row>,
      catch: (cause) => cause
    }).pipe(
      Effect.retry({ times: ATTEMPTS - 1, while: (cause) => classifyLibsql(cause) === "Retry" }),
      Effect.mapError((cause) => classifyLibsql(cause) === "InDoubt" ? new CommitInDoubt({ cause }) : unavailable(cause)),
      Effect.uninterruptible
    )

  return {
    createCampaign: (draft, changeId = randomBytes(16).toString("hex")) =>
      Effect.flatMap(FiberRef.get(Actor), (actor) =>
        Effect.map(commit((now) => creation(changeId, actor, draft, now)), ([row]) => rowsOf.campaign(row!))),

    changeCampaign: (change) =>
      Effect.flatMap(FiberRef.get(Actor), (actor) =>
        Effect.map(commit((now) => alteration(change, actor, now)), ([row]) => {
          const campaign = row === undefined ? undefined : rowsOf.campaign(row)
          return campaign !== undefined && Number(row!.applied) === 1
            ? { _tag: "Changed" as const, campaign }
            : refusedChange(change, campaign)
        })),

    resolveChange: (changeId) =>
      Effect.zipRight(
        forbid(changeId, 0),
        Effect.map(
          run(`SELECT ${columns()} FROM ${campaignTable} JOIN admin_audit AS a ON a.campaign_id = c.id WHERE a.change_id = ?`, [changeId]),
          ([row]) => row === undefined ? undefined : rowsOf.campaign(row)
        )
      ),

    announceRaise: (campaignId, version, couponLimit) =>
      Effect.asVoid(run(
        `INSERT INTO campaign_raises (campaign_id, announced_limit) SELECT c.id, ? FROM campaigns AS c WHERE c.id = ? AND c.version = ?
ON CONFLICT (campaign_id) DO UPDATE SET announced_limit = MAX(announced_limit, excluded.announced_limit)`,
        [couponLimit, campaignId, version]
      )),

    findCampaign: (campaignId) =>
      Effect.map(
        run(`SELECT ${columns()} FROM ${campaignTable} WHERE c.id = ?`, [campaignId]),
        ([row]) => row === undefined ? undefined : rowsOf.campaign(row)
      ),

    listCampaigns: (query) =>
      Effect.gen(function*() {
        const text = listText(query, now(), prefixCondition)
        const [bound] = text.bound === undefined ? [] : yield* run(text.bound)
        const lastId = bound === undefined ? undefined : Number(bound.id)
        return foundCampaigns((yield* run(text.page(lastId))).map(rowsOf.campaign), query.limit, lastId)
      }),

    newestCampaignIds: (limit) =>
      Effect.map(run("SELECT id FROM campaigns ORDER BY id DESC LIMIT ?", [limit]), (rows) => rows.map((row) => Number(row.id))),

    startTimes: (campaignIds) =>
      Effect.map(
        run("SELECT id, start_time FROM campaigns WHERE id IN (SELECT value FROM json_each(?))", [`[${campaignIds.map(integer).join(",")}]`]),
        (rows) => rows.map((row) => ({ campaignId: Number(row.id), startTime: Number(row.start_time) }))
      )
  } satisfies Partial<Ledger["Type"]>
}
