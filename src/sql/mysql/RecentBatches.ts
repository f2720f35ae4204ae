import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Coupon } from "../../domain/Coupon.ts"

/**
 * The coupons of batches that this process has just committed, so that its relay need not read them back: the usual
 * case, which saves mysqld a lookup and Node a row a coupon. What is not here (another instance's batch, one resolved
 * from doubt, one of before a restart) is read from the ledger.
 */
export class RecentBatches extends Context.Tag("coupon/sql/RecentBatches")<RecentBatches, {
  /** `coupons` were committed under this batch id, all of them, in the order of their ids. */
  readonly remember: (batchId: string, coupons: ReadonlyArray<Coupon>) => void
  /** The coupons of a batch, once. */
  readonly take: (batchId: string) => ReadonlyArray<Coupon> | undefined
}>() {}

/**
 * Some 5 MB of coupons: those that no poll of this process took, because another instance's did or none succeeds, are
 * forgotten.
 */
const CAPACITY = 20_000

/**
 * Keeps at least the latest `capacity / 2` coupons, give or take a batch, and never more than `capacity` and a batch.
 */
export const make = (capacity: number): RecentBatches["Type"] => {
  let young = new Map<string, ReadonlyArray<Coupon>>()
  let old = new Map<string, ReadonlyArray<Coupon>>()
  let room = capacity / 2
  return {
    remember: (batchId, coupons) => {
      if (room <= 0) {
        old = young
        young = new Map()
        room = capacity / 2
      }
      room -= coupons.length
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
