import type { CampaignId, CampaignTerms } from "../domain/Campaign.ts"
import type { Coupon } from "../domain/Coupon.ts"
import type { OutboxEvent } from "../ports/Outbox.ts"
import type { EventCandidate } from "./events/EventCandidates.ts"
import { integer } from "./text/Literals.ts"
import { isRedemptionMarker } from "./text/OutboxMarkers.ts"
import type { Row } from "./Rows.ts"

/** A row of the outbox that the relay is to publish. */
export interface OutboxRow {
  readonly id: string
  readonly kind: "ISSUED" | "CHANGED"
  readonly campaignId: CampaignId
  /** Of `ISSUED`: its coupons have exactly the ids from here … */
  readonly firstId: number
  /** … to here. */
  readonly lastId: number
}

export const outboxRow = (row: Row): OutboxRow => ({
  id: row.batch_id as string,
  kind: row.kind as OutboxRow["kind"],
  campaignId: Number(row.campaign_id),
  firstId: Number(row.first_id),
  lastId: Number(row.last_id)
})

interface Range {
  readonly campaignId: CampaignId
  readonly firstId: number
  lastId: number
}

/**
 * The coupons of the `ISSUED` rows as a condition on the primary key; neighbouring ranges, the usual case, become one.
 */
export const couponRanges = (rows: ReadonlyArray<OutboxRow>): string => {
  const ranges: Array<Range> = []
  const issued = rows.filter((row) => row.kind === "ISSUED")
    .sort((a, b) => a.campaignId - b.campaignId || a.firstId - b.firstId)
  for (const { campaignId, firstId, lastId } of issued) {
    const last = ranges.at(-1)
    if (last !== undefined && last.campaignId === campaignId && last.lastId + 1 === firstId) last.lastId = lastId
    else ranges.push({ campaignId, firstId, lastId })
  }
  return ranges.map(({ campaignId, firstId, lastId }) =>
    `(campaign_id = ${integer(campaignId)} AND id BETWEEN ${integer(firstId)} AND ${integer(lastId)})`
  ).join(" OR ")
}

/** Rows to publish, and markers of redemptions, of which only the event log gets something. */
export const withoutRedemptions = (
  rows: ReadonlyArray<OutboxRow>
): { readonly facts: ReadonlyArray<OutboxRow>; readonly redemptions: ReadonlyArray<OutboxRow> } => ({
  facts: rows.filter((row) => !isRedemptionMarker(row)),
  redemptions: rows.filter(isRedemptionMarker)
})

/** Which markers of redemptions are settled once these candidates are in the log: it may take several goes. */
export const settledRedemptions = (
  markers: ReadonlyArray<OutboxRow>,
  candidates: ReadonlyArray<EventCandidate>
): ReadonlyArray<OutboxRow> => {
  const reached = new Map<CampaignId, number>()
  for (const { campaignId, redemption } of candidates) {
    if (redemption > 0) reached.set(campaignId, redemption)
  }
  return markers.filter(({ campaignId, lastId }) => lastId <= (reached.get(campaignId) ?? Infinity))
}

/** The ids of the campaigns whose terms `CHANGED` rows tell of, separated by commas; empty if there are none. */
export const changedCampaigns = (rows: ReadonlyArray<OutboxRow>): string =>
  Array.from(new Set(rows.filter((row) => row.kind === "CHANGED").map((row) => integer(row.campaignId)))).join(",")

/** A condition that leaves the events of some campaigns alone; empty for none. */
export const exceptText = (campaignIds: ReadonlyArray<CampaignId>): string =>
  campaignIds.length === 0 ? "" : ` AND campaign_id NOT IN (${campaignIds.map(integer).join(",")})`

/**
 * Puts events together from their rows and what those refer to: the coupons that were read, except for batches in
 * `recent`. A coupon or campaign that is missing breaks an invariant of the schema, so it throws.
 */
export const outboxEvents = (
  rows: ReadonlyArray<OutboxRow>,
  coupons: ReadonlyArray<Coupon>,
  terms: ReadonlyArray<CampaignTerms>,
  recent: ReadonlyMap<string, ReadonlyArray<Coupon>> = new Map()
): ReadonlyArray<OutboxEvent> => {
  const byKey = new Map(coupons.map((coupon) => [`${coupon.campaignId}/${coupon.id}`, coupon]))
  const byCampaign = new Map(terms.map((of) => [of.campaignId, of]))
  return rows.map(({ campaignId, firstId, id, kind, lastId }): OutboxEvent => {
    if (kind === "CHANGED") {
      const of = byCampaign.get(campaignId)
      if (of === undefined) throw new Error(`event ${id} tells of campaign ${campaignId}, which does not exist`)
      return { _tag: "Changed", id, campaignId, terms: of }
    }
    const known = recent.get(id)
    if (known !== undefined) return { _tag: "Issued", id, campaignId, coupons: known }
    const list = Array.from({ length: lastId - firstId + 1 }, (_, index) => {
      const coupon = byKey.get(`${campaignId}/${firstId + index}`)
      if (coupon === undefined) {
        throw new Error(`event ${id} names coupon ${firstId + index} of campaign ${campaignId}, which does not exist`)
      }
      return coupon
    })
    return { _tag: "Issued", id, campaignId, coupons: list }
  })
}

/**
 * Coupons of a campaign that wait in the outbox, as `o`: one row to join. A scalar subquery that is killed would be
 * NULL, without an error.
 */
export const unrelayedCoupons = (campaignId: string): string =>
  "(SELECT COALESCE(SUM(last_id - first_id + 1), 0) AS unrelayed FROM outbox " +
  `WHERE kind = 'ISSUED' AND campaign_id = ${campaignId}) AS o`
