import * as Layer from "effect/Layer"
import * as Auditor from "./Auditor.ts"
import * as CampaignChanges from "./CampaignChanges.ts"
import * as Campaigns from "./Campaigns.ts"
import * as CouponLookup from "./CouponLookup.ts"
import * as GateRebuilder from "./GateRebuilder.ts"
import * as GroupCommit from "./GroupCommit.ts"
import * as HeldCoupons from "./HeldCoupons.ts"
import * as IssueCoupon from "./IssueCoupon.ts"
import * as KnownCampaigns from "./KnownCampaigns.ts"
import * as OutboxRelay from "./OutboxRelay.ts"
import * as PhaseWatch from "./PhaseWatch.ts"
import * as ReservationReaper from "./ReservationReaper.ts"

/** The use cases and every background agent, over the ports Gate, Ledger, Outbox and CampaignPhases. */
export const layer = Layer.mergeAll(IssueCoupon.layer, Campaigns.layer, ReservationReaper.layer).pipe(
  Layer.provideMerge(Layer.mergeAll(Auditor.layer, CampaignChanges.layer, GroupCommit.layer, CouponLookup.layer)),
  Layer.provideMerge(Layer.mergeAll(GateRebuilder.layer, OutboxRelay.layer)),
  Layer.provideMerge(PhaseWatch.layer),
  Layer.provideMerge(Layer.mergeAll(KnownCampaigns.layer, HeldCoupons.layer))
)
