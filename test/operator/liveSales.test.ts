import { describe, expect, it } from "vitest"
import { type SaleSecond, saleCounts } from "../../src/domain/sale/SaleSecond.ts"
import * as LiveSales from "../../src/operator/live/LiveSales.ts"

const second = (at: number, issued: number): SaleSecond => [at, issued, ...saleCounts.slice(1).map(() => 0)]

describe("the seconds of a sale over all instances", () => {
  it("are sums, in which an instance's later count replaces its earlier one", () => {
    const sales = LiveSales.make()
    expect(sales.all(1)).toBeUndefined()
    sales.watch(new Set([1]), 0)
    sales.take("a", [[1, [second(10, 1), second(11, 2)]], [2, [second(10, 9)]]])
    sales.take("b", [[1, [second(11, 5)]]])
    expect(sales.news(1)).toEqual([second(10, 1), second(11, 7)])
    sales.settle()
    sales.take("a", [[1, [second(10, 1), second(11, 3)]]])
    expect(sales.news(1)).toEqual([second(11, 8)])
    expect(sales.all(1)).toEqual([second(10, 1), second(11, 8)])
    expect(sales.all(2)).toBeUndefined()
  })

  it("of a version that counts more, or of none, break nothing", () => {
    const sales = LiveSales.make()
    sales.watch(new Set([1]), 0)
    sales.take("new", [[1, [[...second(10, 1), 4]]]])
    sales.take("a", [[1, [second(10, 1)]]])
    sales.take("odd", [[1, [["x"], null, [10, Number.NaN]] as unknown as ReadonlyArray<SaleSecond>]])
    sales.take("odd", [[1, {} as ReadonlyArray<SaleSecond>]])
    expect(sales.all(1)).toEqual([[...second(10, 2), 4]])
  })

  it("are asked for as a whole when a campaign is first read, and then as they come", () => {
    const sales = LiveSales.make()
    const ids = [1, 2, 3, 4, 5]
    sales.watch(new Set(ids), 100_000)
    expect(sales.wants(100_000)).toEqual([[1, 0], [2, 0], [3, 0], [4, 0], [5, 90]])
    expect(sales.wants(111_000)).toEqual([[1, 101], [2, 101], [3, 101], [4, 101], [5, 0]])
    // Without a reader they are kept for a while.
    sales.watch(new Set([5]), 150_000)
    expect(sales.wants(150_000)).toHaveLength(5)
    sales.watch(new Set([5]), 170_000)
    expect(sales.wants(170_000).map(([id]) => id)).toEqual([5])
  })

  it("are bounded: in campaigns, in seconds of each, and in what one notice holds", () => {
    const sales = LiveSales.make()
    sales.watch(new Set(Array.from({ length: 50 }, (_, k) => k + 1)), 0)
    expect(sales.wants(0)).toHaveLength(LiveSales.MAX_WATCHED)
    const many = Array.from({ length: 2_000 }, (_, k) => second(k + 1, 1))
    sales.take("a", [[1, many]])
    expect(sales.all(1)).toEqual(many.slice(-900))
    const parts = LiveSales.partsOf([[1, 0], [2, 5], [2, 0], [3, 0], ["x", 0] as never], (id, from) =>
      id === 3 ? [] : many.slice(from))
    expect(parts.map(([id, seconds]) => [id, seconds.length])).toEqual([[1, 2_000], [2, 2_000]])
    expect(LiveSales.partsOf([[1, 0], [2, 0], [4, 0]], () => many).map(([id]) => id)).toEqual([1, 2])
  })
})
