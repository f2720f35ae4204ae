import type { CampaignSettings, CampaignStatus } from "../../domain/Campaign.ts"
import type { CampaignId } from "../../domain/CampaignId.ts"
import { type EpochMillis, formatRfc3339 } from "../../domain/Time.ts"
import type { CampaignEventType, EventPayload } from "../../ports/EventLog.ts"

/**
 * An event that the log of a campaign lacks, by what was read of it without a lock. It is appended only if it brings
 * the log forward at the moment of the commit: beyond `version`, beyond the coupon `reaches`, or with the end under the
 * version `ended`. So an event that another instance has appended meanwhile falls out.
 */
export interface EventCandidate {
  readonly campaignId: CampaignId
  readonly version: number
  readonly reaches: number
  readonly ended: number
  readonly type: CampaignEventType
  readonly firstNumber: number
  readonly lastNumber: number
  readonly payload: EventPayload
  readonly at: EpochMillis
}

/** A campaign as the ledger has it, read in one statement with the end of its log. */
export interface LoggedCampaign {
  readonly campaignId: CampaignId
  readonly settings: LoggedSettings
  readonly version: number
  readonly createdAt: EpochMillis
  readonly issued: number
  /** When the last coupon was issued; `undefined`: there is none. */
  readonly lastIssuedAt: EpochMillis | undefined
  /**
   * The ledger's clock after which no coupon can come under these settings with an earlier one: `undefined` unless the
   * campaign's row was locked after that. Without it the end of the campaign is left for later.
   */
  readonly settledAt: EpochMillis | undefined
  /** How far the log goes: coupons, version, and the version under which it has that the end has passed. */
  readonly logged: { readonly lastNumber: number; readonly version: number; readonly ended: number }
}

/** The settings that events tell. Where codes come from is for the audit log. */
export type LoggedSettings = Omit<CampaignSettings, "codes">

/** Settings as the audit log has them. */
export interface SettingsState {
  readonly name: string
  readonly couponLimit: number
  readonly status: CampaignStatus
  readonly startTime: string
  readonly endTime: string | null
}

/** A change that was committed, and the campaign's creation, which is the change to version 1. */
export interface LoggedChange {
  readonly version: number
  readonly at: EpochMillis
  readonly before: SettingsState | undefined
  readonly after: SettingsState
  /** How many coupons were issued before it. */
  readonly issued: number
  /** When the last of those was issued. */
  readonly issuedAt: EpochMillis | undefined
}

export const settingsState = ({ couponLimit, endTime, name, startTime, status }: LoggedSettings): SettingsState => ({
  name,
  couponLimit,
  status,
  startTime: formatRfc3339(startTime),
  endTime: endTime === undefined ? null : formatRfc3339(endTime)
})

/** The settings after a change, the names of those that it changed, and what these were before. */
export const changePayload = (
  version: number,
  { couponLimit, endTime, name, startTime, status }: SettingsState,
  before: SettingsState | undefined
): EventPayload => {
  const after: SettingsState = { name, couponLimit, status, startTime, endTime }
  if (before === undefined) return { version, ...after }
  const changed = (Object.keys(after) as Array<keyof SettingsState>).filter((key) => before[key] !== after[key])
  return { version, ...after, changed, previous: Object.fromEntries(changed.map((key) => [key, before[key]])) }
}

/** Of the event of a creation. */
export const createdPayload = (draft: Omit<LoggedSettings, "status">): EventPayload =>
  changePayload(1, settingsState({ ...draft, status: "ACTIVE" }), undefined)

const typeOf = ({ after, before }: LoggedChange): CampaignEventType => {
  if (before === undefined) return "campaign.created"
  if (before.status === after.status) return "campaign.updated"
  return after.status === "ENDED"
    ? "campaign.ended"
    : after.status === "PAUSED"
    ? "campaign.paused"
    : "campaign.resumed"
}

/**
 * What the log of a campaign lacks, in the order of commit, given all changes beyond the logged version. Coupons are
 * numbered in the order of commit, and a change knows how many came before it: the two make one order. A campaign is
 * sold out by the coupon that reaches its limit, or by a change that lowers the limit to what is issued. Its end passes
 * after all coupons that were issued under the settings with that end.
 */
export const eventCandidates = (
  { campaignId, issued, lastIssuedAt, logged, settings, settledAt, version }: LoggedCampaign,
  changes: ReadonlyArray<LoggedChange>
): ReadonlyArray<EventCandidate> => {
  const found: Array<EventCandidate> = []
  const nothing = { campaignId, version: 0, reaches: 0, ended: 0, firstNumber: 0, lastNumber: 0, payload: {} }
  let last = logged.lastNumber
  let current = changes.length === 0
    ? settingsState(settings)
    : changes[0]!.before ?? changes[0]!.after
  let currentVersion = changes.length === 0 ? version : changes[0]!.version - 1

  const soldOut = (of: Pick<EventCandidate, "version" | "reaches" | "at">) =>
    found.push({
      ...nothing,
      ...of,
      type: "campaign.sold_out",
      payload: { version: currentVersion, couponLimit: current.couponLimit }
    })
  const issue = (upTo: number, at: EpochMillis) => {
    if (upTo <= last) return
    found.push({ ...nothing, reaches: upTo, type: "coupon.issued", firstNumber: last + 1, lastNumber: upTo, at })
    last = upTo
    if (upTo === current.couponLimit) soldOut({ version: 0, reaches: upTo, at })
  }
  const passEnd = (by: EpochMillis) => {
    if (current.status === "ENDED" || current.endTime === null || currentVersion <= logged.ended) return
    const at = Date.parse(current.endTime)
    if (at > by || currentVersion < 1) return
    found.push({
      ...nothing,
      ended: currentVersion,
      type: "campaign.ended",
      payload: { version: currentVersion, endTime: current.endTime },
      at
    })
  }

  for (const change of changes) {
    const { after, at, before } = change
    const upTo = Math.min(Math.max(change.issued, last), issued)
    issue(upTo, change.issuedAt ?? at)
    if (before !== undefined) passEnd(at)
    currentVersion = change.version
    current = after
    found.push({
      ...nothing,
      version: change.version,
      type: typeOf(change),
      payload: changePayload(change.version, after, before),
      at
    })
    if (before !== undefined && before.couponLimit !== after.couponLimit && after.couponLimit === upTo) {
      soldOut({ version: change.version, reaches: 0, at })
    }
  }
  // With coupons there is a last one.
  issue(issued, lastIssuedAt!)
  if (settledAt !== undefined) passEnd(settledAt)
  return found
}
