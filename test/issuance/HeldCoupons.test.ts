import { describe, expect, it } from "vitest"
import type { Coupon } from "../../src/domain/Coupon.ts"
import * as HeldCoupons from "../../src/agents/HeldCoupons.ts"

const coupon = (campaignId: number, id: number): Coupon => ({
  campaignId,
  id,
  userId: BigInt(id),
  code: String(id).padStart(10, "0"),
  issuedAt: 0
})

describe("HeldCoupons", () => {
  it("knows nothing of a campaign that is yet to start", () => {
    const held = HeldCoupons.make(4)
    held.remember(coupon(1, 1))
    held.remember(coupon(2, 1))
    held.opensAt(1, Date.now() + 60_000)
    held.remember(coupon(1, 2))
    expect([held.find(1, 1n), held.find(1, 2n), held.find(2, 1n)]).toEqual([undefined, undefined, coupon(2, 1)])
    expect([...held.campaigns()].sort()).toEqual([1, 2])
    held.opensAt(1, Date.now() - 1)
    expect(held.find(1, 2n)).toEqual(coupon(1, 2))
  })
})
