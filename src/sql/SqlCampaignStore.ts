import * as Effect from "effect/Effect"
import type { CampaignId } from "../domain/Campaign.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { CampaignChange, CampaignCreation, CampaignStore } from "../ports/CampaignStore.ts"
import { RequestRepeated } from "../ports/CampaignStore.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../ports/Ledger.ts"
import { makeRows, type Row } from "./Rows.ts"
import { campaignColumns, campaignTable, foundCampaigns, listText, rejectedChange } from "./text/CampaignText.ts"
import { integer } from "./text/Literals.ts"

/** The campaigns of a ledger, where the databases differ. */
export interface CampaignDialect {
  /** The ledger's clock, as an expression. */
  readonly now: () => string
  readonly time: (value: unknown) => EpochMillis
  /** The condition that a campaign's name begins with a text, letter for letter. */
  readonly prefix: (text: string) => string
  /** A batch id or change id as a literal. */
  readonly key: (id: string) => string
  readonly read: (text: string) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
  /** Makes sure that no transaction under this key can commit from now on, and then reads. */
  readonly forbidAndRead: (
    key: string,
    campaignId: CampaignId,
    text: () => string
  ) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
  /** A request's id as a literal of its column, which has bytes. */
  readonly requestId: (id: string) => string
  /** Stores a campaign, and returns its row. */
  readonly create: (creation: CampaignCreation) => Effect.Effect<Row, LedgerUnavailable | CommitInDoubt>
  /** Whether a creation failed because its request's id is taken. */
  readonly isRepeated: (cause: unknown) => boolean
  /** Makes a change if it applies, and returns the campaign's row as it is then; `undefined`: there is none. */
  readonly change: (
    change: CampaignChange
  ) => Effect.Effect<{ readonly row: Row | undefined; readonly applies: boolean }, LedgerUnavailable | CommitInDoubt>
  readonly announceRaise: CampaignStore["Type"]["announceRaise"]
}

/** What all ledgers do alike with campaigns. */
export const make = (dialect: CampaignDialect): CampaignStore["Type"] => {
  const { announceRaise, forbidAndRead, isRepeated, key, now, prefix, read, requestId, time } = dialect
  const rowsOf = makeRows(time)
  const found = ([row]: ReadonlyArray<Row>) => row === undefined ? undefined : rowsOf.campaign(row)
  const campaigns = () => `SELECT ${campaignColumns(now())} FROM ${campaignTable}`
  /** The text is made when it is sent: it may have the time in it. */
  const readNow = (text: () => string) => Effect.suspend(() => read(text()))

  return {
    create: (creation) =>
      Effect.mapBoth(dialect.create(creation), {
        onFailure: (failure) =>
          failure._tag === "LedgerUnavailable" && isRepeated(failure.cause) ? new RequestRepeated() : failure,
        onSuccess: rowsOf.campaign
      }),

    findCreated: (id) =>
      Effect.map(
        readNow(() =>
          `SELECT ${campaignColumns(now())}, HEX(q.content) AS content FROM ${campaignTable}
JOIN campaign_requests AS q ON q.campaign_id = c.id WHERE q.request_id = ${requestId(id)}`),
        ([row]) =>
          row === undefined
            ? undefined
            : { campaign: rowsOf.campaign(row), content: String(row.content).toLowerCase() }
      ),

    change: (change) =>
      Effect.map(dialect.change(change), ({ applies, row }) => {
        const campaign = row === undefined ? undefined : rowsOf.campaign(row)
        return applies && campaign !== undefined ? { _tag: "Changed", campaign } : rejectedChange(change, campaign)
      }),

    resolveChange: (changeId) =>
      Effect.map(
        forbidAndRead(changeId, 0, () =>
          `${campaigns()} JOIN admin_audit AS a ON a.campaign_id = c.id WHERE a.change_id = ${key(changeId)}`),
        found
      ),

    announceRaise,

    find: (campaignId) => Effect.map(readNow(() => `${campaigns()} WHERE c.id = ${integer(campaignId)}`), found),

    list: (query) =>
      Effect.gen(function*() {
        const text = listText(query, now(), prefix)
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
          (rows) => rows.map((row) => ({ campaignId: Number(row.id), startTime: time(row.start_time) }))
        )
  }
}
