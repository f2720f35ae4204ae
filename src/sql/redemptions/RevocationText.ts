import type { AuditedAction } from "../../ports/AuditLog.ts"
import type { Revocation } from "../../ports/Redemptions.ts"
import { changedPhases, type PhaseDialect } from "../text/CampaignPhaseText.ts"
import { changeAct } from "../text/CampaignText.ts"
import { integer } from "../text/Literals.ts"
import { changedMarker } from "../text/OutboxMarkers.ts"

/** A revocation as the audit log has it. Where a slot is returned it is a change of the campaign, with its coupon. */
export const revocationAct = ({ campaignId, item, raise }: Revocation): AuditedAction => {
  const { couponId, details: { reason }, requestId } = item
  const coupon = { number: couponId, requestId, reason }
  if (raise === undefined) return { action: "coupon.revoke", campaignId, before: undefined, after: { coupon } }
  const act = changeAct({ action: "campaign.return", ...raise })
  return { ...act, after: { ...act.after as object, coupon } }
}

/** The condition that a revocation is stored that could be made; `stands`: the campaign is what `raise.from` is. */
export const mayBeDone = ({ item, raise }: Revocation, stands: string): string | undefined =>
  !item.slotReturned ? undefined : raise === undefined ? "1 = 0" : stands

/**
 * The statements by which a slot is returned, if this transaction has revoked the coupon, which `done` says. They are
 * those of a change of the campaign that raises its limit, marker included.
 */
export const returnText = (
  { from, to }: NonNullable<Revocation["raise"]>,
  { done, key, now, phases }: {
    readonly done: string
    readonly key: string
    readonly now: string
    readonly phases: PhaseDialect
  }
): ReadonlyArray<string> => {
  const id = integer(from.campaignId)
  return [
    `UPDATE campaigns SET coupon_limit = ${integer(to.couponLimit)}, returned = ${integer(to.returned)},
version = version + 1, updated_at = ${now}
WHERE id = ${id} AND version = ${integer(from.version)} AND ${done}`,
    `DELETE FROM campaign_raises WHERE campaign_id = ${id} AND ${done}`,
    ...changedPhases({ from, to }, now, done, phases),
    changedMarker(key, now, `id = ${id} AND ${done}`)
  ]
}
