import { kinds } from "./Outcomes.ts"
import type { Counts } from "./Sale.ts"

export const steps = ["arrived", "admitted", "reserved", "committed", "delivered"] as const
export type Step = typeof steps[number]

/** How far the claims of a campaign get, in claims and coupons. */
export type Funnel = Readonly<Record<Step, number>>

/** Claims that were shed before they were read are of no campaign, so they have not arrived here. */
export const funnelOf = (counts: Counts): Funnel => {
  const arrived = kinds.reduce((sum, kind) => sum + counts[kind], 0)
  const { committed, delivered, reserved, shed } = counts
  return { arrived, admitted: arrived - shed, reserved, committed, delivered }
}
