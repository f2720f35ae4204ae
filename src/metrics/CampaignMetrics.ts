import { counters } from "./Metrics.ts"

const phaseReached = counters(
  "coupon_campaign_phases_reached",
  "Phases that campaigns reached, by phase, counted by the instance that recorded it: take the sum over the instances.",
  ["phase"]
)
/** By `CampaignPhase`. */
export const phasesReached = {
  SCHEDULED: phaseReached({ phase: "SCHEDULED" }),
  OPEN: phaseReached({ phase: "OPEN" }),
  SOLD_OUT: phaseReached({ phase: "SOLD_OUT" }),
  PAUSED: phaseReached({ phase: "PAUSED" }),
  ENDED: phaseReached({ phase: "ENDED" })
} as const
