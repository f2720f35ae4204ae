import * as Effect from "effect/Effect"
import type { CampaignId } from "../../src/domain/Campaign.ts"
import type { Coupon } from "../../src/domain/Coupon.ts"
import type { IssueFailure } from "../../src/domain/IssueFailure.ts"
import { IssueCoupon } from "../../src/issuance/IssueCoupon.ts"

/** A claim as one Effect, which goes on to its end whoever waits for it. */
export const claim = (
  campaignId: CampaignId,
  userId: number | bigint,
  timeoutMillis?: number
): Effect.Effect<Coupon, IssueFailure, IssueCoupon> =>
  Effect.flatMap(IssueCoupon, ({ begin }) =>
    Effect.uninterruptible(Effect.async((resume) => begin(campaignId, BigInt(userId), timeoutMillis, resume))))
