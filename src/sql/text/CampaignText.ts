import type { Campaign, CampaignDraft, CampaignSettings, CampaignStatus } from "../../domain/Campaign.ts"
import type { CampaignPhase } from "../../domain/CampaignPhase.ts"
import { defaultCodes, sameCodes } from "../../domain/codes/CampaignCodes.ts"
import { formatRfc3339 } from "../../domain/Time.ts"
import {
  type CouponValidity, rulesOfValidity, sameValidity, validityText
} from "../../domain/validity/CouponValidity.ts"
import { DEFAULT_UNDO_WINDOW_MILLIS, formatUndoWindow } from "../../domain/validity/UndoWindow.ts"
import type { AuditedAction } from "../../ports/AuditLog.ts"
import type { CampaignChange, CampaignQuery, FoundCampaigns } from "../../ports/CampaignStore.ts"
import { MAX_LIST_SCAN } from "../../ports/CampaignStore.ts"
import { integer, isOneOf } from "./Literals.ts"

/**
 * Every column of a campaign, the limit announced for it, and what its phase is derived from, as `Rows` reads them,
 * from `campaignTable`. `now` is the ledger's clock, as an expression.
 */
export const campaignColumns = (now: string): string =>
  "c.*, r.announced_limit, p.since AS phase_since, p.limit_since, p.opened_at, p.version AS phase_version, " +
  `l.issued_at AS last_issued_at, v.policy AS validity, ${now} AS ledger_now`

/**
 * Campaigns as `c`, each with one row or none of the others, which are found by their keys; `l` is the coupon that
 * reached the limit. Joined, because a limit that is announced must not be overlooked: a scalar subquery that is killed
 * is NULL, and the statement that it is in goes on (docs/internals/decisions.md, 25).
 */
export const campaignTable = "campaigns AS c LEFT JOIN campaign_raises AS r ON r.campaign_id = c.id " +
  "LEFT JOIN campaign_phases AS p ON p.campaign_id = c.id " +
  "LEFT JOIN coupons AS l ON l.campaign_id = c.id AND l.id = c.coupon_limit " +
  "LEFT JOIN coupon_validities AS v ON v.campaign_id = c.id AND v.version = c.validity_version"

/** The campaigns `c` that are in one of these phases, as `phaseOf` has it; they exclude one another. */
const phaseCondition = (phases: ReadonlyArray<CampaignPhase>, now: string): string => {
  const goesOn = `(c.end_time IS NULL OR c.end_time > ${now})`
  const conditions: Readonly<Record<CampaignPhase, string>> = {
    ENDED: `(c.status = 'ENDED' OR c.end_time <= ${now})`,
    PAUSED: `(c.status = 'PAUSED' AND ${goesOn})`,
    SCHEDULED: `(c.status = 'ACTIVE' AND c.start_time > ${now} AND ${goesOn})`,
    SOLD_OUT: `(c.status = 'ACTIVE' AND c.start_time <= ${now} AND ${goesOn} AND c.current_coupon >= c.coupon_limit)`,
    OPEN: `(c.status = 'ACTIVE' AND c.start_time <= ${now} AND ${goesOn} AND c.current_coupon < c.coupon_limit)`
  }
  return `(${[...new Set(phases)].map((phase) => conditions[phase]).join(" OR ")})`
}

/** The statements of a list; `prefix` is the condition that a name begins with a text, in the dialect's way. */
export const listText = (query: CampaignQuery, now: string, prefix: (text: string) => string) => {
  const { beforeId, limit, namePrefix, only, phases, status } = query
  const before = [
    ...(beforeId === undefined ? [] : [`c.id < ${integer(beforeId)}`]),
    ...(only === undefined ? [] : [isOneOf("c.id", only)])
  ]
  const filters = [
    ...(status === undefined ? [] : [`c.status = '${status}'`]),
    ...(phases.length === 0 ? [] : [phaseCondition(phases, now)]),
    ...(namePrefix === "" ? [] : [prefix(namePrefix)])
  ]
  const where = (conditions: ReadonlyArray<string>) =>
    conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`
  return {
    /**
     * Where the list has to stop looking: the id of the last campaign that it may look at; no row: it may look at all.
     * `undefined`: there is no filter, and the page bounds it. By the primary key alone: neither time nor counter is
     * worth an index that a claim would have to keep.
     */
    bound: filters.length === 0
      ? undefined
      : `SELECT c.id FROM campaigns AS c${where(before)} ORDER BY c.id DESC LIMIT 1 OFFSET ${MAX_LIST_SCAN - 1}`,
    /** One more than the page holds tells whether another one follows. */
    page: (lastId: number | undefined) =>
      `SELECT ${campaignColumns(now)} FROM ${campaignTable}` +
      where([...before, ...(lastId === undefined ? [] : [`c.id >= ${integer(lastId)}`]), ...filters]) +
      ` ORDER BY c.id DESC LIMIT ${integer(limit + 1)}`
  }
}

export const foundCampaigns = (
  campaigns: ReadonlyArray<Campaign>,
  limit: number,
  lastId: number | undefined
): FoundCampaigns =>
  campaigns.length > limit
    ? { campaigns: campaigns.slice(0, limit), nextBeforeId: campaigns[limit - 1]!.campaignId }
    : { campaigns, nextBeforeId: lastId }

/** Settings as the audit log and events show them. */
export interface SettingsState {
  readonly name: string
  readonly couponLimit: number
  readonly status: CampaignStatus
  readonly startTime: string
  readonly endTime: string | null
  /** Slots that were returned, which `couponLimit` has; left out while there are none, as in the acts of before. */
  readonly returned?: number
  /** Where codes come from; the default is left out, as in the acts of before. So is that of the next two. */
  readonly codes?: unknown
  readonly couponValidity?: unknown
  readonly undoWindow?: string
}

const validityState = (validity: CouponValidity) =>
  validity._tag === "Until"
    ? { until: formatRfc3339(validity.until) }
    : { after: validity.after, ...validity.zone === undefined ? {} : { endOfDayZone: validity.zone.name } }

export const settingsState = (
  { codes, couponLimit, endTime, name, returned, startTime, status, undoWindowMillis, validity }: CampaignSettings
): SettingsState => ({
  name,
  couponLimit,
  status,
  startTime: formatRfc3339(startTime),
  endTime: endTime === undefined ? null : formatRfc3339(endTime),
  ...returned > 0 ? { returned } : {},
  ...sameCodes(codes, defaultCodes) ? {} : { codes: codes._tag === "Pool" ? "POOL" : codes.format },
  ...validity === undefined ? {} : { couponValidity: validityState(validity) },
  ...undoWindowMillis === DEFAULT_UNDO_WINDOW_MILLIS ? {} : { undoWindow: formatUndoWindow(undoWindowMillis) }
})

/** A campaign that was just made, as its settings. */
export const settingsOfDraft = (draft: CampaignDraft): CampaignSettings =>
  ({ ...draft, status: "ACTIVE", returned: 0 })

const state = (settings: CampaignSettings, version: number) => ({ ...settingsState(settings), version })

export const creationAct = (draft: CampaignDraft): AuditedAction => ({
  action: "campaign.create",
  campaignId: undefined,
  before: undefined,
  after: state(settingsOfDraft(draft), 1)
})

export const changeAct = (
  { action, from, to }: Pick<CampaignChange, "action" | "from" | "to">
): AuditedAction => ({
  action,
  campaignId: from.campaignId,
  before: state(from, from.version),
  after: state(to, from.version + 1)
})

/** Whether a change sets where codes come from: only then is the column written, and nothing may be issued. */
export const changesCodes = ({ from, to }: CampaignChange): boolean => !sameCodes(from.codes, to.codes)

/** The undo window of these settings as its column has it. */
export const undoWindow = ({ undoWindowMillis }: Pick<CampaignSettings, "undoWindowMillis">): string =>
  undoWindowMillis === DEFAULT_UNDO_WINDOW_MILLIS ? "NULL" : integer(undoWindowMillis)

/**
 * The validity that a campaign gets by a change to this version, for coupons beyond `issued`; `undefined`: it keeps its
 * own. `text` writes a literal.
 */
export const validityRow = (
  version: number,
  before: CouponValidity | undefined,
  after: CouponValidity | undefined,
  text: (value: string) => string
): { readonly columns: string; readonly values: (campaign: string, issued: string) => string } | undefined => {
  if (sameValidity(before, after)) return undefined
  const rules = after === undefined ? undefined : rulesOfValidity(after)
  const literal = (value: string | undefined) => value === undefined ? "NULL" : text(value)
  const stored = `${literal(after === undefined ? undefined : validityText(after))}, ${literal(rules)}`
  return {
    columns: "campaign_id, version, first_id, policy, zone_rules",
    values: (campaign, issued) => `${campaign}, ${integer(version)}, ${issued} + 1, ${stored}`
  }
}

/** Why a change did not apply, given the campaign as its transaction saw it. */
export const rejectedChange = ({ from, to }: CampaignChange, now: Campaign | undefined) =>
  now !== undefined && now.version === from.version && now.issuedCount > to.couponLimit
    ? { _tag: "BelowIssued" as const, issued: now.issuedCount }
    : { _tag: "Stale" as const }
