import type { CampaignId } from "../CampaignId.ts"
import type { Coupon } from "../Coupon.ts"
import type { EpochMillis } from "../Time.ts"
import { type CouponValidity, expiryOf } from "./CouponValidity.ts"
import type { ZoneRules } from "./ZoneRules.ts"

/** A validity that a campaign got, from one of its coupons on. It never changes. */
export interface ValidityChange {
  /** The version of the campaign that set it. */
  readonly version: number
  /** The number of the first coupon that it is for, if no later change has the same one. */
  readonly firstId: number
  /** `undefined`: coupons do not expire. */
  readonly validity: CouponValidity | undefined
  /** The zone's rules as they were stored with it; `undefined`: it has no zone. */
  readonly rules: ZoneRules | undefined
}

/** The validities of a campaign up to a coupon. Later changes are for later coupons alone. */
export interface ValidityHistory {
  readonly campaignId: CampaignId
  /** How many coupons were issued when this was read: of these, it says when they expire. */
  readonly issued: number
  /** In the order in which they were set; the first coupons of a campaign may have none. */
  readonly changes: ReadonlyArray<ValidityChange>
}

/**
 * From when on a coupon cannot be redeemed; `undefined`: it does not expire. What this is computed from never changes,
 * so neither does the result.
 */
export const expiresAt = (
  { changes }: ValidityHistory,
  { id, issuedAt }: Pick<Coupon, "id" | "issuedAt">
): EpochMillis | undefined => {
  const change = changes.findLast(({ firstId }) => firstId <= id)
  return change?.validity === undefined ? undefined : expiryOf(change.validity, change.rules, issuedAt)
}
