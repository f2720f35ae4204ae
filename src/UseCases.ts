import * as Layer from "effect/Layer"
import * as Auditor from "./agents/Reconciler.ts"
import * as CampaignChanges from "./campaigns/CampaignChanges.ts"
import * as Campaigns from "./campaigns/Campaigns.ts"
import * as CouponLookup from "./claim/CouponLookup.ts"
import * as GateRebuilder from "./agents/GateRebuilder.ts"
import * as GroupCommit from "./claim/GroupCommit.ts"
import * as HeldCoupons from "./agents/HeldCoupons.ts"
import * as IssueCoupon from "./claim/IssueCoupon.ts"
import * as KnownCampaigns from "./agents/KnownCampaigns.ts"
import * as OutboxRelay from "./agents/OutboxRelay.ts"
import * as PhaseWatch from "./agents/PhaseWatch.ts"
import * as ReservationReaper from "./agents/ReservationReaper.ts"

/** The use cases and every background agent, over the ports Gate, Ledger, Outbox and CampaignPhases. */
export const layer = Layer.mergeAll(IssueCoupon.layer, Campaigns.layer, ReservationReaper.layer).pipe(
  Layer.provideMerge(Layer.mergeAll(Auditor.layer, CampaignChanges.layer, GroupCommit.layer, CouponLookup.layer)),
  Layer.provideMerge(Layer.mergeAll(GateRebuilder.layer, OutboxRelay.layer)),
  Layer.provideMerge(PhaseWatch.layer),
  Layer.provideMerge(Layer.mergeAll(KnownCampaigns.layer, HeldCoupons.layer))
)
