import { describe, expect, it } from "vitest"
import type { Coupon } from "../../src/domain/Coupon.ts"
import * as RecentBatches from "../../src/sql/mysql/RecentBatches.ts"

const batch = (size: number): ReadonlyArray<Coupon> =>
  Array.from(
    { length: size },
    (_, k) => ({ campaignId: 1, id: k + 1, userId: BigInt(k), code: `code${k}`, issuedAt: 0 })
  )

describe("RecentBatches", () => {
  it("hands a batch out once", () => {
    const { remember, take } = RecentBatches.make(10)
    const coupons = batch(2)
    remember("a", coupons)
    expect([take("a"), take("a"), take("b")]).toEqual([coupons, undefined, undefined])
  })

  it("is bounded by coupons, not by batches, of which the oldest go first", () => {
    const { remember, take } = RecentBatches.make(8)
    for (const id of ["a", "b", "c", "d"]) remember(id, batch(2))
    expect(["a", "b", "c", "d"].map((id) => take(id)?.length)).toEqual([2, 2, 2, 2])
    for (const id of ["a", "b", "c", "d"]) remember(id, batch(4))
    expect(["a", "b", "c", "d"].map((id) => take(id)?.length)).toEqual([undefined, undefined, 4, 4])
  })
})
