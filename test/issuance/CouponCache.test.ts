import { describe, expect, it } from "vitest"
import type { Coupon } from "../../src/domain/Coupon.ts"
import * as CouponCode from "../../src/domain/CouponCode.ts"
import * as CouponCache from "../../src/agents/CouponCache.ts"

const coupon = (campaignId: number, userId: bigint, id = 1): Coupon =>
  ({ campaignId, id, userId, code: CouponCode.generate(), issuedAt: 1_750_000_000_123 + id })

describe("the cache of coupons", () => {
  it("gives back what it was given, for any user id and code", () => {
    const cache = CouponCache.make(10)
    const users = [1n, 2n ** 31n, 2n ** 32n, 2n ** 32n + 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n]
    const given = users.flatMap((userId, i) => [coupon(1, userId, i + 1), coupon(2_147_483_647, userId, 10_000_000)])
    for (const one of given) cache.remember(one)
    for (const one of given) expect(cache.find(one.campaignId, one.userId)).toEqual(one)
    expect(cache.find(1, 3n)).toBeUndefined()
    expect(cache.find(3, 1n)).toBeUndefined()
  })

  it("gives back codes of any length, also of a slot that had one of another length", () => {
    const cache = CouponCache.make(0)
    for (const code of ["SUMMER-0011-ABCD", "1", CouponCode.generate(), "🎟️".repeat(5), "x".repeat(63)]) {
      const one = { ...coupon(1, 1n), code }
      cache.remember(one)
      expect(cache.find(1, 1n)).toEqual(one)
    }
  })

  it("gives back when a coupon expires, also of a slot whose coupon did not", () => {
    const cache = CouponCache.make(0)
    for (const code of [CouponCode.generate(), "SUMMER-0011-ABCD"]) {
      for (const expiresAt of [1_790_000_000_456, undefined, 0]) {
        const { expiresAt: _, ...plain } = { ...coupon(1, 1n), code, expiresAt }
        cache.remember({ ...plain, expiresAt })
        const found = cache.find(1, 1n)
        expect(found).toEqual(expiresAt === undefined ? plain : { ...plain, expiresAt })
        expect(cache.find(1, 1n)).toBe(found)
      }
    }
  })

  it("holds the latest coupons of a set, whose oldest gives way", () => {
    const cache = CouponCache.make(0)
    const given = [1, 2, 3, 4, 5].map((id) => coupon(1, BigInt(id), id))
    for (const one of given) cache.remember(one)
    expect(given.map(({ userId }) => cache.find(1, userId)?.id)).toEqual([undefined, 2, 3, 4, 5])
  })

  it("gives the same object to all who ask, and a new one once the slot has another coupon", () => {
    const cache = CouponCache.make(0)
    const [first, ...others] = [1, 2, 3, 4, 5].map((id) => coupon(1, BigInt(id), id))
    cache.remember(first!)
    const found = cache.find(1, 1n)
    expect(cache.find(1, 1n)).toBe(found)
    const replaced = { ...first!, id: 9 }
    cache.remember(replaced)
    expect(cache.find(1, 1n)).toEqual(replaced)
    for (const one of others) cache.remember(one)
    expect([1n, 2n, 3n, 4n, 5n].map((userId) => cache.find(1, userId))).toEqual([undefined, ...others])
    cache.forget(1)
    expect(cache.find(1, 5n)).toBeUndefined()
  })

  it("takes one slot for a coupon, however often it is remembered", () => {
    const cache = CouponCache.make(0)
    const [first, ...others] = [1, 2, 3, 4].map((id) => coupon(1, BigInt(id), id))
    for (const one of [first!, first!, first!, ...others, first!]) cache.remember(one)
    expect([1n, 2n, 3n, 4n].map((userId) => cache.find(1, userId)?.id)).toEqual([1, 2, 3, 4])
  })

  it("spreads users of consecutive ids, and of many campaigns, over all of its sets", () => {
    const cache = CouponCache.make(8)
    const users = Array.from({ length: 512 }, (_, i) => BigInt(i + 1))
    for (const userId of users) cache.remember(coupon(1, userId))
    // Half as many as there are slots: of sets that are filled at random, 5 % of the users find theirs full.
    expect(users.filter((userId) => cache.find(1, userId) !== undefined).length).toBeGreaterThan(440)
    const campaigns = Array.from({ length: 512 }, (_, i) => i + 2)
    for (const campaignId of campaigns) cache.remember(coupon(campaignId, 1n))
    expect(campaigns.filter((campaignId) => cache.find(campaignId, 1n) !== undefined).length).toBeGreaterThan(440)
  })

  it("forgets a campaign as a whole, and names those that are left", () => {
    const cache = CouponCache.make(4)
    for (const one of [coupon(1, 1n), coupon(2, 1n), coupon(2, 2n), coupon(3, 1n)]) cache.remember(one)
    expect([...cache.campaigns()].sort()).toEqual([1, 2, 3])
    cache.forget(2)
    expect([cache.find(2, 1n), cache.find(2, 2n)]).toEqual([undefined, undefined])
    expect(cache.find(3, 1n)).toBeDefined()
    expect([...cache.campaigns()].sort()).toEqual([1, 3])
  })
})
