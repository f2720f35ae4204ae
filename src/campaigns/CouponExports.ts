import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { CampaignId } from "../domain/Campaign.ts"
import type { Coupon } from "../domain/Coupon.ts"
import { Overloaded, Unavailable } from "../domain/Failure.ts"
import * as RequestMetrics from "../metrics/RequestMetrics.ts"
import type { Ledger, LedgerUnavailable } from "../ports/Ledger.ts"
import { transfers } from "./TransferMetrics.ts"

/** All coupons of a campaign after some number. */
export interface CouponExport {
  /** The number that it ends with: coupons that are issued meanwhile are left to the next one. */
  readonly lastNumber: number
  /** The next coupons, in order; `undefined`: there are no more. Not to be run twice at a time. */
  readonly next: Effect.Effect<ReadonlyArray<Coupon> | undefined, Unavailable>
}

/** Exports at a time. Each holds two pages and waits for its turn to read one. */
export const MOST_EXPORTS = 8

/** Coupons of a page, which the ledger in the process reads in one to three milliseconds, as one text. */
export const EXPORT_PAGE = 2_000

/**
 * While there are claims, the event loop is left to them for three times as long as a page takes it, and at most this.
 * To encode and send a page takes no longer than to read it.
 */
const PAUSE = 6
export const LONGEST_PAUSE_MILLIS = 10

const tooMany = new Overloaded({ retryAfterSeconds: 1 })

/** Says whether there were claims, or are calls in progress, since it was last asked. */
const makeIsBusy = (): () => boolean => {
  const claims = RequestMetrics.rpc("IssueCoupon")
  let seen = 0
  return () => {
    const before = seen
    seen = Object.values(claims.totals()).reduce((sum, count) => sum + count, 0)
    return seen !== before || RequestMetrics.inFlight.value() > 0
  }
}

/**
 * Reads the pages of all exports one at a time, so that however many run, they take no more of the ledger and the event
 * loop than one: all that is left without claims, and a quarter of it with them.
 */
export const make = (listCoupons: Ledger["Type"]["listCoupons"]) => {
  const turn = Effect.unsafeMakeSemaphore(1)
  const isBusy = makeIsBusy()
  let open = 0

  const read = (campaignId: CampaignId, afterId: number, count: number) => {
    const page = Effect.suspend(() => {
      const start = performance.now()
      return Effect.tap(listCoupons(campaignId, afterId, count), (page) => {
        transfers.exported.add(page.length)
        const pause = Math.min(LONGEST_PAUSE_MILLIS, PAUSE * (performance.now() - start))
        return isBusy() ? Effect.sleep(pause) : Effect.yieldNow()
      })
    })
    return turn.withPermits(1)(page)
  }

  return {
    /**
     * `issued`: how many coupons the campaign has. An export has its place until the scope closes. `Overloaded`: as
     * many run as may.
     */
    open: (
      campaignId: CampaignId,
      afterNumber: number,
      issued: number
    ): Effect.Effect<CouponExport, Overloaded, Scope.Scope> =>
      Effect.gen(function*() {
        yield* Effect.acquireRelease(
          Effect.suspend(() =>
            open >= MOST_EXPORTS ? Effect.fail(tooMany) : Effect.sync(() => transfers.exports.set(++open))),
          () => Effect.sync(() => transfers.exports.set(--open))
        )
        const scope = yield* Effect.scope
        let position = afterNumber
        /** The page that follows is read while the one before is sent. */
        let ahead: Fiber.RuntimeFiber<ReadonlyArray<Coupon>, LedgerUnavailable> | undefined
        const readOn = Effect.suspend(() => {
          const count = Math.min(EXPORT_PAGE, issued - position)
          return count <= 0 ? Effect.void : Effect.map(
            Effect.forkIn(read(campaignId, position, count), scope),
            (fiber) => void (ahead = fiber)
          )
        })
        const next = Effect.gen(function*() {
          if (ahead === undefined) yield* readOn
          const reading = ahead
          if (reading === undefined) return undefined
          ahead = undefined
          const page = yield* Effect.mapError(
            Fiber.join(reading),
            (cause) => new Unavailable({ retryAfterSeconds: 1, cause })
          )
          // A ledger that was restored to an earlier state has fewer.
          if (page.length === 0) return undefined
          position = page.at(-1)!.id
          yield* readOn
          return page
        })
        return { lastNumber: issued, next }
      })
  }
}
