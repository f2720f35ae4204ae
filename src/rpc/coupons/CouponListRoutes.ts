import { create } from "@bufbuild/protobuf"
import * as Effect from "effect/Effect"
import { parseQuery } from "../../campaigns/listing/CouponQuery.ts"
import { parseCampaignId } from "../../domain/Campaign.ts"
import { InvalidArgument } from "../../domain/InvalidArgument.ts"
import {
  CouponService,
  FindCouponResponseSchema,
  ListCouponsResponseSchema
} from "../../contract/gen/coupon/v1/coupon_pb.ts"
import * as CouponDetail from "../../contract/CouponDetail.ts"
import { couponsOf } from "./CouponMessages.ts"
import * as Routes from "../Route.ts"

/** What a coupon takes in an answer, in bytes. */
const COUPON_BYTES = 200

export const listCoupons = Routes.make({
  method: CouponService.method.listCoupons,
  bound: "read",
  access: "VIEWER",
  call: ({ coupons }, input) => {
    const states = input.states.map((state) => CouponDetail.statesFromWire.get(state))
    return states.every((state) => state !== undefined)
      ? Effect.flatMap(parseQuery({ ...input, states }), coupons.list)
      : Effect.fail(new InvalidArgument({ field: "states", reason: "must be some that coupons have" }))
  },
  respond: ({ coupons, nextPageToken }) =>
    create(ListCouponsResponseSchema, { coupons: couponsOf(coupons), nextPageToken: nextPageToken ?? "" }),
  paced: true,
  sizeOf: ({ coupons }) => coupons.length * COUPON_BYTES
})

export const findCoupon = Routes.make({
  method: CouponService.method.findCoupon,
  bound: "read",
  access: "LOOK_UP",
  call: ({ coupons, redemptions }, { campaignId, code }) =>
    Effect.flatMap(parseCampaignId(campaignId), (id) =>
      Effect.flatMap(coupons.find(id, code), redemptions.known)),
  respond: (coupon) => create(FindCouponResponseSchema, { coupon: CouponDetail.fields(coupon) })
})
