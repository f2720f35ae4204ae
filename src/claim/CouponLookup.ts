import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CampaignId } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import * as Batcher from "./Batcher.ts"
import { Ledger, type LedgerUnavailable } from "../ports/Ledger.ts"

/** Reads single coupons from the ledger, a batch of users at a time. */
export class CouponLookup extends Context.Tag("coupon/issuance/CouponLookup")<CouponLookup, {
  /** The user's coupon, if there is one; `expiresAt` in milliseconds of `performance.now()`. */
  readonly find: (
    campaignId: CampaignId,
    userId: UserId,
    expiresAt: number
  ) => Effect.Effect<Coupon | undefined, LedgerUnavailable | Batcher.BatchTimeout>
  /** `find` without a fiber: `done` is called exactly once, never before this returns. */
  readonly begin: (
    campaignId: CampaignId,
    userId: UserId,
    expiresAt: number,
    done: Batcher.Done<Coupon | undefined, LedgerUnavailable>
  ) => void
  /** Lookups that queue or are under way. */
  readonly size: () => number
}>() {}

const BATCH_SIZE = 500
const BATCHES_IN_FLIGHT = 2

export const make = Effect.gen(function*() {
  const ledger = yield* Ledger
  const batcher = yield* Batcher.make<UserId, Coupon | undefined, LedgerUnavailable>({
    maxBatch: BATCH_SIZE,
    maxInFlight: BATCHES_IN_FLIGHT,
    run: (campaignId, userIds) =>
      Effect.map(ledger.findCoupons(campaignId, [...new Set(userIds)]), (coupons) => {
        const held = new Map(coupons.map((coupon) => [coupon.userId, coupon]))
        return userIds.map((userId) => held.get(userId))
      })
  })
  return CouponLookup.of({ find: batcher.submit, begin: batcher.enqueue, size: batcher.size })
})

export const layer = Layer.scoped(CouponLookup, make)
