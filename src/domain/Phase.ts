/**
 * The state of a campaign for users, where `CampaignStatus` is what an operator has set. The first that applies counts,
 * so there is always exactly one:
 * - `ENDED`: ended by an operator, or its end has passed;
 * - `PAUSED`: by an operator, also before its start: it will not open by itself;
 * - `SCHEDULED`: its start lies ahead;
 * - `SOLD_OUT`: as many coupons as its limit are issued;
 * - `OPEN`: it issues coupons.
 */
export type CampaignPhase = "SCHEDULED" | "OPEN" | "SOLD_OUT" | "PAUSED" | "ENDED"

export const campaignPhases: ReadonlyArray<CampaignPhase> = ["SCHEDULED", "OPEN", "SOLD_OUT", "PAUSED", "ENDED"]
