import type { CampaignDraft, CampaignSettings } from "../../domain/Campaign.ts"
import type { CampaignId } from "../../domain/CampaignId.ts"
import type { Redemption, RedemptionAction } from "../../domain/redemption/Redemption.ts"
import { type EpochMillis, formatRfc3339 } from "../../domain/Time.ts"
import type { CampaignEventType, EventPayload } from "../../ports/EventLog.ts"
import { settingsOfDraft, settingsState, type SettingsState } from "../text/CampaignText.ts"

/**
 * An event that the log of a campaign lacks, by what was read of it without a lock. It is appended only if it brings
 * the log forward at the moment of the commit: beyond `version`, beyond the coupon `reaches`, beyond the redemption of
 * this sequence, with more codes of a pool (`imported`) or more than when few were left (`low`), or with the end under
 * the version `ended`. So an event that another instance has appended meanwhile falls out.
 */
export interface EventCandidate {
  readonly campaignId: CampaignId
  readonly version: number
  readonly reaches: number
  readonly ended: number
  readonly redemption: number
  readonly imported: number
  readonly low: number
  readonly type: CampaignEventType
  readonly firstNumber: number
  readonly lastNumber: number
  readonly payload: EventPayload
  readonly at: EpochMillis
}

/** A campaign as the ledger has it, read in one statement with the end of its log. */
export interface LoggedCampaign {
  readonly campaignId: CampaignId
  readonly settings: CampaignSettings
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
  /** The sequence of the last redemption, and of the last one that the log has. */
  readonly redemptions: { readonly last: number; readonly logged: number }
  /** Of its pool: how many codes it has, and how far the log goes, as `code_log_heads` has it. */
  readonly pool: { readonly codeCount: number; readonly loggedCount: number; readonly loggedLow: number }
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

/** An import of codes that was finished. */
export interface LoggedImport {
  readonly importId: number
  /** How many codes it added, and how many the pool had then. */
  readonly codes: number
  readonly codeCount: number
  readonly at: EpochMillis
  /** How many coupons had been issued by then, and when the last of those was. */
  readonly issued: number
  readonly issuedAt: EpochMillis | undefined
}

/** A redemption, undo or revocation that was committed, and the campaign's version that it saw. */
export interface LoggedRedemption extends Redemption {
  readonly version: number
}

const redemptionTypes: Readonly<Record<RedemptionAction, CampaignEventType>> = {
  REDEEM: "coupon.redeemed",
  UNDO: "coupon.redemption_undone",
  REVOKE: "coupon.revoked"
}

/** What an event says of a redemption: the coupon's number, never its code or user. */
export const redemptionEvent = (
  { action, at, couponId, occurredAt, orderRef, reason, sequence, slotReturned, terminalId }: Redemption
): Pick<EventCandidate, "type" | "payload" | "at"> => ({
  type: redemptionTypes[action],
  payload: {
    number: couponId,
    redemption: sequence,
    terminalId,
    orderRef,
    reason,
    occurredAt: occurredAt === undefined ? null : formatRfc3339(occurredAt),
    ...action === "REVOKE" ? { slotReturned } : {}
  },
  at
})

/** The settings after a change, the names of those that it changed, and what these were before. */
export const changePayload = (
  version: number,
  after: SettingsState,
  before: SettingsState | undefined
): EventPayload => {
  if (before === undefined) return { version, ...after }
  const names = [...new Set([...Object.keys(after), ...Object.keys(before)])] as Array<keyof SettingsState>
  const changed = names.filter((name) => JSON.stringify(after[name]) !== JSON.stringify(before[name]))
  const previous = Object.fromEntries(changed.map((name) => [name, before[name] ?? null]))
  return { version, ...after, changed, previous }
}

/** Of the event of a creation. */
export const createdPayload = (draft: CampaignDraft): EventPayload =>
  changePayload(1, settingsState(settingsOfDraft(draft)), undefined)

/** Whether the end of these settings has passed at a time; an operator has not ended the campaign before. */
const isOver = ({ endTime, status }: SettingsState, at: EpochMillis): boolean =>
  status !== "ENDED" && endTime !== null && Date.parse(endTime) <= at

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
 * after all coupons that were issued under the settings with that end. Redemptions keep their order, and each comes
 * after its coupon and after the changes that it saw. An import comes before the coupons that have its codes. That few
 * codes are left is said last, once for as many codes as the pool has.
 */
export const eventCandidates = (
  { campaignId, issued, lastIssuedAt, logged, pool, settings, settledAt, version }: LoggedCampaign,
  changes: ReadonlyArray<LoggedChange>,
  { imports = [], isLow = false, redemptions = [] }: {
    readonly redemptions?: ReadonlyArray<LoggedRedemption>
    readonly imports?: ReadonlyArray<LoggedImport>
    /** Few codes are left. */
    readonly isLow?: boolean
  } = {}
): ReadonlyArray<EventCandidate> => {
  const found: Array<EventCandidate> = []
  const nothing = {
    campaignId, version: 0, reaches: 0, ended: 0, redemption: 0, imported: 0, low: 0, firstNumber: 0, lastNumber: 0,
    payload: {}
  }
  let { ended, lastNumber: last } = logged
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
    if (!isOver(current, by) || currentVersion <= ended) return
    ended = currentVersion
    found.push({
      ...nothing,
      ended,
      type: "campaign.ended",
      payload: { version: currentVersion, endTime: current.endTime },
      at: Date.parse(current.endTime!)
    })
  }

  let next = 0
  /** Those that saw an earlier version. The coupons that they are about were issued before its change, too. */
  const redeem = (before: number) => {
    for (; next < redemptions.length && redemptions[next]!.version < before; next++) {
      const redemption = redemptions[next]!
      found.push({ ...nothing, ...redemptionEvent(redemption), redemption: redemption.sequence })
    }
  }

  let nextImport = 0
  /** Those before this time, each after the coupons that were issued before it. */
  const addImports = (before: EpochMillis) => {
    for (; nextImport < imports.length && imports[nextImport]!.at < before; nextImport++) {
      const { at, codeCount, codes, importId, issued: upTo, issuedAt } = imports[nextImport]!
      issue(Math.min(upTo, issued), issuedAt ?? at)
      const payload = { importId, codes, codeCount }
      found.push({ ...nothing, imported: codeCount, type: "codes.imported", payload, at })
    }
  }

  for (const change of changes) {
    const { after, at, before } = change
    addImports(at)
    const upTo = Math.min(Math.max(change.issued, last), issued)
    issue(upTo, change.issuedAt ?? at)
    redeem(change.version)
    if (before !== undefined) passEnd(at)
    currentVersion = change.version
    current = after
    // A change that leaves a campaign over is no second end.
    const staysOver = before !== undefined && isOver(before, at) && isOver(after, at)
    if (staysOver) ended = change.version
    found.push({
      ...nothing,
      version: change.version,
      ended: staysOver ? change.version : 0,
      type: typeOf(change),
      payload: changePayload(change.version, after, before),
      at
    })
    if (before !== undefined && before.couponLimit !== after.couponLimit && after.couponLimit === upTo) {
      soldOut({ version: change.version, reaches: 0, at })
    }
  }
  addImports(Infinity)
  // With coupons there is a last one.
  issue(issued, lastIssuedAt!)
  redeem(Infinity)
  if (isLow && pool.codeCount > pool.loggedLow) {
    const payload = { codeCount: pool.codeCount, left: pool.codeCount - issued }
    found.push({ ...nothing, low: pool.codeCount, type: "codes.low", payload, at: lastIssuedAt! })
  }
  if (settledAt !== undefined) passEnd(settledAt)
  return found
}
