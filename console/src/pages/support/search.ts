import type { Coupon } from "$contract/gen/coupon/v1/coupon_pb.ts"
import { coupons } from "../../api/transport.ts"
import { idOf } from "../../logic/WholeNumber.ts"

/** What a coupon is looked up by. */
export const ways = ["user", "code", "number"] as const
export type Way = typeof ways[number]

export interface Query {
  readonly way: Way
  /** 0: of any campaign, which only users can be looked up in. */
  readonly campaignId: number
  readonly text: string
}

const MAX_USER = 2n ** 63n - 1n

/** Whether the text can be what it is meant as. */
export const isSound = ({ campaignId, text, way }: Query): boolean => {
  if (text === "" || (way !== "user" && campaignId === 0)) return false
  if (way === "code") return true
  return way === "user" ? /^[1-9]\d{0,18}$/.test(text) && BigInt(text) <= MAX_USER : idOf(text) !== undefined
}

/** The coupon of a number, the first one after the number before it. */
const byNumber = async (campaignId: number, number: number): Promise<ReadonlyArray<Coupon>> => {
  const stop = new AbortController()
  try {
    const chunks = coupons.exportCoupons({ campaignId, afterNumber: number - 1 }, { signal: stop.signal, timeoutMs: 0 })
    for await (const { coupons: [first] } of chunks) return first?.number === number ? [first] : []
    return []
  } finally {
    stop.abort()
  }
}

export interface Found {
  readonly coupons: ReadonlyArray<Coupon>
  /** The user has older ones. */
  readonly isCut: boolean
}

/** Fails with RECORD_NOT_FOUND, or is empty, if there is none. Of a user, the latest 100. */
export const find = async ({ campaignId, text, way }: Query): Promise<Found> => {
  switch (way) {
    case "user": {
      const userId = BigInt(text)
      const page = await coupons.listCoupons({ campaignId, userId, pageSize: 100, descending: true })
      return { coupons: page.coupons, isCut: page.nextPageToken !== "" }
    }
    case "code": {
      const { coupon } = await coupons.findCoupon({ campaignId, code: text })
      return { coupons: coupon === undefined ? [] : [coupon], isCut: false }
    }
    case "number":
      return { coupons: await byNumber(campaignId, idOf(text) ?? 0), isCut: false }
  }
}
