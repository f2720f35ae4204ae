import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf"
import type { ConnectError } from "@connectrpc/connect"
import * as Either from "effect/Either"
import { formatRfc3339, parseRfc3339 } from "../domain/Time.ts"
import type { HeldCoupon } from "./FailureTable.ts"
import { CouponSchema } from "./gen/coupon/v1/coupon_pb.ts"

/** A coupon as the detail `coupon.v1.Coupon` of an error. */
export const encode = (coupon: HeldCoupon) =>
  ({
    desc: CouponSchema,
    value: {
      campaignId: coupon.campaignId,
      userId: coupon.userId,
      code: coupon.code,
      issuedAt: formatRfc3339(coupon.issuedAt)
    } satisfies MessageInitShape<typeof CouponSchema>
  }) as const

/** The first coupon among an error's details; `undefined`: there is none that can be read. */
export const decode = (details: ConnectError["details"]): HeldCoupon | undefined => {
  for (const detail of details) {
    if (!("type" in detail) || detail.type !== CouponSchema.typeName) continue
    try {
      const { campaignId, code, issuedAt, userId } = fromBinary(CouponSchema, detail.value)
      const time = Either.getOrUndefined(parseRfc3339("issuedAt", issuedAt))
      if (time !== undefined) return { campaignId, userId, code, issuedAt: time }
    } catch {
      // Bytes that are no coupon: another sender's detail.
    }
  }
  return undefined
}
