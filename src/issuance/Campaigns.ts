import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { AppConfig } from "../AppConfig.ts"
import type { Campaign, CampaignDraft, CampaignId } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import { InvalidArgument, OutcomeUnknown, Overloaded, RecordNotFound, Unavailable } from "../domain/IssueFailure.ts"
import type { BatchTimeout } from "./Batcher.ts"
import { CouponLookup } from "./CouponLookup.ts"
import { GateRebuilder } from "./GateRebuilder.ts"
import { KnownCampaigns } from "./KnownCampaigns.ts"
import { Ledger, type LedgerUnavailable } from "./Ledger.ts"

/** A campaign with one page of its coupons. */
export interface CampaignPage {
  readonly campaign: Campaign
  readonly coupons: ReadonlyArray<Coupon>
  /** Asks for the page that follows; `undefined` on the last one. */
  readonly nextPageToken: string | undefined
}

/** The most codes that one page of `get` holds. */
export const MAX_PAGE_SIZE = 10_000

/** Creating and reading campaigns, and looking claims up. */
export class Campaigns extends Context.Tag("coupon/issuance/Campaigns")<Campaigns, {
  /** `OutcomeUnknown`: the campaign may have been stored. */
  readonly create: (draft: CampaignDraft) => Effect.Effect<Campaign, Unavailable | OutcomeUnknown>
  /** `pageSize` 0 means `MAX_PAGE_SIZE`, as does any larger one; an empty `pageToken` the first page. */
  readonly get: (
    campaignId: CampaignId,
    pageSize: number,
    pageToken: string
  ) => Effect.Effect<CampaignPage, InvalidArgument | RecordNotFound | Unavailable>
  /** What the user holds. */
  readonly getCoupon: (campaignId: CampaignId, userId: UserId) => Effect.Effect<Coupon, RecordNotFound | Unavailable | Overloaded>
}>() {}

// The token is the last coupon's number, in a form that does not invite arithmetic.
const encodeToken = (campaignId: CampaignId, afterId: number): string => Buffer.from(`${campaignId}.${afterId}`).toString("base64url")

const decodeToken = (campaignId: CampaignId, token: string): Either.Either<number, InvalidArgument> => {
  if (token === "") return Either.right(0)
  const match = /^(\d{1,10})\.(\d{1,10})$/.exec(Buffer.from(token, "base64url").toString())
  return match !== null && Number(match[1]) === campaignId && encodeToken(campaignId, Number(match[2])) === token
    ? Either.right(Number(match[2]))
    : Either.left(new InvalidArgument({ field: "pageToken", reason: "must be the nextPageToken of a page of this campaign" }))
}

const decodePageSize = (pageSize: number): Either.Either<number, InvalidArgument> =>
  pageSize < 0
    ? Either.left(new InvalidArgument({ field: "pageSize", reason: `must be 0 to ${MAX_PAGE_SIZE}` }))
    : Either.right(pageSize === 0 ? MAX_PAGE_SIZE : Math.min(pageSize, MAX_PAGE_SIZE))

const storeDown = (failure: LedgerUnavailable | BatchTimeout) => new Unavailable({ retryAfterSeconds: 1, cause: failure })

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const known = yield* KnownCampaigns
  const ledger = yield* Ledger
  const lookup = yield* CouponLookup
  const rebuilder = yield* GateRebuilder
  const scope = yield* Effect.scope
  const requestMillis = Duration.toMillis(config.requestTimeout)

  return Campaigns.of({
    create: (draft) =>
      ledger.createCampaign(draft).pipe(
        Effect.tapErrorTag("CommitInDoubt", ({ cause }) => Effect.logWarning("a campaign may have been stored").pipe(
          Effect.annotateLogs({ name: draft.name, cause: String(cause) })
        )),
        Effect.mapError((failure) => failure._tag === "CommitInDoubt" ? new OutcomeUnknown() : storeDown(failure)),
        // The gate is ready before the first claim comes; if that fails, the first claim rebuilds it.
        Effect.tap(({ campaignId }) => {
          known.touch(campaignId)
          return Effect.forkIn(rebuilder.ensure(campaignId), scope)
        })
      ),

    get: (campaignId, pageSize, pageToken) =>
      Effect.gen(function*() {
        const limit = yield* decodePageSize(pageSize)
        const afterId = yield* decodeToken(campaignId, pageToken)
        const campaign = yield* Effect.mapError(ledger.findCampaign(campaignId), storeDown)
        if (campaign === undefined) return yield* new RecordNotFound()
        // Coupons up to the counter just read: codes and counter of one answer agree.
        const left = campaign.issuedCount - afterId
        const coupons = left <= 0 ? [] : yield* Effect.mapError(ledger.listCoupons(campaignId, afterId, Math.min(limit, left)), storeDown)
        return { campaign, coupons, nextPageToken: left > limit ? encodeToken(campaignId, coupons.at(-1)!.id) : undefined }
      }),

    getCoupon: (campaignId, userId) =>
      Effect.gen(function*() {
        if (lookup.size() >= config.issueQueueLimit) return yield* new Overloaded({ retryAfterSeconds: 1 })
        const coupon = yield* Effect.mapError(lookup.find(campaignId, userId, performance.now() + requestMillis), storeDown)
        return coupon ?? (yield* new RecordNotFound())
      })
  })
})

export const layer = Layer.scoped(Campaigns, make)
