import type { CouponValidity } from "$contract/gen/coupon/v1/coupon_pb.ts"
import * as m from "../paraglide/messages.js"
import { settings } from "../state/settings.svelte.ts"

/** How long a campaign's coupons can be redeemed, in words. */
export const validityText = (
  validity: Partial<Pick<CouponValidity, "after" | "endOfDayZone" | "until">> | undefined
): string => {
  const { after = "", endOfDayZone = "", until = "" } = validity ?? {}
  const { format } = settings
  if (until !== "") return `${m.sale_valid_until()} ${format.dateTime(Date.parse(until))}`
  if (after === "") return m.acts_valid_unlimited()
  const span = format.duration(after)
  return endOfDayZone === "" ? m.sale_valid_for({ span }) : m.sale_valid_for_days({ span, zone: endOfDayZone })
}
