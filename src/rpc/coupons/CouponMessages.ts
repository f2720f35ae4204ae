import { create, type MessageShape } from "@bufbuild/protobuf"
import * as CouponDetail from "../../contract/CouponDetail.ts"
import type { DatedCoupon, KnownCoupon } from "../../domain/redemption/Redemption.ts"
import { formatRfc3339 } from "../../domain/Time.ts"
import { CouponSchema } from "../../contract/gen/coupon/v1/coupon_pb.ts"

let lastIssuedAt = 0
let lastIssuedText = formatRfc3339(lastIssuedAt)

/** Coupons of one ledger batch share their time, and to write it is 3.5 % of a claim's CPU. */
export const issuedText = (issuedAt: number): string => {
  if (issuedAt !== lastIssuedAt) {
    lastIssuedText = formatRfc3339(issuedAt)
    lastIssuedAt = issuedAt
  }
  return lastIssuedText
}

/** A coupon as the API shows it. */
export const couponOf = (coupon: DatedCoupon | KnownCoupon): MessageShape<typeof CouponSchema> =>
  create(CouponSchema, CouponDetail.fields(coupon, issuedText))

export const couponsOf = (
  coupons: ReadonlyArray<DatedCoupon | KnownCoupon>
): Array<MessageShape<typeof CouponSchema>> => coupons.map(couponOf)
