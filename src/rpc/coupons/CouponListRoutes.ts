import { create } from "@bufbuild/protobuf"
import * as Effect from "effect/Effect"
import { parseQuery } from "../../campaigns/CouponQuery.ts"
import { parseCampaignId } from "../../domain/Campaign.ts"
import {
  CouponService,
  FindCouponResponseSchema,
  ListCouponsResponseSchema
} from "../../contract/gen/coupon/v1/coupon_pb.ts"
import * as CouponDetail from "../../contract/CouponDetail.ts"
import { couponsOf } from "./CouponMessages.ts"
import * as Routes from "../Route.ts"

/** What a coupon takes in an answer, in bytes. */
const COUPON_BYTES = 120

export const listCoupons = Routes.make({
  method: CouponService.method.listCoupons,
  bound: "read",
  access: "VIEWER",
  call: ({ coupons }, input) => Effect.flatMap(parseQuery(input), coupons.list),
  respond: ({ coupons, nextPageToken }) =>
    create(ListCouponsResponseSchema, { coupons: couponsOf(coupons), nextPageToken: nextPageToken ?? "" }),
  paced: true,
  sizeOf: ({ coupons }) => coupons.length * COUPON_BYTES
})

export const findCoupon = Routes.make({
  method: CouponService.method.findCoupon,
  bound: "read",
  access: "VIEWER",
  call: ({ coupons, redemptions }, { campaignId, code }) =>
    Effect.flatMap(parseCampaignId(campaignId), (id) =>
      Effect.flatMap(coupons.find(id, code), redemptions.known)),
  respond: (coupon) => create(FindCouponResponseSchema, { coupon: CouponDetail.fields(coupon) })
})
