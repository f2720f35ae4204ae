import { describe, expect, it } from "vitest"
import type { Coupon } from "../../src/domain/Coupon.ts"
import * as HeldCoupons from "../../src/issuance/HeldCoupons.ts"

const coupon = (campaignId: number, id: number): Coupon => ({ campaignId, id, userId: BigInt(id), code: `code${id}`, issuedAt: 0 })

describe("HeldCoupons", () => {
  it("keeps at least the latest half of its capacity, never more than all of it, and forgets a campaign as a whole", () => {
    const held = HeldCoupons.make(4)
    const knows = (...coupons: ReadonlyArray<readonly [campaign: number, id: number]>) =>
      coupons.map(([campaign, id]) => held.find(campaign, BigInt(id)) !== undefined)
    for (const [campaign, id] of [[1, 1], [1, 2], [2, 1], [2, 2]] as const) held.remember(coupon(campaign, id))
    expect(held.find(1, 1n)).toEqual(coupon(1, 1))
    expect(knows([1, 2], [2, 1], [2, 2])).toEqual([true, true, true])
    held.remember(coupon(3, 1))
    expect(knows([1, 1], [1, 2], [2, 1], [2, 2], [3, 1])).toEqual([false, false, true, true, true])
    held.forget(2)
    held.forget(3)
    expect(knows([2, 1], [2, 2], [3, 1])).toEqual([false, false, false])
  })

  it("knows nothing of a campaign that is yet to start", () => {
    const held = HeldCoupons.make(4)
    held.remember(coupon(1, 1))
    held.remember(coupon(2, 1))
    held.opensAt(1, Date.now() + 60_000)
    held.remember(coupon(1, 2))
    expect([held.find(1, 1n), held.find(1, 2n), held.find(2, 1n)]).toEqual([undefined, undefined, coupon(2, 1)])
    expect(held.campaigns()).toEqual([1, 2])
    held.opensAt(1, Date.now() - 1)
    expect(held.find(1, 2n)).toEqual(coupon(1, 2))
  })
})
