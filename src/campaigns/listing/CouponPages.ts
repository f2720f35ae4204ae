import * as Effect from "effect/Effect"
import type { CampaignId } from "../../domain/Campaign.ts"
import type { Coupon } from "../../domain/Coupon.ts"
import { Overloaded } from "../../domain/Failure.ts"
import type { Ledger, LedgerUnavailable } from "../../ports/Ledger.ts"

/** Pages of the coupons of campaigns, which any caller may ask for at any rate. */
export interface CouponPages {
  /**
   * The coupons numbered `afterId + 1` to `afterId + count` at most, of the `issued` that the campaign has. A page that
   * is one block is the same array each time. `Overloaded`: too many blocks are waited for.
   */
  readonly read: (page: {
    readonly campaignId: CampaignId
    readonly afterId: number
    readonly count: number
    readonly issued: number
  }) => Effect.Effect<ReadonlyArray<Coupon>, LedgerUnavailable | Overloaded>
}

/** Coupons are read from the ledger in blocks of so many, which is a step of one to three milliseconds. */
export const BLOCK = 1_000

/** Blocks that are kept, those read last: 64,000 coupons take some 12 MB. */
const KEPT_BLOCKS = 64

/** Readers that wait for a block to be read. */
const MOST_WAITING = 64

/** After a block the ledger is left to others for three times as long as that took, and at most this. */
const LONGEST_PAUSE_MILLIS = 5

/**
 * Coupons never change, and their numbers have no gaps: a block that is full is read once, and of one that is not the
 * coupons it had are still right. Blocks are read one at a time with a pause after each, so that whatever pages are
 * asked for take a quarter of the event loop at most.
 */
export const make = (listCoupons: Ledger["Type"]["listCoupons"]): CouponPages => {
  const kept = new Map<string, ReadonlyArray<Coupon>>()
  const turn = Effect.unsafeMakeSemaphore(1)
  let waiting = 0

  const find = (name: string, length: number) => {
    const block = kept.get(name)
    if (block === undefined || block.length < length) return undefined
    // The one that was used last is the last to go.
    kept.delete(name)
    kept.set(name, block)
    return block
  }

  const keep = (name: string, block: ReadonlyArray<Coupon>) => {
    kept.delete(name)
    kept.set(name, block)
    if (kept.size > KEPT_BLOCKS) kept.delete(kept.keys().next().value!)
  }

  const passOn = (tookMillis: number) => {
    const next = () => Effect.runFork(turn.release(1))
    setTimeout(next, Math.min(LONGEST_PAUSE_MILLIS, 3 * tookMillis))
  }

  const fetch = (name: string, campaignId: CampaignId, index: number) =>
    Effect.suspend(() => {
      const start = performance.now()
      return listCoupons(campaignId, index * BLOCK, BLOCK).pipe(
        Effect.tap((block) => Effect.sync(() => keep(name, block))),
        Effect.ensuring(Effect.sync(() => passOn(performance.now() - start)))
      )
    })

  const inTurn = (name: string, campaignId: CampaignId, index: number, length: number) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(turn.take(1)), () => {
        // The one before may have read it.
        const found = find(name, length)
        return found === undefined ? restore(fetch(name, campaignId, index)) : Effect.as(turn.release(1), found)
      }))

  /** The block's coupons, at least `length` of them if the campaign has issued them. */
  const block = (
    campaignId: CampaignId,
    index: number,
    length: number
  ): Effect.Effect<ReadonlyArray<Coupon>, LedgerUnavailable | Overloaded> =>
    Effect.suspend((): Effect.Effect<ReadonlyArray<Coupon>, LedgerUnavailable | Overloaded> => {
      const name = `${campaignId}.${index}`
      const found = find(name, length)
      if (found !== undefined) return Effect.succeed(found)
      if (waiting >= MOST_WAITING) return Effect.fail(new Overloaded({ retryAfterSeconds: 1 }))
      waiting++
      return Effect.ensuring(inTurn(name, campaignId, index, length), Effect.sync(() => waiting--))
    })

  return {
    read: ({ afterId, campaignId, count, issued }) =>
      Effect.gen(function*() {
        const end = Math.min(afterId + count, issued)
        if (end <= afterId) return []
        const parts: Array<Coupon> = []
        for (let index = Math.floor(afterId / BLOCK); index * BLOCK < end; index++) {
          const first = index * BLOCK
          const from = Math.max(0, afterId - first)
          const to = Math.min(BLOCK, end - first)
          const found = yield* block(campaignId, index, to)
          if (from === 0 && first === afterId && end === first + found.length) return found
          for (let at = from; at < to && at < found.length; at++) parts.push(found[at]!)
        }
        return parts
      })
  }
}
