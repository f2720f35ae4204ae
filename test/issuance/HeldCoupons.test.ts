import { describe, expect, it } from "vitest"
import type { Coupon } from "../../src/domain/Coupon.ts"
import * as HeldCoupons from "../../src/issuance/HeldCoupons.ts"

const coupon = (campaignId: number, id: number): Coupon => ({ campaignId, id, userId: BigInt(id), code: `code${id}`, issuedAt: 0 })

describe("HeldCoupons", () => {
  it("keeps what was remembered last, within its capacity, and forgets a campaign as a whole", () => {
    const held = HeldCoupons.make(3)
    for (const [campaign, id] of [[1, 1], [1, 2], [2, 1], [2, 1]] as const) held.remember(coupon(campaign, id))
    expect(held.find(1, 1n)).toEqual(coupon(1, 1))
    held.remember(coupon(2, 2))
    expect(held.find(1, 1n)).toBeUndefined()
    expect([held.find(1, 2n), held.find(2, 1n), held.find(2, 2n)]).toEqual([coupon(1, 2), coupon(2, 1), coupon(2, 2)])
    held.forget(2)
    expect(held.find(2, 1n)).toBeUndefined()
    // The room of what was forgotten is free again.
    held.remember(coupon(3, 1))
    held.remember(coupon(3, 2))
    expect(held.find(1, 2n)).toEqual(coupon(1, 2))
  })
})
