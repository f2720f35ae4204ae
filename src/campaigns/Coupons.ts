import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Campaign, CampaignId } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import { InvalidArgument, type Overloaded, RecordNotFound, Unavailable } from "../domain/Failure.ts"
import { normaliseCode } from "../domain/codes/CodeInput.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import { type IssueWindow, Ledger, type LedgerUnavailable, MAX_CAMPAIGNS_LOOKED_AT } from "../ports/Ledger.ts"
import * as CouponExports from "./CouponExports.ts"
import { type CouponFilter, type CouponQuery, encodeToken } from "./CouponQuery.ts"

/** A page of coupons. */
export interface CouponList {
  readonly coupons: ReadonlyArray<Coupon>
  /** The token of the next page; `undefined` on the last one. */
  readonly nextPageToken: string | undefined
}

/** With a window of time, one call looks at no more coupons than these, or at as many campaigns of a user. */
export const MAX_LOOK = 10_000

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
    CouponExports.CouponExport,
    InvalidArgument | RecordNotFound | Unavailable | Overloaded,
    Scope.Scope
  >
}>() {}

const storeDown = (cause: LedgerUnavailable) => new Unavailable({ retryAfterSeconds: 1, cause })

const isIn = ({ before, from }: IssueWindow, { issuedAt }: Coupon): boolean =>
  issuedAt >= (from ?? -Infinity) && issuedAt < (before ?? Infinity)

/** Codes are stored in NFC, which keyboards and file systems do not keep to. */
const normalised = (code: string): string => code.normalize("NFC").trim()

export const make = Effect.gen(function*() {
  const store = yield* CampaignStore
  const ledger = yield* Ledger
  const exports = CouponExports.make(ledger.listCoupons)

  const find = (campaignId: CampaignId): Effect.Effect<Campaign, RecordNotFound | Unavailable> =>
    Effect.flatMap(Effect.mapError(store.find(campaignId), storeDown), (campaign) =>
      campaign === undefined ? Effect.fail(new RecordNotFound()) : Effect.succeed(campaign))

  const page = (filter: CouponFilter, coupons: ReadonlyArray<Coupon>, next: number | undefined): CouponList => ({
    coupons,
    nextPageToken: next === undefined ? undefined : encodeToken(filter, next)
  })

  /** Numbers have no gap, so that a stretch of them is as many coupons as one call may look at. */
  const ofCampaign = (campaignId: CampaignId, { filter, limit, position }: CouponQuery) =>
    Effect.gen(function*() {
      const { issuedCount } = yield* find(campaignId)
      const { before, descending, from } = filter
      const length = from === undefined && before === undefined ? limit : MAX_LOOK
      const firstId = descending
        ? Math.max(1, Math.min(position ?? Infinity, issuedCount + 1) - length)
        : (position ?? 0) + 1
      const lastId = descending
        ? Math.min(position ?? Infinity, issuedCount + 1) - 1
        : Math.min(firstId + length - 1, issuedCount)
      if (firstId > lastId) return page(filter, [], undefined)
      const stretch = { campaignId, firstId, lastId, descending, limit, from, before }
      const coupons = yield* Effect.mapError(ledger.couponsAmong(stretch), storeDown)
      const end = coupons.length === limit ? coupons.at(-1)!.id : descending ? firstId : lastId
      return page(filter, coupons, (descending ? end <= 1 : end >= issuedCount) ? undefined : end)
    })

  const ofUser = (userId: UserId, { filter, limit, position }: CouponQuery) =>
    Effect.gen(function*() {
      const { before, descending, from } = filter
      const coupons: Array<Coupon> = []
      let next = position
      let looked = 0
      do {
        const left = limit - coupons.length
        const query = { userId, position: next, descending, limit: left, from, before }
        const found = yield* Effect.mapError(ledger.couponsOfUser(query), storeDown)
        coupons.push(...found.coupons)
        next = found.next
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
        Effect.map(Effect.mapError(ledger.findCoupons(campaignId, [userId]), storeDown), (coupons) =>
          page(query.filter, coupons.filter((coupon) => isIn(query.filter, coupon)), undefined)))
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
        return yield* exports.open(campaignId, afterNumber, issuedCount)
      })
  })
})

export const layer = Layer.effect(Coupons, make)
