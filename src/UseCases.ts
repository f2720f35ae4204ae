import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Agents from "./agents/Agents.ts"
import * as CampaignChanges from "./campaigns/CampaignChanges.ts"
import * as CampaignEvents from "./campaigns/CampaignEvents.ts"
import * as CampaignReads from "./campaigns/CampaignReads.ts"
import * as Campaigns from "./campaigns/Campaigns.ts"
import * as CodePools from "./campaigns/CodePools.ts"
import * as Coupons from "./campaigns/Coupons.ts"
import * as CouponExpiry from "./expiry/CouponExpiry.ts"
import * as CouponStates from "./campaigns/CouponStates.ts"
import * as CouponRedemptions from "./campaigns/CouponRedemptions.ts"
import * as CouponRevocations from "./campaigns/CouponRevocations.ts"
import * as CouponLookup from "./claim/CouponLookup.ts"
import * as EventNews from "./agents/events/EventNews.ts"
import * as EventTails from "./agents/events/EventTails.ts"
import * as ErasureWatch from "./agents/ErasureWatch.ts"
import * as GateRebuilder from "./agents/GateRebuilder.ts"
import * as GroupCommit from "./claim/GroupCommit.ts"
import * as HeldCoupons from "./agents/HeldCoupons.ts"
import * as IssueCoupon from "./claim/IssueCoupon.ts"
import * as KnownCampaigns from "./agents/KnownCampaigns.ts"
import * as OutboxRelay from "./agents/outbox/OutboxRelay.ts"
import * as PhaseWatch from "./agents/PhaseWatch.ts"
import * as Reconciler from "./agents/Reconciler.ts"
import * as RedemptionCommit from "./claim/RedemptionCommit.ts"
import * as ReservationReaper from "./agents/ReservationReaper.ts"
import * as SaleCounts from "./agents/sale/SaleCounts.ts"
import * as SaleHistory from "./agents/sale/SaleHistory.ts"
import * as UserErasure from "./campaigns/erasure/UserErasure.ts"
import type { UseCases } from "./rpc/Startup.ts"
import { ApiKeys } from "./security/ApiKeys.ts"
import { Guard } from "./security/Guard.ts"
import { Sessions } from "./security/sessions/Sessions.ts"
import * as WebhookDelivery from "./webhooks/delivery/WebhookDelivery.ts"
import * as WebhookSender from "./webhooks/sending/WebhookSender.ts"
import * as Webhooks from "./webhooks/Webhooks.ts"

/**
 * The use cases and every background agent, over the ports Gate, Ledger, Outbox and CampaignPhases. Agents end after
 * the use cases: the last claims still need the relay.
 */
export const layer = Layer.mergeAll(
  IssueCoupon.layer,
  Campaigns.layer,
  CampaignEvents.layer,
  CodePools.layer,
  Coupons.layer,
  UserErasure.layer,
  Webhooks.layer
).pipe(
  Layer.provideMerge(CouponRevocations.layer),
  Layer.provideMerge(CouponRedemptions.layer),
  Layer.provideMerge(CouponStates.layer),
  Layer.provideMerge(
    Layer.mergeAll(
      RedemptionCommit.layer,
      CampaignChanges.layer,
      CampaignReads.layer,
      GroupCommit.layer,
      CouponLookup.layer
    )
  ),
  Layer.provideMerge(Agents.layer),
  Layer.provideMerge(Layer.mergeAll(EventTails.layer, ErasureWatch.layer)),
  Layer.provideMerge(Layer.mergeAll(Reconciler.layer, ReservationReaper.layer, WebhookDelivery.layer)),
  Layer.provideMerge(Layer.mergeAll(GateRebuilder.layer, OutboxRelay.layer)),
  Layer.provideMerge(PhaseWatch.layer),
  Layer.provideMerge(Layer.mergeAll(KnownCampaigns.layer, HeldCoupons.layer, EventNews.layer, WebhookSender.layer)),
  Layer.provideMerge(Layer.merge(CouponExpiry.layer, Layer.provideMerge(SaleHistory.layer, SaleCounts.layer)))
)

/** What calls are served by. */
type Served =
  | IssueCoupon.IssueCoupon
  | Campaigns.Campaigns
  | CodePools.CodePools
  | Coupons.Coupons
  | Webhooks.Webhooks
  | CampaignEvents.CampaignEvents
  | CouponRedemptions.CouponRedemptions
  | CouponRevocations.CouponRevocations
  | UserErasure.UserErasure
  | Guard
  | ApiKeys
  | Sessions

/** What calls are served by, out of all that was built. */
export const servedFrom = (context: Context.Context<Served>): UseCases => ({
  issueCoupon: Context.get(context, IssueCoupon.IssueCoupon),
  campaigns: Context.get(context, Campaigns.Campaigns),
  codePools: Context.get(context, CodePools.CodePools),
  coupons: Context.get(context, Coupons.Coupons),
  webhooks: Context.get(context, Webhooks.Webhooks),
  events: Context.get(context, CampaignEvents.CampaignEvents),
  redemptions: Context.get(context, CouponRedemptions.CouponRedemptions),
  revocations: Context.get(context, CouponRevocations.CouponRevocations),
  erasure: Context.get(context, UserErasure.UserErasure),
  guard: Context.get(context, Guard),
  apiKeys: Context.get(context, ApiKeys),
  sessions: Context.get(context, Sessions)
})

/** As `servedFrom`, of the effect's own context. */
export const served: Effect.Effect<UseCases, never, Served> = Effect.map(Effect.context<Served>(), servedFrom)
