import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Campaign, CampaignDraft, CampaignId } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import type { InvalidArgument, Overloaded, RecordNotFound, Unavailable } from "../domain/IssueFailure.ts"

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
  readonly create: (draft: CampaignDraft) => Effect.Effect<Campaign, Unavailable>
  /** `pageSize` 0 means `MAX_PAGE_SIZE`, as does any larger one; an empty `pageToken` the first page. */
  readonly get: (
    campaignId: CampaignId,
    pageSize: number,
    pageToken: string
  ) => Effect.Effect<CampaignPage, InvalidArgument | RecordNotFound | Unavailable>
  /** What the user holds. */
  readonly getCoupon: (campaignId: CampaignId, userId: UserId) => Effect.Effect<Coupon, RecordNotFound | Unavailable | Overloaded>
}>() {}
