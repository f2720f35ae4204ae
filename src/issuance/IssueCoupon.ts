import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { CampaignId } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import type { IssueFailure } from "../domain/IssueFailure.ts"

/** The use case this service exists for. */
export class IssueCoupon extends Context.Tag("coupon/issuance/IssueCoupon")<IssueCoupon, {
  /**
   * Claims a coupon; succeeds only after the ledger's commit. Ids are validated by the caller. `timeoutMillis` is the
   * caller's own timeout, if any (Connect-Timeout-Ms, grpc-timeout).
   */
  readonly claim: (
    campaignId: CampaignId,
    userId: UserId,
    timeoutMillis: number | undefined
  ) => Effect.Effect<Coupon, IssueFailure>
}>() {}
