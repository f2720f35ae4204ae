import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberRef from "effect/FiberRef"
import { randomBytes } from "node:crypto"
import { Actor } from "../../ports/Actor.ts"
import { CommitInDoubt, type CampaignChange, type Ledger, type LedgerUnavailable } from "../../ports/Ledger.ts"
import type { CampaignDraft } from "../../domain/Campaign.ts"
import { actColumns, mysqlAct, mysqlText } from "../AuditLogText.ts"
import { changedPhases, createdPhases, mysqlPhases } from "../CampaignPhaseText.ts"
import { campaignColumns, campaignTable, changeAct, creationAct, foundCampaigns, listText, refusedChange } from "../CampaignText.ts"
import { batchKey, integer } from "./GroupCommitText.ts"
import { timeFromSql, timeToSql } from "./connection/MySql.ts"
import { makeRows, rowsAt, type Row } from "../Rows.ts"
import type { SentText } from "./connection/SentText.ts"
import { unavailable } from "../SqlFailure.ts"

const rowsOf = makeRows(timeFromSql)


/** How often a change is sent at most when each attempt ended in a way that proves it did nothing. */
const ATTEMPTS = 4

/** In UTC whatever the session's time zone, for reads do not set it. */
const NOW = "UTC_TIMESTAMP(6)"

const columns = campaignColumns(NOW)

const end = (time: number | undefined) => time === undefined ? "NULL" : timeToSql(time)

/**
 * A new campaign, its audit and its marker, which is a VOID from the start: there is nothing to relay. The campaign is at
 * index 9. `at` violates NOT NULL unless the row is this transaction's own (see `groupCommitText` on servers that go on alone).
 */
const createText = (settings: string, changeId: string, actor: string, draft: CampaignDraft): string => `${settings};
START TRANSACTION;
SET @now = SYSDATE(6);
INSERT INTO campaigns (name, coupon_limit, start_time, end_time, created_at, updated_at)
VALUES (${mysqlText(draft.name)}, ${integer(draft.couponLimit)}, ${timeToSql(draft.startTime)}, ${end(draft.endTime)}, @now, @now);
SET @campaign = LAST_INSERT_ID();
${createdPhases("@campaign", "@now")};
INSERT INTO admin_audit (${actColumns}) VALUES (${
  mysqlAct(changeId, actor, creationAct(draft), "(SELECT created_at FROM campaigns WHERE id = @campaign AND created_at = @now)", "@campaign")
});
INSERT INTO outbox (batch_id, kind, campaign_id, created_at) VALUES (${batchKey(changeId)}, 'VOID', @campaign, @now);
SELECT ${columns} FROM ${campaignTable} WHERE c.id = @campaign;
COMMIT`

/**
 * A change as one text for one round trip: statements cannot branch, so each does nothing by itself if the change does not
 * apply. The campaign as it is then is at index 12, `applies` at 13. Locks in the order of a group commit: campaign, marker.
 * Whether the change applies is read from the table under the lock (not by a scalar subquery, see `groupCommitText`), and the
 * audit's row violates NOT NULL unless the update was made: no count of a server that goes on alone is trusted.
 */
const changeText = (settings: string, actor: string, change: CampaignChange): string => {
  const { changeId, from, to } = change
  const id = integer(from.campaignId)
  const version = integer(from.version)
  return `${settings};
START TRANSACTION;
SELECT version FROM campaigns WHERE id = ${id} FOR UPDATE;
SET @now = SYSDATE(6);
SELECT COUNT(*) INTO @applies FROM campaigns WHERE id = ${id} AND version = ${version} AND current_coupon <= ${integer(to.couponLimit)};
UPDATE campaigns SET name = ${mysqlText(to.name)}, coupon_limit = ${integer(to.couponLimit)}, status = '${to.status}',
start_time = ${timeToSql(to.startTime)}, end_time = ${end(to.endTime)}, version = version + 1, updated_at = @now
WHERE id = ${id} AND version = ${version} AND @applies = 1;
DELETE FROM campaign_raises WHERE campaign_id = ${id} AND @applies = 1;
${changedPhases(change, "CAST(@now AS DATETIME(6))", "@applies = 1", mysqlPhases).join(";\n")};
INSERT INTO outbox (batch_id, kind, campaign_id, created_at)
SELECT ${batchKey(changeId)}, 'CHANGED', id, @now FROM campaigns WHERE id = ${id} AND @applies = 1;
INSERT INTO admin_audit (${actColumns})
SELECT ${mysqlAct(changeId, actor, changeAct(change), `IF(version = ${version} + 1, @now, NULL)`, "id")}
FROM campaigns WHERE id = ${id} AND @applies = 1;
SELECT ${columns} FROM ${campaignTable} WHERE c.id = ${id};
SELECT @applies AS applies;
COMMIT`
}

/** LIKE compares letter for letter, also spaces at the end, which `=` pads away. */
const likePrefix = (prefix: string): string => `c.name LIKE ${mysqlText(`${prefix.replace(/[!%_]/g, "!$&")}%`)} ESCAPE '!'`

type CampaignOperations = Pick<
  Ledger["Type"],
  | "createCampaign"
  | "changeCampaign"
  | "resolveChange"
  | "announceRaise"
  | "findCampaign"
  | "listCampaigns"
  | "newestCampaignIds"
  | "startTimes"
>

/** The part of `MySqlLedger` that is about campaigns rather than coupons, over its way of sending texts. */
export const make = (ledger: {
  /** What every text that writes begins with: two statements. */
  readonly settings: string
  readonly read: (text: string) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
  readonly send: (text: string) => Effect.Effect<SentText, LedgerUnavailable>
  /** Makes sure that no transaction under this key can commit from now on, and then reads. */
  readonly forbidAndRead: (key: string, campaignId: number, text: string) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
  readonly backoff: (attempt: number) => Effect.Effect<void>
}): CampaignOperations => {
  const { backoff, forbidAndRead, read, send, settings } = ledger

  /** Sends a text until its outcome is known, or in doubt. */
  const commit = (text: string): Effect.Effect<ReadonlyArray<unknown>, LedgerUnavailable | CommitInDoubt> =>
    Effect.gen(function*() {
      for (let attempt = 1;; attempt++) {
        const sent = yield* send(text)
        if (Either.isRight(sent)) return sent.right
        const { cause, failure } = sent.left
        if (failure === "InDoubt") return yield* new CommitInDoubt({ cause })
        if (failure !== "Retry" || attempt === ATTEMPTS) return yield* unavailable(cause)
        yield* backoff(attempt)
      }
    })

  return {
    createCampaign: (draft, changeId = randomBytes(16).toString("hex")) =>
      Effect.flatMap(FiberRef.get(Actor), (actor) =>
        Effect.map(commit(createText(settings, changeId, actor, draft)), (results) => rowsOf.campaign(rowsAt(results, 9)[0]!))),

    changeCampaign: (change) =>
      Effect.flatMap(FiberRef.get(Actor), (actor) =>
        Effect.map(commit(changeText(settings, actor, change)), (results) => {
          const [row] = rowsAt(results, 12)
          const campaign = row === undefined ? undefined : rowsOf.campaign(row)
          return campaign !== undefined && Number(rowsAt(results, 13)[0]!.applies) === 1
            ? { _tag: "Changed", campaign }
            : refusedChange(change, campaign)
        })),

    resolveChange: (changeId) =>
      Effect.map(
        forbidAndRead(
          changeId,
          0,
          `SELECT ${columns} FROM ${campaignTable} JOIN admin_audit AS a ON a.campaign_id = c.id WHERE a.change_id = ${batchKey(changeId)}`
        ),
        ([row]) => row === undefined ? undefined : rowsOf.campaign(row)
      ),

    announceRaise: (campaignId, version, couponLimit) => {
      const limit = integer(couponLimit)
      return commit(
        `${settings};
INSERT INTO campaign_raises (campaign_id, announced_limit)
SELECT c.id, ${limit} FROM campaigns AS c WHERE c.id = ${integer(campaignId)} AND c.version = ${integer(version)}
ON DUPLICATE KEY UPDATE announced_limit = GREATEST(announced_limit, ${limit})`
      ).pipe(
        Effect.asVoid,
        Effect.catchTag("CommitInDoubt", ({ cause }) => Effect.fail(unavailable(cause)))
      )
    },

    findCampaign: (campaignId) =>
      Effect.map(
        read(`SELECT ${columns} FROM ${campaignTable} WHERE c.id = ${integer(campaignId)}`),
        ([row]) => row === undefined ? undefined : rowsOf.campaign(row)
      ),

    listCampaigns: (query) =>
      Effect.gen(function*() {
        const text = listText(query, NOW, likePrefix)
        const [bound] = text.bound === undefined ? [] : yield* read(text.bound)
        const lastId = bound === undefined ? undefined : Number(bound.id)
        return foundCampaigns((yield* read(text.page(lastId))).map(rowsOf.campaign), query.limit, lastId)
      }),

    newestCampaignIds: (limit) =>
      Effect.map(
        read(`SELECT id FROM campaigns ORDER BY id DESC LIMIT ${integer(limit)}`),
        (rows) => rows.map((row) => Number(row.id))
      ),

    startTimes: (campaignIds) =>
      campaignIds.length === 0
        ? Effect.succeed([])
        : Effect.map(
          read(`SELECT id, start_time FROM campaigns WHERE id IN (${campaignIds.map(integer).join(",")})`),
          (rows) => rows.map((row) => ({ campaignId: Number(row.id), startTime: timeFromSql(row.start_time) }))
        )
  }
}
