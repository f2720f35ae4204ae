import { describe, expect, it } from "vitest"
import type { Coupon } from "../../src/domain/Coupon.ts"
import { type CommitFacts, decide } from "../../src/sql/ClaimDecision.ts"

const facts: CommitFacts = {
  campaignId: 1,
  campaign: {
    couponLimit: 10,
    issuedCount: 3,
    status: "ACTIVE",
    startTime: 0,
    endTime: undefined,
    codes: undefined,
    codeCount: 0,
    validity: undefined
  },
  now: 1_000,
  inserted: 1
}

const claims = [1n, 2n, 3n].map((userId) => ({ userId, code: `C${userId}` }))

const coupon = (id: number, userId: bigint): Coupon =>
  ({ campaignId: 1, id, userId, code: `C${userId}`, issuedAt: 1_000 })

describe("verdicts on a batch whose users are erased between its commit and the read of their coupons", () => {
  it("are NotIssued where a user held a coupon at the commit, and leave the others as they are", () => {
    const verdicts = decide(facts, claims, [coupon(4, 1n), coupon(2, 3n)])
    expect(verdicts).toMatchObject([
      { _tag: "Issued", coupon: { id: 4 } },
      { _tag: "NotIssued" },
      { _tag: "Rejected", reason: { _tag: "CouponAlreadyClaimed" } }
    ])
  })

  it("are NotIssued where the coupon of this batch itself is erased already", () => {
    expect(decide(facts, claims.slice(0, 1), [])).toEqual([{ _tag: "NotIssued" }])
  })

  it("are a defect where coupons are missing that no erasure explains, or are too many", () => {
    const held = claims.map(({ userId }) => coupon(Number(userId), userId))
    expect(() => decide(facts, claims, held)).toThrow("the batch inserted 1 coupons, but 0 of its users hold them")
    expect(() => decide({ ...facts, inserted: 3 }, claims.slice(0, 1), [])).toThrow("inserted 3 coupons, but 0")
  })
})
