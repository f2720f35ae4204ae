import * as Context from "effect/Context"
import type { ApiKeys } from "../security/ApiKeys.ts"
import type { Guard } from "../security/Guard.ts"
import type { Sessions } from "../security/sessions/Sessions.ts"
import type { CampaignEvents } from "../campaigns/CampaignEvents.ts"
import type { Campaigns } from "../campaigns/Campaigns.ts"
import type { CodePools } from "../campaigns/CodePools.ts"
import type { Coupons } from "../campaigns/Coupons.ts"
import type { CouponRedemptions } from "../campaigns/CouponRedemptions.ts"
import type { CouponRevocations } from "../campaigns/CouponRevocations.ts"
import type { UserErasure } from "../campaigns/erasure/UserErasure.ts"
import type { IssueCoupon } from "../claim/IssueCoupon.ts"
import type { Webhooks } from "../webhooks/Webhooks.ts"

/** The use cases, once the stores are there. */
export interface UseCases {
  readonly issueCoupon: IssueCoupon["Type"]
  readonly campaigns: Campaigns["Type"]
  readonly codePools: CodePools["Type"]
  readonly coupons: Coupons["Type"]
  readonly webhooks: Webhooks["Type"]
  readonly events: CampaignEvents["Type"]
  readonly redemptions: CouponRedemptions["Type"]
  readonly revocations: CouponRevocations["Type"]
  readonly erasure: UserErasure["Type"]
  /** Who may call what; runs before any of the others. */
  readonly guard: Guard["Type"]
  readonly apiKeys: ApiKeys["Type"]
  readonly sessions: Sessions["Type"]
}

/** Whether calls can be served yet: the service listens before its stores are reached. */
export class Startup extends Context.Tag("coupon/issuance/Startup")<Startup, {
  /** The use cases, or `undefined` while a store is still awaited. */
  readonly current: () => UseCases | undefined
  /** The stores still awaited, or in trouble since (`StoreHealth`), e.g. `MySQL at db:3306`; empty when ready. */
  readonly waitingFor: () => ReadonlyArray<string>
}>() {}
