import { create } from "@bufbuild/protobuf"
import { type Campaign, CampaignSchema } from "$contract/gen/coupon/v1/coupon_pb.ts"
import { coupons } from "../api/transport.ts"
import { clock } from "./clock.svelte.ts"

/** A campaign as it is now. */
export const readCampaign = async (campaignId: number): Promise<Campaign> => {
  const found = await coupons.getCampaign({ campaignId, pageSize: 1 })
  clock.observe(Date.parse(found.serverTime))
  const { codeCount, codeFormat, codeSource, couponLimit, createdAt, currentCoupon, endTime, id, name } = found
  const { couponValidity, openedAt, phase, returned, soldOutAt, startTime, status, undoWindow } = found
  const { updatedAt, version } = found
  return create(CampaignSchema, {
    codeCount,
    ...codeFormat === undefined ? {} : { codeFormat },
    codeSource,
    couponLimit,
    createdAt,
    currentCoupon,
    endTime,
    id,
    name,
    openedAt,
    phase,
    returned,
    soldOutAt,
    startTime,
    status,
    ...couponValidity === undefined ? {} : { couponValidity },
    undoWindow,
    updatedAt,
    version
  })
}
