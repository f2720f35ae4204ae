import type { Overview } from "../../contract/Overview.ts"
import * as Output from "../Output.ts"

export const rate = (perSecond: number): string =>
  perSecond === 0 ? "0" : perSecond < 10 ? perSecond.toFixed(1) : String(Math.round(perSecond))

/** The time over which the pace of a campaign is measured. */
export const PACE_MILLIS = 10_000

/** Coupons a second of a campaign, over all instances, by its counter; `undefined` before its second sample. */
const paceOf = (campaignId: number, recent: ReadonlyArray<Overview>): number | undefined => {
  const seen = recent.flatMap(({ at, campaigns }) =>
    campaigns.filter((c) => c.campaignId === campaignId).map(({ issued }) => ({ at, issued })))
  const [first, last] = [seen[0], seen.at(-1)]
  if (first === undefined || last === undefined || last.at <= first.at) return undefined
  return (last.issued - first.issued) * 1_000 / (last.at - first.at)
}

/** The state of the campaigns that were served lately. */
export const campaignTable = (campaigns: Overview["campaigns"], recent: ReadonlyArray<Overview>): string =>
  Output.table(
    ["campaign", "name", "phase", "issued", "limit", "%", "a second", "sold out in", "gate", "reserved", "oldest"],
    campaigns.map((c) => {
      const pace = paceOf(c.campaignId, recent)
      const left = c.couponLimit - c.issued
      // As they are shown: without slots that were returned.
      const [issued, limit] = [c.issued - (c.returned ?? 0), c.couponLimit - (c.returned ?? 0)]
      return [
        c.campaignId,
        c.name.length > 30 ? `${c.name.slice(0, 29)}…` : c.name,
        c.phase ?? c.status,
        issued,
        limit,
        Math.floor(100 * issued / limit),
        pace === undefined ? "-" : rate(pace),
        left <= 0 ? "is" : pace === undefined || pace <= 0 ? "-" : Output.span(Math.ceil(left / pace)),
        c.gate.toLowerCase(),
        c.pending,
        c.pending === 0 ? "-" : Output.duration(c.oldestPendingMillis)
      ]
    })
  )

/** What each webhook has not taken yet, the furthest behind first. */
export const webhookTable = (webhooks: NonNullable<Overview["webhooks"]>): string =>
  Output.table(
    ["webhook", "host", "state", "backlog", "oldest"],
    webhooks.toSorted((a, b) => b.lagMillis - a.lagMillis).map(({ backlog, host, id, lagMillis, state }) => [
      id,
      host,
      state.toLowerCase(),
      backlog,
      backlog === 0 ? "-" : Output.duration(lagMillis)
    ])
  )
