import type { Overview } from "../../../src/contract/Overview.ts"

export const steps = ["arrived", "admitted", "reserved", "committed", "delivered"] as const
export type Step = typeof steps[number]

/** Claims and coupons a second, of all instances and campaigns. */
export type Funnel = Readonly<Record<Step, number>>

/**
 * How far claims get, from what instances have counted until `before` and until `now`. An instance that has started in
 * between counts from its next sample on. `undefined`: no instance has a newer sample that tells.
 */
export const funnelOf = (
  before: ReadonlyArray<Overview>,
  now: ReadonlyArray<Overview>
): Funnel | undefined => {
  const sums: Record<Step, number> = { arrived: 0, admitted: 0, reserved: 0, committed: 0, delivered: 0 }
  let isKnown = false
  for (const { at, funnel, instance } of now) {
    const last = before.find((one) => one.instance === instance)
    if (funnel === undefined || last?.funnel === undefined || at <= last.at) continue
    isKnown = true
    for (const step of steps) {
      sums[step] += Math.max(0, funnel[step] - last.funnel[step]) * 1_000 / (at - last.at)
    }
  }
  return isKnown ? sums : undefined
}
