/** A row of the outbox without coupons: of a changed campaign, of a created one, or of what must not commit. */
export type Marker = "CHANGED" | "CREATED" | "VOID"

/**
 * `kind` and `last_id` of each. A creation is stored as a VOID with the version that it made: the relay leaves it alone
 * and it is purged with the others. The check of the table knows no fourth kind, and a wider one would copy it under a
 * lock that every commit waits for.
 */
const stored: Readonly<Record<Marker, readonly [kind: "CHANGED" | "VOID", lastId: 0 | 1]>> = {
  CHANGED: ["CHANGED", 0],
  CREATED: ["VOID", 1],
  VOID: ["VOID", 0]
}

/** The columns that `markerValues` has values for. */
export const markerColumns = "kind, last_id, batch_id, campaign_id, created_at"

/** The row of a marker; all but its kind are expressions. */
export const markerValues = (marker: Marker, key: string, campaignId: string, now: string): string => {
  const [kind, lastId] = stored[marker]
  return `'${kind}', ${lastId}, ${key}, ${campaignId}, ${now}`
}

/** The condition that a row is such a marker. */
export const isMarker = (marker: Marker): string => {
  const [kind, lastId] = stored[marker]
  return `kind = '${kind}' AND last_id = ${lastId}`
}
