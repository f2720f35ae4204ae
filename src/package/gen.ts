/**
 * The generated code of the contract, by protobuf-es: `coupon-issuance/gen` has every message and enum of
 * proto/coupon/v1, and the services, for clients and tests that speak protobuf themselves.
 *
 * @example
 * import { create, toJson } from "@bufbuild/protobuf"
 * import { IssueCouponRequestSchema } from "coupon-issuance/gen"
 *
 * const request = create(IssueCouponRequestSchema, { campaignId: 1, userId: 9007199254740993n })
 * console.log(JSON.stringify(toJson(IssueCouponRequestSchema, request)))
 * // {"campaignId":1,"userId":"9007199254740993"}
 *
 * @module
 */

export * from "../contract/gen/coupon/v1/coupon_pb.ts"
export * from "../contract/gen/coupon/v1/webhook_pb.ts"
