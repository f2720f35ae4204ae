import * as Effect from "effect/Effect"
import type { CampaignId } from "../../src/domain/Campaign.ts"
import type { Coupon } from "../../src/domain/Coupon.ts"
import type { ClaimFailure } from "../../src/domain/Failure.ts"
import { IssueCoupon } from "../../src/claim/IssueCoupon.ts"

/** A claim as one Effect, which goes on to its end whether or not its caller waits. */
export const claim = (
  campaignId: CampaignId,
  userId: number | bigint,
  timeoutMillis?: number
): Effect.Effect<Coupon, ClaimFailure, IssueCoupon> =>
  Effect.flatMap(IssueCoupon, (issueCoupon) => issueCoupon.claim({ campaignId, userId: BigInt(userId), timeoutMillis }))
