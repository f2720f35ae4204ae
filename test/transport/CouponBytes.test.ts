import { create, toBinary } from "@bufbuild/protobuf"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ExportCouponsResponseSchema } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import type { DatedCoupon } from "../../src/domain/redemption/Redemption.ts"
import { couponsField } from "../../src/rpc/coupons/CouponBytes.ts"
import { couponsOf } from "../../src/rpc/coupons/CouponMessages.ts"

const time = fc.oneof(
  fc.integer({ min: 0, max: 8_640_000_000_000_000 }),
  fc.constantFrom(1_750_809_600_000, 1_750_809_600_123)
)
const number = fc.oneof(fc.integer({ min: 0, max: 2_147_483_647 }), fc.constantFrom(0, 1, 127, 128, 16_383, 16_384))

const coupon: fc.Arbitrary<DatedCoupon> = fc.record({
  campaignId: number,
  id: number,
  userId: fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
    fc.constantFrom(0n, 127n, 128n, 2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n)
  ),
  code: fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 64 }),
    fc.string({ unit: "binary", maxLength: 70 }),
    fc.constantFrom("", "가나다라마바사아자차", "A".repeat(127), "A".repeat(128), "힣".repeat(64), "😀".repeat(64))
  ),
  issuedAt: time,
  expiresAt: fc.option(time, { nil: undefined })
})

describe("coupons of exports as bytes", () => {
  it("are those of protobuf-es", () => {
    fc.assert(fc.property(fc.array(coupon, { maxLength: 20 }), (coupons) => {
      const expected = toBinary(ExportCouponsResponseSchema, create(ExportCouponsResponseSchema, {
        coupons: couponsOf(coupons)
      }))
      expect(Buffer.from(expected).equals(couponsField(coupons))).toBe(true)
    }), { numRuns: 500 })
  })
})
