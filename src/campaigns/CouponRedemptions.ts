import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Batcher from "../claim/Batcher.ts"
import { CouponLookup } from "../claim/CouponLookup.ts"
import { RedemptionCommit } from "../claim/RedemptionCommit.ts"
import { AppConfig } from "../config/AppConfig.ts"
import type { CampaignId } from "../domain/CampaignId.ts"
import type { CampaignCodes } from "../domain/codes/CampaignCodes.ts"
import { normaliseCode } from "../domain/codes/CodeInput.ts"
import { normalisePoolCode } from "../domain/codes/PoolCode.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import {
  Conflict, CouponExpired, CouponRedeemed, CouponRevoked, OutcomeUnknown, Overloaded, RecordNotFound,
  type RedemptionRejection, Unavailable
} from "../domain/Failure.ts"
import {
  type DatedCoupon, issuedCoupon, type KnownCoupon, type Redemption, type RedemptionAction, redeemedCoupon,
  type RedemptionDetails, revokedCoupon
} from "../domain/redemption/Redemption.ts"
import { CouponExpiry } from "../expiry/CouponExpiry.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import type { LedgerUnavailable } from "../ports/Ledger.ts"
import { type RedemptionAnswer, type RedemptionItem, Redemptions } from "../ports/Redemptions.ts"
import { CouponStates } from "./CouponStates.ts"
import { storeDown } from "./StoreDown.ts"

/** A coupon as a caller names it: by its code, however it was typed, or by its user. */
export type CouponKey = { readonly code: string } | { readonly userId: UserId }

/** What was done, and the coupon as it was right after that. */
export interface Redeemed {
  readonly coupon: KnownCoupon
  readonly redemption: Redemption
}

/** `Unavailable`, `Overloaded`: nothing was done, now or later. `OutcomeUnknown`: ask again by the same request id. */
export type RedemptionFailure = RedemptionRejection | Conflict | Overloaded | Unavailable | OutcomeUnknown

/** Redeems coupons, and says what became of them (docs/internals/protocol.md, "Redemption"). */
export class CouponRedemptions extends Context.Tag("coupon/issuance/CouponRedemptions")<CouponRedemptions, {
  /** The same request id has the same answer for good, if that came from the ledger. */
  readonly redeem: (
    campaignId: CampaignId,
    key: CouponKey,
    requestId: string,
    details: RedemptionDetails
  ) => Effect.Effect<Redeemed, RedemptionFailure>
  /** Undoes the redemption that stands. */
  readonly undo: (
    campaignId: CampaignId,
    key: CouponKey,
    requestId: string,
    details: RedemptionDetails
  ) => Effect.Effect<Redeemed, RedemptionFailure>
  /** The coupon, with its expiry; `answerBy` in milliseconds of `performance.now()`. */
  readonly find: (
    campaignId: CampaignId,
    key: CouponKey,
    answerBy: number
  ) => Effect.Effect<DatedCoupon, RecordNotFound | Overloaded | Unavailable>
  /** The ledger's answer on a coupon, as the caller gets it. */
  readonly outcome: (
    coupon: DatedCoupon,
    answer: RedemptionAnswer
  ) => Effect.Effect<Redeemed, RedemptionRejection | Conflict>
  /** What was done to a campaign's coupons, or to one of them, after this sequence. */
  readonly list: (query: {
    readonly campaignId: CampaignId
    readonly key: CouponKey | undefined
    readonly afterSequence: number
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<Redemption>, RecordNotFound | Overloaded | Unavailable>
  /** These coupons of one campaign with what became of them, in their order. */
  readonly known: (coupon: Coupon) => Effect.Effect<KnownCoupon, Unavailable | Overloaded>
}>() {}

const LOOKUP_BATCH = 500
const LOOKUPS_IN_FLIGHT = 2

/** Campaigns whose codes are remembered. Once a coupon is issued they never change. */
const MOST_CODES = 10_000

/** A coupon as it is right after an act. */
const afterwards: Readonly<Record<RedemptionAction, (coupon: DatedCoupon, act: Redemption) => KnownCoupon>> = {
  REDEEM: (coupon, act) => redeemedCoupon(coupon, coupon.expiresAt, act),
  UNDO: (coupon, { at }) => issuedCoupon(coupon, coupon.expiresAt, at),
  REVOKE: (coupon, act) => revokedCoupon(coupon, coupon.expiresAt, act)
}

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const campaigns = yield* CampaignStore
  const commits = yield* RedemptionCommit
  const lookup = yield* CouponLookup
  const redemptions = yield* Redemptions
  const expiry = yield* CouponExpiry
  const states = yield* CouponStates
  const requestMillis = Duration.toMillis(config.requestTimeout)

  const byCode = yield* Batcher.make<string, Coupon | undefined, LedgerUnavailable>({
    maxBatch: LOOKUP_BATCH,
    maxInFlight: LOOKUPS_IN_FLIGHT,
    run: (campaignId, codes) =>
      Effect.map(redemptions.findByCodes(campaignId, [...new Set(codes)]), (coupons) => {
        const found = new Map(coupons.map((coupon) => [coupon.code, coupon]))
        return codes.map((code) => found.get(code))
      })
  })

  const standings = yield* Batcher.make<Coupon, KnownCoupon, LedgerUnavailable>({
    maxBatch: LOOKUP_BATCH,
    maxInFlight: LOOKUPS_IN_FLIGHT,
    run: (_, coupons) => states.of(coupons)
  })

  const remembered = new Map<CampaignId, CampaignCodes>()

  const codesOf = (campaignId: CampaignId): Effect.Effect<CampaignCodes, RecordNotFound | Unavailable> =>
    Effect.gen(function*() {
      const before = remembered.get(campaignId)
      if (before !== undefined) return before
      const campaign = yield* Effect.mapError(campaigns.find(campaignId), storeDown)
      if (campaign === undefined) return yield* new RecordNotFound()
      if (campaign.issuedCount > 0) {
        if (remembered.size >= MOST_CODES) remembered.clear()
        remembered.set(campaignId, campaign.codes)
      }
      return campaign.codes
    })

  const notTooMany = (size: number) =>
    size >= config.issueQueueLimit ? Effect.fail(new Overloaded({ retryAfterSeconds: 1 })) : Effect.void

  const find = (campaignId: CampaignId, key: CouponKey, expiresAt: number) =>
    Effect.gen(function*() {
      yield* notTooMany(lookup.size() + byCode.size())
      let coupon: Coupon | undefined
      if ("userId" in key) coupon = yield* Effect.mapError(lookup.find(campaignId, key.userId, expiresAt), storeDown)
      else {
        const codes = yield* codesOf(campaignId)
        const code = codes._tag === "Pool" ? normalisePoolCode(key.code) : normaliseCode(codes.format, key.code)
        if (code === undefined) return yield* new RecordNotFound()
        coupon = yield* Effect.mapError(byCode.submit(campaignId, code, expiresAt), storeDown)
      }
      return coupon ?? (yield* new RecordNotFound())
    })

  const outcomeOf = (
    coupon: DatedCoupon,
    answer: RedemptionAnswer
  ): Effect.Effect<Redeemed, RedemptionRejection | Conflict> => {
    const { expiresAt } = coupon
    if (answer._tag === "Conflict") return Effect.fail(new Conflict())
    if (answer._tag === "Done") {
      const { redemption } = answer
      return Effect.succeed({ coupon: afterwards[redemption.action](coupon, redemption), redemption })
    }
    switch (answer.reason) {
      case "ABSENT":
        return Effect.fail(new RecordNotFound())
      case "EXPIRED":
        return Effect.fail(new CouponExpired({ coupon: issuedCoupon(coupon, expiresAt, Infinity) }))
      case "REVOKED":
        return Effect.fail(new CouponRevoked({ coupon: revokedCoupon(coupon, expiresAt, answer.standing!) }))
      case "REDEEMED":
        return Effect.fail(new CouponRedeemed({ coupon: redeemedCoupon(coupon, expiresAt, answer.standing!) }))
    }
  }

  const answered = (action: "REDEEM" | "UNDO") =>
  (
    campaignId: CampaignId,
    key: CouponKey,
    requestId: string,
    details: RedemptionDetails
  ): Effect.Effect<Redeemed, RedemptionFailure> =>
    Effect.gen(function*() {
      const answerBy = performance.now() + requestMillis
      const coupon = yield* find(campaignId, key, answerBy)
      yield* notTooMany(commits.size())
      const [expiresAt] = yield* Effect.mapError(expiry.of([coupon]), storeDown)
      const item: RedemptionItem = { action, couponId: coupon.id, expiresAt, requestId, details, slotReturned: false }
      const outcome = yield* Effect.mapError(
        commits.commit(campaignId, item, answerBy),
        ({ started }) => started ? new OutcomeUnknown() : new Unavailable({ retryAfterSeconds: 1 })
      )
      if (outcome._tag === "Unavailable") return yield* outcome
      return yield* outcomeOf({ ...coupon, expiresAt }, outcome)
    })

  return CouponRedemptions.of({
    redeem: answered("REDEEM"),
    undo: answered("UNDO"),
    find: (campaignId, key, answerBy) =>
      Effect.flatMap(find(campaignId, key, answerBy), (coupon) =>
        Effect.mapBoth(expiry.of([coupon]), {
          onFailure: storeDown,
          onSuccess: ([expiresAt]) => ({ ...coupon, expiresAt })
        })),
    outcome: outcomeOf,
    list: ({ afterSequence, campaignId, key, limit }) =>
      Effect.gen(function*() {
        const expiresAt = performance.now() + requestMillis
        const couponId = key === undefined ? undefined : (yield* find(campaignId, key, expiresAt)).id
        if (key === undefined) yield* codesOf(campaignId)
        const query = { campaignId, couponId, afterSequence, limit }
        return yield* Effect.mapError(redemptions.list(query), storeDown)
      }),
    known: (coupon) =>
      Effect.zipRight(
        notTooMany(standings.size()),
        Effect.mapError(standings.submit(coupon.campaignId, coupon, performance.now() + requestMillis), storeDown)
      )
  })
})

export const layer = Layer.scoped(CouponRedemptions, make)
