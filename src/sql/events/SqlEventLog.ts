import * as Effect from "effect/Effect"
import type { CampaignStatus } from "../../domain/Campaign.ts"
import type { CampaignId } from "../../domain/CampaignId.ts"
import { codesFromText } from "../../domain/codes/CampaignCodes.ts"
import { isLastShare, isSoonGone, PACE_COUPONS } from "../../domain/codes/FewCodes.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { DEFAULT_UNDO_WINDOW_MILLIS } from "../../domain/validity/UndoWindow.ts"
import type { CampaignEvent, CampaignEventType, EventLog, EventLogHead, EventPayload } from "../../ports/EventLog.ts"
import type { LedgerUnavailable } from "../../ports/Ledger.ts"
import {
  type EventCandidate,
  eventCandidates,
  type LoggedCampaign,
  type LoggedChange
} from "./EventCandidates.ts"
import { listText } from "../redemptions/RedemptionText.ts"
import { redemptionOf } from "../redemptions/SqlRedemptions.ts"
import { codesOf, type Row } from "../Rows.ts"
import { settingsState, type SettingsState } from "../text/CampaignText.ts"
import * as Text from "../text/EventLogText.ts"

/** Acts of the audit log that are read at a time. */
const ACTS = 200

/** Events of a campaign that are removed at a time. */
const REMOVED = 1_000

/** Redemptions of a campaign that are appended at a time. */
const REDEMPTIONS = 2_000

/** A campaign whose relay does nothing for so long gets its events without it. */
const WAITING_MILLIS = 1_000

type Read = (text: string) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>

/** The event log of a ledger, where the databases differ. */
export interface SqlEventLogDialect {
  readonly text: Text.EventLogDialect
  readonly time: (value: unknown) => EpochMillis
  /** A time of so many milliseconds ago by the ledger's clock, as an expression. */
  readonly ago: (millis: number) => string
  readonly read: Read
  /** Waits for the transactions that hold the rows of these campaigns; with them all earlier clocks are past. */
  readonly passLocks: (campaignIds: ReadonlyArray<CampaignId>) => Effect.Effect<void, LedgerUnavailable>
  /**
   * A transaction of statements, which are given what takes the locks of heads. In doubt counts as failed: all of this
   * may be repeated.
   */
  readonly commit: (
    statements: (lock: LockHeads) => ReadonlyArray<string>
  ) => Effect.Effect<void, LedgerUnavailable>
}

/**
 * The statements that take the locks of the heads of these campaigns, always in the order of their ids. Of
 * the campaigns in `missing` some may have no head yet; they get one.
 */
export type LockHeads = (
  campaignIds: ReadonlyArray<CampaignId>,
  missing: ReadonlyArray<CampaignId>
) => ReadonlyArray<string>

const optional = <A>(value: unknown, of: (value: unknown) => A): A | undefined =>
  value === null || value === undefined ? undefined : of(value)

/** Settings as an act has them, without what stands among them: the version, and the coupon of a returned slot. */
const settingsOf = (state: unknown): SettingsState => {
  const { coupon: _, version: __, ...settings } = JSON.parse(state as string) as SettingsState & {
    readonly version: number
    readonly coupon?: unknown
  }
  return settings
}

/** Who finds out what the logs lack. */
export interface Finding {
  /** Reads on the connection of its transaction, or on any. */
  readonly read: Read
  /** Ends that have passed are events only if no coupon can come before them any more. */
  readonly settled: ReadonlySet<CampaignId>
}

const loggedCampaign = (row: Row, time: SqlEventLogDialect["time"], settled: boolean): LoggedCampaign => ({
  campaignId: Number(row.id),
  settings: {
    name: row.name as string,
    couponLimit: Number(row.coupon_limit),
    returned: Number(row.returned),
    status: row.status as CampaignStatus,
    startTime: time(row.start_time),
    endTime: optional(row.end_time, time),
    codes: codesFromText(codesOf(row)),
    // Of programs that keep no acts, which is what settings are read for here, campaigns have the defaults.
    validity: undefined,
    undoWindowMillis: DEFAULT_UNDO_WINDOW_MILLIS
  },
  version: Number(row.version),
  createdAt: time(row.created_at),
  issued: Number(row.current_coupon),
  lastIssuedAt: optional(row.last_issued_at, time),
  settledAt: settled ? time(row.ledger_now) : undefined,
  logged: {
    lastNumber: Number(row.logged_id ?? 0),
    version: Number(row.logged_version ?? 0),
    ended: Number(row.ended_version ?? 0)
  },
  redemptions: { last: Number(row.redemptions ?? 0), logged: Number(row.logged_redemptions ?? 0) },
  pool: {
    codeCount: Number(row.code_count),
    loggedCount: Number(row.logged_codes ?? 0),
    loggedLow: Number(row.logged_low ?? 0)
  }
})

/** The candidates of these campaigns' logs, by what this reads. */
export const findCandidates = (
  { text, time }: Pick<SqlEventLogDialect, "text" | "time">,
  { read, settled }: Finding,
  campaignIds: ReadonlyArray<CampaignId>
): Effect.Effect<ReadonlyArray<EventCandidate>, LedgerUnavailable> => {
  const timeOf = (campaignId: CampaignId, id: number) =>
    id === 0
      ? Effect.succeed(undefined)
      : Effect.map(read(Text.couponTime(campaignId, id)), ([row]) => optional(row?.issued_at, time))

  /** How many coupons were issued by then: ids are in the order of time. For changes of older programs. */
  const issuedBy = (campaignId: CampaignId, at: EpochMillis, from: number, upTo: number) =>
    Effect.gen(function*() {
      let [least, most] = [from, upTo]
      while (least < most) {
        const middle = Math.ceil((least + most) / 2)
        const issuedAt = yield* timeOf(campaignId, middle)
        if (issuedAt !== undefined && issuedAt <= at) least = middle
        else most = middle - 1
      }
      return least
    })

  /** The acts that made the versions after this one, in their order. */
  const actsSince = (campaignId: CampaignId, version: number) =>
    Effect.gen(function*() {
      const acts = new Map<number, { readonly at: EpochMillis; readonly row: Row }>()
      let beforeId: number | undefined
      for (;;) {
        const rows = yield* read(Text.changeActs(campaignId, beforeId, ACTS))
        for (const row of rows) {
          const made = Number((JSON.parse(row.after_state as string) as { readonly version: unknown }).version)
          if (made > version) acts.set(made, { at: time(row.at), row })
          else return acts
        }
        if (rows.length < ACTS) return acts
        beforeId = Number(rows.at(-1)!.id)
      }
    })

  const changesOf = (campaign: LoggedCampaign, markers: ReadonlyMap<number, number>) =>
    Effect.gen(function*() {
      const { campaignId, createdAt, issued, logged, settings } = campaign
      const acts = yield* actsSince(campaignId, logged.version)
      const changes: Array<LoggedChange> = []
      let last = logged.lastNumber
      for (let version = logged.version + 1; version <= campaign.version; version++) {
        const act = acts.get(version)
        if (act === undefined && version > 1) continue
        const state = (name: "before_state" | "after_state") => optional(act?.row[name], settingsOf)
        const at = act?.at ?? createdAt
        // An older program keeps no record of a creation, or none that says what the campaign was like.
        const earliest = acts.get(2)?.row.before_state as string | null | undefined
        const after = state("after_state") ??
          (earliest == null ? settingsState(settings) : settingsOf(earliest))
        const before = state("before_state")
        last = version === 1 ? 0 : markers.get(version) ?? (yield* issuedBy(campaignId, at, last, issued))
        changes.push({ version, at, before, after, issued: last, issuedAt: yield* timeOf(campaignId, last) })
      }
      return changes
    })

  return Effect.gen(function*() {
    if (campaignIds.length === 0) return []
    const campaigns = (yield* read(Text.loggedCampaigns(campaignIds, text)))
      .map((row) => loggedCampaign(row, time, settled.has(Number(row.id))))
    const changed = campaigns.filter(({ logged, version }) => logged.version < version)
    // After the versions were read: a marker goes away only with the transaction that appends its event.
    const markers = changed.length === 0
      ? []
      : yield* read(Text.changeMarkers(changed.map(({ campaignId }) => campaignId)))
    const redemptionsOf = ({ campaignId, redemptions }: LoggedCampaign) =>
      redemptions.last <= redemptions.logged
        ? Effect.succeed([])
        : Effect.map(read(listText(campaignId, undefined, redemptions.logged, REDEMPTIONS)), (rows) =>
          rows.filter((row) => Number(row.sequence) <= redemptions.last)
            .map((row) => ({ ...redemptionOf(time)(row), version: Number(row.version) })))
    const importsOf = ({ campaignId, issued, logged, pool }: LoggedCampaign) =>
      pool.codeCount <= pool.loggedCount
        ? Effect.succeed([])
        : Effect.flatMap(read(Text.finishedImports(campaignId, pool.loggedCount, pool.codeCount)), (rows) =>
          Effect.forEach(rows, (row) =>
            Effect.gen(function*() {
              const [at, codes] = [time(row.updated_at), Number(row.accepted)]
              const before = Number(row.first_number) - 1
              const most = Math.min(issued, before)
              const upTo = most <= logged.lastNumber ? most : yield* issuedBy(campaignId, at, logged.lastNumber, most)
              const issuedAt = yield* timeOf(campaignId, upTo)
              return { importId: Number(row.import_id), codes, codeCount: before + codes, at, issued: upTo, issuedAt }
            })))
    /** Looked at whenever coupons come to the log, until the log says it. */
    const isLow = ({ campaignId, issued, lastIssuedAt, logged, pool, settings }: LoggedCampaign) =>
      Effect.gen(function*() {
        const mayBe = settings.codes._tag === "Pool" && issued > logged.lastNumber && pool.codeCount > pool.loggedLow
        if (!mayBe) return false
        if (isLastShare(pool.codeCount, issued)) return true
        const since = Math.max(1, issued - PACE_COUPONS)
        const from = yield* timeOf(campaignId, since)
        return isSoonGone(pool.codeCount - issued, issued - since, lastIssuedAt! - (from ?? lastIssuedAt!))
      })
    const found: Array<EventCandidate> = []
    for (const campaign of campaigns) {
      const own = markers.filter((row) => Number(row.campaign_id) === campaign.campaignId)
      const changes = campaign.logged.version < campaign.version
        ? yield* changesOf(campaign, new Map(own.map((row) => [Number(row.version), Number(row.issued)])))
        : []
      found.push(...eventCandidates(campaign, changes, {
        redemptions: yield* redemptionsOf(campaign),
        imports: yield* importsOf(campaign),
        isLow: yield* isLow(campaign)
      }))
    }
    return found
  })
}

export const campaignsOf = (candidates: ReadonlyArray<EventCandidate>): ReadonlyArray<CampaignId> =>
  [...new Set(candidates.map(({ campaignId }) => campaignId))].toSorted((a, b) => a - b)

/** The statements by which a transaction takes the locks of their heads and appends candidates. */
export const appendStatements = (
  candidates: ReadonlyArray<EventCandidate>,
  text: Text.EventLogDialect,
  lock: LockHeads
): ReadonlyArray<string> => {
  if (candidates.length === 0) return []
  // Campaigns without a head are older than the log, or made by a program that does not know it.
  const created = candidates.filter(({ version }) => version === 1)
  return [...lock(campaignsOf(candidates), campaignsOf(created)), ...Text.appendText(candidates, text)]
}

/** What all ledgers do alike with the log. */
export const make = (dialect: SqlEventLogDialect): EventLog["Type"] => {
  const { ago, commit, passLocks, read, text, time } = dialect

  const event = (row: Row): CampaignEvent => ({
    campaignId: Number(row.campaign_id),
    sequence: Number(row.sequence),
    type: row.type as CampaignEventType,
    firstNumber: Number(row.first_id),
    lastNumber: Number(row.last_id),
    payload: row.payload === null ? {} : JSON.parse(row.payload as string) as EventPayload,
    at: time(row.at)
  })

  const head = (row: Row): EventLogHead => ({
    campaignId: Number(row.campaign_id),
    sequence: Number(row.sequence),
    movedAt: time(row.moved_at)
  })

  const append: EventLog["Type"]["append"] = (campaignIds) =>
    Effect.gen(function*() {
      if (campaignIds.length === 0) return []
      yield* passLocks(campaignIds)
      const candidates = yield* findCandidates(dialect, { read, settled: new Set(campaignIds) }, campaignIds)
      const logs = campaignsOf(candidates)
      if (logs.length > 0) yield* commit((lock) => appendStatements(candidates, text, lock))
      return logs
    })

  const heads: EventLog["Type"]["heads"] = (campaignIds) =>
    campaignIds.length === 0
      ? Effect.succeed([])
      : Effect.map(read(Text.headsOf(campaignIds)), (rows) => rows.map(head))

  const lastOfPage = (afterId: CampaignId, size: number) =>
    Effect.map(read(Text.lastOfPage(afterId, size)), ([row]) => ({
      lastId: optional(row!.id, Number),
      isFull: Number(row!.size) === size
    }))

  return {
    read: (campaignId, afterSequence, limit) =>
      Effect.map(read(Text.eventsAfter(campaignId, afterSequence, limit)), (rows) => rows.map(event)),

    head: (campaignId) => Effect.map(heads([campaignId]), ([found]) => found?.sequence ?? 0),

    heads,

    movedSince: (since, limit) =>
      Effect.map(
        Effect.suspend(() => read(Text.headsMovedSince(text.time(since), limit))),
        (rows) => rows.map(head)
      ),

    append,

    lagging: (afterId, size) =>
      Effect.gen(function*() {
        const { isFull, lastId } = yield* lastOfPage(afterId, size)
        const waiting = yield* Effect.suspend(() => read(Text.waitingCampaigns(ago(WAITING_MILLIS), size)))
        const rows = lastId === undefined
          ? []
          : yield* Effect.suspend(() => read(Text.laggingCampaigns(afterId, lastId, text)))
        const campaignIds = new Set([
          ...waiting.map((row) => Number(row.campaign_id)),
          ...rows.map((row) => Number(row.id))
        ])
        return {
          campaignIds: [...campaignIds],
          nextAfterId: isFull ? lastId : undefined
        }
      }),

    lag: Effect.suspend(() =>
      Effect.map(
        read(`SELECT w.commits, w.oldest, ${text.now()} AS ledger_now FROM (${Text.lagText}) AS w`),
        ([row]) => ({
          commits: Number(row!.commits),
          oldestAgeMillis: row!.oldest === null ? 0 : Math.max(0, time(row!.ledger_now) - time(row!.oldest))
        })
      )
    ),

    remove: ({ afterId, graceMillis, neededAfter, olderThanMillis, size }) =>
      Effect.gen(function*() {
        const { isFull, lastId } = yield* lastOfPage(afterId, size)
        const [clock] = yield* Effect.suspend(() => read(`SELECT ${text.now()} AS ledger_now`))
        const before = time(clock!.ledger_now) - olderThanMillis
        const rows = lastId === undefined ? [] : yield* read(Text.removable(afterId, lastId, text.time(before)))
        let removed = 0
        for (const row of rows) {
          const campaignId = Number(row.campaign_id)
          const needed = (yield* neededAfter(campaignId)) ?? Infinity
          if (needed <= Number(row.removed_sequence) && time(row.at) >= before - graceMillis) continue
          const first = yield* read(Text.firstEvents(campaignId, Number(row.removed_sequence), REMOVED))
          /** How many come before the first that this is true of. */
          const countUntil = (isKept: (event: Row) => boolean) => {
            const found = first.findIndex(isKept)
            return found < 0 ? first.length : found
          }
          const count = Math.min(
            countUntil(({ at }) => time(at) >= before),
            Math.max(
              countUntil(({ sequence }) => Number(sequence) > needed),
              countUntil(({ at }) => time(at) >= before - graceMillis)
            )
          )
          if (count === 0) continue
          const last = Number(first[count - 1]!.sequence)
          yield* commit((lock) => [...lock([campaignId], []), ...Text.removeText(campaignId, last)])
          removed += count
        }
        return { removed, nextAfterId: isFull ? lastId : undefined }
      })
  }
}
