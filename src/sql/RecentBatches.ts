import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Coupon } from "../domain/Coupon.ts"

/**
 * The coupons of batches that this process has just committed, so that its relay need not read them back: the usual case, which
 * saves mysqld a lookup and Node a row a coupon. What is not here (another instance's batch, one resolved from doubt, one of
 * before a restart) is read from the ledger.
 */
export class RecentBatches extends Context.Tag("coupon/sql/RecentBatches")<RecentBatches, {
  /** `coupons` were committed under this batch id, all of them, in the order of their ids. */
  readonly remember: (batchId: string, coupons: ReadonlyArray<Coupon>) => void
  /** The coupons of a batch, once. */
  readonly take: (batchId: string) => ReadonlyArray<Coupon> | undefined
}>() {}

/** Batches that no poll of this process took, because another instance's did, are forgotten beyond so many. */
const CAPACITY = 500

export const make = (capacity: number): RecentBatches["Type"] => {
  let young = new Map<string, ReadonlyArray<Coupon>>()
  let old = new Map<string, ReadonlyArray<Coupon>>()
  return {
    remember: (batchId, coupons) => {
      if (young.size >= capacity / 2) {
        old = young
        young = new Map()
      }
      young.set(batchId, coupons)
    },
    take: (batchId) => {
      const coupons = young.get(batchId) ?? old.get(batchId)
      if (coupons !== undefined && !young.delete(batchId)) old.delete(batchId)
      return coupons
    }
  }
}

export const layer = Layer.effect(RecentBatches, Effect.sync(() => make(CAPACITY)))
