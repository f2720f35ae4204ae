import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Campaign, CampaignId } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import { InvalidArgument, type Overloaded, RecordNotFound, type Unavailable } from "../domain/Failure.ts"
import type { DatedCoupon, KnownCoupon } from "../domain/redemption/Redemption.ts"
import { CouponExpiry } from "../expiry/CouponExpiry.ts"
import { normaliseCode } from "../domain/codes/CodeInput.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import {
  type CouponStretch, type IssueWindow, Ledger, MAX_CAMPAIGNS_LOOKED_AT
} from "../ports/Ledger.ts"
import * as CouponExports from "./CouponExports.ts"
import { type CouponFilter, type CouponQuery, encodeToken, MAX_COUPON_PAGE } from "./listing/CouponQuery.ts"
import { CouponStates } from "./CouponStates.ts"
import { storeDown } from "./StoreDown.ts"

/** A page of coupons. */
export interface CouponList {
  readonly coupons: ReadonlyArray<KnownCoupon>
  /** The token of the next page; `undefined` on the last one. */
  readonly nextPageToken: string | undefined
}

/** With a window of time or states, one call looks at no more coupons than these, or at as many campaigns of a user. */
export const MAX_LOOK = 10_000

/** All coupons of a campaign after some number. */
export interface CouponExport extends Omit<CouponExports.CouponExport, "next"> {
  /** The next coupons, in order; `undefined`: there are no more. Not to be run twice at a time. */
  readonly next: Effect.Effect<ReadonlyArray<DatedCoupon> | undefined, Unavailable>
}

/** Longer than any code, however it is composed. */
const MAX_CODE_LENGTH = 256

/** Reads of coupons for those who operate campaigns. Claims and holders never wait for one. */
export class Coupons extends Context.Tag("coupon/campaigns/Coupons")<Coupons, {
  /** A page may hold fewer coupons than asked for, even none, before the last one. */
  readonly list: (query: CouponQuery) => Effect.Effect<CouponList, RecordNotFound | Unavailable>
  /** The coupon that is meant by this code: in any form of Unicode, and in what else the campaign's format allows. */
  readonly find: (
    campaignId: CampaignId,
    code: string
  ) => Effect.Effect<Coupon, InvalidArgument | RecordNotFound | Unavailable>
  /** All coupons after this number, up to the last one that is issued now, until the scope closes. */
  readonly export: (
    campaignId: CampaignId,
    afterNumber: number
  ) => Effect.Effect<
    CouponExport,
    InvalidArgument | RecordNotFound | Unavailable | Overloaded,
    Scope.Scope
  >
}>() {}

const isIn = ({ before, from }: IssueWindow, { issuedAt }: Coupon): boolean =>
  issuedAt >= (from ?? -Infinity) && issuedAt < (before ?? Infinity)

/** Codes are stored in NFC, which keyboards and file systems do not keep to. */
const normalised = (code: string): string => code.normalize("NFC").trim()

export const make = Effect.gen(function*() {
  const store = yield* CampaignStore
  const ledger = yield* Ledger
  const expiry = yield* CouponExpiry
  const states = yield* CouponStates
  const exports = CouponExports.make(ledger.listCoupons)

  const find = (campaignId: CampaignId): Effect.Effect<Campaign, RecordNotFound | Unavailable> =>
    Effect.flatMap(Effect.mapError(store.find(campaignId), storeDown), (campaign) =>
      campaign === undefined ? Effect.fail(new RecordNotFound()) : Effect.succeed(campaign))

  const page = (filter: CouponFilter, coupons: ReadonlyArray<KnownCoupon>, next: number | undefined): CouponList => ({
    coupons,
    nextPageToken: next === undefined ? undefined : encodeToken(filter, next)
  })

  /** Those of these coupons that are in one of the filter's states. */
  const known = (filter: CouponFilter, coupons: ReadonlyArray<Coupon>) =>
    Effect.map(Effect.mapError(states.of(coupons), storeDown), (all) =>
      filter.states.length === 0 ? all : all.filter(({ state }) => filter.states.includes(state)))

  /** Numbers have no gap, so that a stretch of them is as many coupons as one call may look at. */
  const ofCampaign = (campaignId: CampaignId, { filter, limit, position }: CouponQuery) =>
    Effect.gen(function*() {
      const { issuedCount } = yield* find(campaignId)
      const { before, descending, from } = filter
      const length = from === undefined && before === undefined && filter.states.length === 0 ? limit : MAX_LOOK
      const firstId = descending
        ? Math.max(1, Math.min(position ?? Infinity, issuedCount + 1) - length)
        : (position ?? 0) + 1
      const lastId = descending
        ? Math.min(position ?? Infinity, issuedCount + 1) - 1
        : Math.min(firstId + length - 1, issuedCount)
      if (firstId > lastId) return page(filter, [], undefined)
      const stretch = { campaignId, descending, from, before }
      const coupons = filter.states.length === 0
        ? yield* known(filter, yield* among({ ...stretch, firstId, lastId, limit }))
        : yield* inStates(filter, { ...stretch, firstId, lastId, limit })
      const end = coupons.length === limit ? coupons.at(-1)!.id : descending ? firstId : lastId
      return page(filter, coupons, (descending ? end <= 1 : end >= issuedCount) ? undefined : end)
    })

  const among = (stretch: CouponStretch) => Effect.mapError(ledger.couponsAmong(stretch), storeDown)

  /** The first coupons of the stretch that are in the filter's states, looked for a page at a time. */
  const inStates = (filter: CouponFilter, { limit, ...stretch }: CouponStretch) =>
    Effect.gen(function*() {
      const { descending, firstId, lastId } = stretch
      const found: Array<KnownCoupon> = []
      for (let looked = 0; looked <= lastId - firstId && found.length < limit; looked += MAX_COUPON_PAGE) {
        const some = descending
          ? { firstId: Math.max(firstId, lastId - looked - MAX_COUPON_PAGE + 1), lastId: lastId - looked }
          : { firstId: firstId + looked, lastId: Math.min(lastId, firstId + looked + MAX_COUPON_PAGE - 1) }
        found.push(...yield* known(filter, yield* among({ ...stretch, ...some, limit: MAX_COUPON_PAGE })))
        yield* Effect.yieldNow()
      }
      return found.slice(0, limit)
    })

  const ofUser = (userId: UserId, { filter, limit, position }: CouponQuery) =>
    Effect.gen(function*() {
      const { before, descending, from } = filter
      const coupons: Array<KnownCoupon> = []
      let next = position
      let looked = 0
      do {
        const left = limit - coupons.length
        const most = filter.states.length === 0 ? left : MAX_COUPON_PAGE
        const query = { userId, position: next, descending, limit: most, from, before }
        const found = yield* Effect.mapError(ledger.couponsOfUser(query), storeDown)
        const some = yield* known(filter, found.coupons)
        coupons.push(...some.slice(0, left))
        next = some.length > left ? coupons.at(-1)!.campaignId : found.next
        looked += MAX_CAMPAIGNS_LOOKED_AT
        // In the process, a read takes the event loop for a millisecond or two.
        yield* Effect.yieldNow()
      } while (next !== undefined && coupons.length < limit && looked < MAX_LOOK)
      return page(filter, coupons, next)
    })

  return Coupons.of({
    list: (query) => {
      const { campaignId, userId } = query.filter
      if (campaignId === undefined) return ofUser(userId!, query)
      if (userId === undefined) return ofCampaign(campaignId, query)
      return Effect.flatMap(find(campaignId), () =>
        Effect.flatMap(Effect.mapError(ledger.findCoupons(campaignId, [userId]), storeDown), (coupons) =>
          Effect.map(
            known(query.filter, coupons.filter((coupon) => isIn(query.filter, coupon))),
            (found) => page(query.filter, found, undefined)
          )))
    },

    find: (campaignId, given) =>
      Effect.gen(function*() {
        const code = normalised(given)
        if (code === "") return yield* new InvalidArgument({ field: "code", reason: "must not be empty" })
        if (code.length > MAX_CODE_LENGTH) {
          return yield* new InvalidArgument({ field: "code", reason: `must be at most ${MAX_CODE_LENGTH} characters` })
        }
        const coupon = yield* Effect.mapError(ledger.findByCode(campaignId, code), storeDown)
        if (coupon !== undefined) return coupon
        const { codes } = yield* find(campaignId)
        const meant = codes._tag === "Generated" ? normaliseCode(codes.format, given) : undefined
        if (meant === undefined || meant === code) return yield* new RecordNotFound()
        const other = yield* Effect.mapError(ledger.findByCode(campaignId, meant), storeDown)
        return other ?? (yield* new RecordNotFound())
      }),

    export: (campaignId, afterNumber) =>
      Effect.gen(function*() {
        if (afterNumber < 0) {
          return yield* new InvalidArgument({ field: "afterNumber", reason: "must not be negative" })
        }
        const { issuedCount } = yield* find(campaignId)
        const { lastNumber, next } = yield* exports.open(campaignId, afterNumber, issuedCount)
        const dated = (coupons: ReadonlyArray<Coupon>) =>
          Effect.mapBoth(expiry.of(coupons), {
            onFailure: storeDown,
            onSuccess: (times) => coupons.map((coupon, index) => ({ ...coupon, expiresAt: times[index] }))
          })
        return {
          lastNumber,
          next: Effect.flatMap(next, (coupons) => coupons === undefined ? Effect.succeed(undefined) : dated(coupons))
        }
      })
  })
})

export const layer = Layer.effect(Coupons, make)
