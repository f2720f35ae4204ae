import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CampaignId } from "../domain/CampaignId.ts"
import type { Coupon } from "../domain/Coupon.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { IssuedCoupon } from "../domain/redemption/Redemption.ts"
import { expiresAt, type ValidityHistory } from "../domain/validity/ValidityHistory.ts"
import type { LedgerUnavailable } from "../ports/Ledger.ts"
import { Redemptions } from "../ports/Redemptions.ts"

/** When coupons expire, from what is remembered of their campaigns (docs/internals/protocol.md, "Expiry"). */
export class CouponExpiry extends Context.Tag("coupon/expiry/CouponExpiry")<CouponExpiry, {
  /**
   * From when on each of these coupons cannot be redeemed, in their order; `undefined`: it does not expire. At most
   * 1,000 coupons, of any campaigns. Reads a campaign once, and again for coupons that were issued after that.
   */
  readonly of: (
    coupons: ReadonlyArray<Coupon>
  ) => Effect.Effect<ReadonlyArray<EpochMillis | undefined>, LedgerUnavailable>
  /**
   * The same of a coupon that was just issued, by the version of the campaign's newest validity at its commit: nothing
   * is read if that one is remembered. All coupons of a commit have one expiry; ask for the last of them.
   */
  readonly ofIssued: (coupon: Coupon, validity: number) => Effect.Effect<EpochMillis | undefined, LedgerUnavailable>
  /** The coupon with its expiry where that follows from what is remembered; nothing is read. */
  readonly ifRemembered: (coupon: IssuedCoupon) => IssuedCoupon
}>() {}

/** Campaigns whose validities are remembered. */
const MOST_KNOWN = 10_000

const reaches = ({ issued }: ValidityHistory, { id }: Coupon): boolean => id <= issued

export const make = Effect.gen(function*() {
  const redemptions = yield* Redemptions
  const known = new Map<CampaignId, ValidityHistory>()
  /** Reads of one campaign that are under way. */
  const reading = new Map<CampaignId, Deferred.Deferred<ValidityHistory | undefined, LedgerUnavailable>>()

  const read = (campaignIds: ReadonlyArray<CampaignId>) =>
    Effect.map(redemptions.validities(campaignIds), (found) => {
      if (known.size + found.length > MOST_KNOWN) known.clear()
      for (const history of found) {
        // An earlier read may end later.
        if (history.issued >= (known.get(history.campaignId)?.issued ?? 0)) known.set(history.campaignId, history)
      }
      return found
    })

  const readOne = (campaignId: CampaignId) =>
    Effect.uninterruptible(Effect.gen(function*() {
      const own = yield* Deferred.make<ValidityHistory | undefined, LedgerUnavailable>()
      reading.set(campaignId, own)
      return yield* Effect.onExit(Effect.map(read([campaignId]), ([history]) => history), (exit) => {
        reading.delete(campaignId)
        return Deferred.done(own, exit)
      })
    }))

  /** Waits for a read that is under way. It may have begun before the coupon was issued: then one more follows. */
  const historyOf = (coupon: Coupon): Effect.Effect<ValidityHistory | undefined, LedgerUnavailable> =>
    Effect.suspend(() => {
      const other = reading.get(coupon.campaignId)
      return other === undefined
        ? readOne(coupon.campaignId)
        : Effect.flatMap(Deferred.await(other), (history) =>
          history !== undefined && reaches(history, coupon) ? Effect.succeed(history) : historyOf(coupon))
    })

  return CouponExpiry.of({
    ofIssued: (coupon, validity) =>
      Effect.suspend(() => {
        let history = known.get(coupon.campaignId)
        // No validity came between what was read and this coupon, so the history is that of this coupon, too.
        if (history !== undefined && !reaches(history, coupon) && history.changes.at(-1)?.version === validity) {
          known.set(coupon.campaignId, history = { ...history, issued: coupon.id })
        }
        return Effect.map(
          history !== undefined && reaches(history, coupon) ? Effect.succeed(history) : historyOf(coupon),
          (of) => of === undefined ? undefined : expiresAt(of, coupon)
        )
      }),
    ifRemembered: (coupon) => {
      if (coupon.expiresAt !== undefined) return coupon
      const history = known.get(coupon.campaignId)
      if (history === undefined || !reaches(history, coupon)) return coupon
      const at = expiresAt(history, coupon)
      return at === undefined ? coupon : { ...coupon, expiresAt: at }
    },
    of: (coupons) =>
      Effect.suspend(() => {
        const histories = new Map<CampaignId, ValidityHistory>()
        const unknown: Array<Coupon> = []
        for (const coupon of coupons) {
          const history = known.get(coupon.campaignId)
          if (history !== undefined && reaches(history, coupon)) histories.set(coupon.campaignId, history)
          else unknown.push(coupon)
        }
        const times = () =>
          coupons.map((coupon) => {
            const history = histories.get(coupon.campaignId)
            return history === undefined ? undefined : expiresAt(history, coupon)
          })
        if (unknown.length === 0) return Effect.succeed(times())
        const campaignIds = [...new Set(unknown.map(({ campaignId }) => campaignId))]
        const found = campaignIds.length > 1
          ? read(campaignIds)
          : Effect.map(historyOf(unknown.reduce((a, b) => a.id < b.id ? b : a)), (history) =>
            history === undefined ? [] : [history])
        return Effect.map(found, (of) => {
          for (const history of of) histories.set(history.campaignId, history)
          return times()
        })
      })
  })
})

export const layer: Layer.Layer<CouponExpiry, never, Redemptions> = Layer.effect(CouponExpiry, make)
