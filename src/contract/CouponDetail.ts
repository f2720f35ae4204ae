import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf"
import type { ConnectError } from "@connectrpc/connect"
import * as Either from "effect/Either"
import type { Coupon } from "../domain/Coupon.ts"
import { formatRfc3339, parseRfc3339 } from "../domain/Time.ts"
import { CouponSchema } from "./gen/coupon/v1/coupon_pb.ts"

/** A coupon as the detail `coupon.v1.Coupon` of an error. */
export const encode = (coupon: Coupon) =>
  ({
    desc: CouponSchema,
    value: {
      campaignId: coupon.campaignId,
      userId: coupon.userId,
      code: coupon.code,
      issuedAt: formatRfc3339(coupon.issuedAt),
      number: coupon.id
    } satisfies MessageInitShape<typeof CouponSchema>
  }) as const

/**
 * The first coupon among an error's details; `undefined`: there is none that can be read. Its id is 0 if the service is
 * too old to send numbers.
 */
export const decode = (details: ConnectError["details"]): Coupon | undefined => {
  for (const detail of details) {
    if (!("type" in detail) || detail.type !== CouponSchema.typeName) continue
    try {
      const { campaignId, code, issuedAt, number, userId } = fromBinary(CouponSchema, detail.value)
      const time = Either.getOrUndefined(parseRfc3339("issuedAt", issuedAt))
      if (time !== undefined) return { campaignId, id: number, userId, code, issuedAt: time }
    } catch {
      // Bytes that are no coupon: another sender's detail.
    }
  }
  return undefined
}
