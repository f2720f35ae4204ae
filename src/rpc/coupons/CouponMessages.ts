import { create, type MessageShape } from "@bufbuild/protobuf"
import * as CouponDetail from "../../contract/CouponDetail.ts"
import type { DatedCoupon, KnownCoupon } from "../../domain/redemption/Redemption.ts"
import { type EpochMillis, formatRfc3339 } from "../../domain/Time.ts"
import { CouponSchema } from "../../contract/gen/coupon/v1/coupon_pb.ts"

/** Writes times, the same one again at once. */
const makeText = (): (time: EpochMillis) => string => {
  let last = 0
  let text = formatRfc3339(last)
  return (time) => {
    if (time !== last) {
      text = formatRfc3339(time)
      last = time
    }
    return text
  }
}

/** Coupons of one ledger batch share their times, and to write one is 3.5 % of a claim's CPU. */
export const issuedText = makeText()
export const expiryText = makeText()

/** A coupon as the API shows it. */
export const couponOf = (coupon: DatedCoupon | KnownCoupon): MessageShape<typeof CouponSchema> =>
  create(CouponSchema, CouponDetail.fields(coupon, issuedText))

export const couponsOf = (
  coupons: ReadonlyArray<DatedCoupon | KnownCoupon>
): Array<MessageShape<typeof CouponSchema>> => coupons.map(couponOf)
