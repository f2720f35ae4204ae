import { type Campaign, CampaignStatus } from "../../../src/contract/gen/coupon/v1/coupon_pb.ts"

/**
 * When a campaign closes or closed, in epoch milliseconds: at its end, or when an operator ended it. A campaign that
 * was ended does not change any more. `undefined`: it has no end.
 */
export const closedAt = (
  { endTime, status, updatedAt }: Pick<Campaign, "endTime" | "status" | "updatedAt">
): number | undefined => {
  const end = endTime === "" ? Infinity : Date.parse(endTime)
  const at = status === CampaignStatus.ENDED ? Math.min(end, Date.parse(updatedAt)) : end
  return Number.isFinite(at) ? at : undefined
}
