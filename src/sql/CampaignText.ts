import type { Campaign, CampaignSettings } from "../domain/Campaign.ts"
import { formatRfc3339 } from "../domain/Time.ts"
import type { AdminAct } from "../issuance/AdminAudit.ts"
import type { CampaignChange } from "../issuance/Ledger.ts"

/** Every column of a campaign, and the limit announced for it, as `Rows` reads them, from `campaignTable`. */
export const campaignColumns = "c.*, r.announced_limit"

/**
 * Campaigns as `c`. Joined, because a limit that is announced must not be overlooked: a scalar subquery that is killed is NULL, and
 * the statement that it is in goes on (docs/decisions.md, 25).
 */
export const campaignTable = "campaigns AS c LEFT JOIN campaign_raises AS r ON r.campaign_id = c.id"

/** Settings as the audit shows them. */
const state = ({ couponLimit, endTime, name, startTime, status }: CampaignSettings, version: number) => ({
  name,
  couponLimit,
  status,
  startTime: formatRfc3339(startTime),
  endTime: endTime === undefined ? null : formatRfc3339(endTime),
  version
})

export const creationAct = (draft: Omit<CampaignSettings, "status">): AdminAct => ({
  action: "campaign.create",
  campaignId: undefined,
  before: undefined,
  after: state({ ...draft, status: "ACTIVE" }, 1)
})

export const changeAct = ({ action, from, to }: CampaignChange): AdminAct => ({
  action,
  campaignId: from.campaignId,
  before: state(from, from.version),
  after: state(to, from.version + 1)
})

/** Why a change did not apply, given the campaign as its transaction saw it. */
export const refusedChange = ({ from, to }: CampaignChange, now: Campaign | undefined) =>
  now !== undefined && now.version === from.version && now.issuedCount > to.couponLimit
    ? { _tag: "BelowIssued" as const, issued: now.issuedCount }
    : { _tag: "Stale" as const }
