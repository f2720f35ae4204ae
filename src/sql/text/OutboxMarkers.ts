/** A row of the outbox without coupons: of a changed campaign, of a created one, or of what must not commit. */
export type Marker = "CHANGED" | "CREATED" | "VOID"

/**
 * `last_id` of a marker of the kind VOID. A creation is stored as a VOID with the version that it made: the relay
 * leaves it alone and it is purged with the others. The check of the table knows no fourth kind, and a wider one would
 * copy it under a lock that every commit waits for.
 */
const voidLastId: Readonly<Record<Exclude<Marker, "CHANGED">, 0 | 1>> = { CREATED: 1, VOID: 0 }

/** The columns that `markerValues` has values for. */
export const markerColumns = "kind, last_id, batch_id, campaign_id, created_at"

/** The row of a marker; all but its kind are expressions. */
export const markerValues = (
  marker: Exclude<Marker, "CHANGED">,
  key: string,
  campaignId: string,
  now: string
): string => `'VOID', ${voidLastId[marker]}, ${key}, ${campaignId}, ${now}`

/**
 * Inserts the marker of a change, from the campaign as it is after it: `first_id` is its new version and `last_id` how
 * many coupons were issued before, which is the change's place among the coupons. Older programs write zeros.
 */
export const changedMarker = (key: string, now: string, where: string): string =>
  `INSERT INTO outbox (kind, first_id, last_id, batch_id, campaign_id, created_at)
SELECT 'CHANGED', version, current_coupon, ${key}, id, ${now} FROM campaigns WHERE ${where}`

/**
 * `first_id` of a marker of redemptions, a row of the kind CHANGED: `last_id` is the sequence of the last one. The
 * campaign's terms are as they were, so an older program's relay that sends them to the gate does no harm.
 */
const REDEMPTIONS = -1

/** Inserts the marker of a batch of redemptions, whose head has moved on. */
export const redemptionMarker = (key: string, now: string, campaignId: string): string =>
  `INSERT INTO outbox (kind, first_id, last_id, batch_id, campaign_id, created_at)
SELECT 'CHANGED', ${REDEMPTIONS}, sequence, ${key}, campaign_id, ${now} FROM redemption_heads
WHERE campaign_id = ${campaignId}`

/** Whether the row `row` of the outbox is such a marker, as a condition. */
export const redemptionMarkers = (row: string): string => `${row}.kind = 'CHANGED' AND ${row}.first_id = ${REDEMPTIONS}`

/** Whether a row of the outbox is such a marker. */
export const isRedemptionMarker = (row: { readonly kind: string; readonly firstId: number }): boolean =>
  row.kind === "CHANGED" && row.firstId === REDEMPTIONS

/** The condition that a row is such a marker. */
export const isMarker = (marker: Marker): string =>
  marker === "CHANGED" ? "kind = 'CHANGED'" : `kind = 'VOID' AND last_id = ${voidLastId[marker]}`
