import type { AuditedAction } from "../../ports/AuditLog.ts"
import type { ErasedPosition, Erasure } from "../../ports/operation/Erasures.ts"
import { integer } from "./Literals.ts"

/** The columns of `erased_coupons` that a `recent` reads. */
const columns = "campaign_id, coupon_id, user_id"

/** An erasure as the audit log has it: which coupon, and never whose it was. */
export const erasureAct = ({ campaignId, couponId, reason }: Erasure): AuditedAction =>
  ({ action: "coupon.erase", campaignId, before: undefined, after: { coupon: { number: couponId, reason } } })

/** The coupon of an erasure, as a condition on the rows `row` of coupons. */
const isCoupon = ({ campaignId, couponId, userId }: Erasure, row: string): string =>
  `${row}.campaign_id = ${integer(campaignId)} AND ${row}.id = ${integer(couponId)} AND ${row}.user_id = ${
    integer(userId)
  }`

/** The rows of coupons that are of this erasure: one, or none. */
export const heldRows = (erasure: Erasure): string => `FROM coupons AS p WHERE ${isCoupon(erasure, "p")}`

/** The rows of the outbox that have the coupon: a relay is still to bring it to the gate, under its user. */
export const unrelayedRows = ({ campaignId, couponId }: Erasure): string =>
  `FROM outbox AS o WHERE o.kind = 'ISSUED' AND o.campaign_id = ${integer(campaignId)}
AND o.first_id <= ${integer(couponId)} AND o.last_id >= ${integer(couponId)}`

/** Whether this erasure, under its change id `key`, has been made, as a condition on the rows `e`. */
export const isErasure = ({ campaignId, couponId }: Erasure, key: string): string =>
  `e.campaign_id = ${integer(campaignId)} AND e.coupon_id = ${integer(couponId)} AND e.change_id = ${key}`

/** Notes the coupon and its user, if the coupon may be erased; `issuedBefore`: a time, `relayed`: a condition. */
export const noteText = (
  erasure: Erasure,
  { issuedBefore, key, now, relayed }: {
    readonly issuedBefore: string
    readonly key: string
    readonly now: string
    readonly relayed: string
  }
): string =>
  `INSERT INTO erased_coupons (campaign_id, coupon_id, user_id, change_id, at)
SELECT p.campaign_id, p.id, p.user_id, ${key}, ${now}
${heldRows(erasure)} AND p.issued_at <= ${issuedBefore} AND ${relayed}`

/** Replaces the user of a coupon that this transaction has noted by `erasedUser`. */
export const eraseText = (erasure: Erasure, key: string): string =>
  `UPDATE coupons SET user_id = -id
WHERE campaign_id = ${integer(erasure.campaignId)} AND id = ${integer(erasure.couponId)}
AND user_id = ${integer(erasure.userId)}
AND EXISTS (SELECT 1 FROM erased_coupons AS e WHERE ${isErasure(erasure, key)})`

/** What became of it: `erased` and `held`, each 0 or 1. */
export const verdictText = (erasure: Erasure, key: string): string =>
  `SELECT (SELECT COUNT(*) FROM erased_coupons AS e WHERE ${isErasure(erasure, key)}) AS erased,
(SELECT COUNT(*) ${heldRows(erasure)}) AS held`

export const recentText = (position: ErasedPosition | undefined, limit: number): string => {
  const campaignId = integer(position?.campaignId ?? 0)
  return `SELECT ${columns} FROM erased_coupons
WHERE campaign_id > ${campaignId} OR (campaign_id = ${campaignId} AND coupon_id > ${integer(position?.couponId ?? 0)})
ORDER BY campaign_id, coupon_id LIMIT ${integer(limit)}`
}

export const followedText = (campaignId: number, couponIds: ReadonlyArray<number>): string =>
  `UPDATE erased_coupons SET user_id = NULL
WHERE campaign_id = ${integer(campaignId)} AND coupon_id IN (${couponIds.map(integer).join(",")})`

/** The oldest coupons that the gate has followed, erased before a time. */
export const oldText = (before: string, limit: number): string =>
  `SELECT campaign_id, coupon_id FROM erased_coupons WHERE at < ${before} AND user_id IS NULL
ORDER BY at LIMIT ${integer(limit)}`
