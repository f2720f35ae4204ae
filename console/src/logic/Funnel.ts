import * as Outcomes from "./Outcomes.ts"

/** What the funnel is made of, a second, of all instances. */
export interface Flow {
  /** Answers of IssueCoupon by message. */
  readonly answers: Readonly<Record<string, number>>
  /** The gate's answers by name. */
  readonly gate: Readonly<Record<string, number>>
}

export const steps = ["arrived", "admitted", "reserved", "committed", "delivered"] as const
export type Step = typeof steps[number]

/**
 * How far claims get, a second. A claim that is not admitted was shed. One that is admitted and not reserved has been
 * refused (sold out, a second claim, …). `delivered` follows `committed` by the backlog: what left the outbox is what
 * came in, less what the backlog grew by.
 */
export const funnelOf = (flow: Flow, backlogGrowth: number): Readonly<Record<Step, number>> => {
  const counts = Outcomes.byKind(flow.answers)
  const arrived = Outcomes.totalOf(counts)
  const committed = counts.issued
  // The gate answers before the claim does, so within a second it may have reserved less than was committed.
  const reserved = Math.max(committed, (flow.gate["Reserved"] ?? 0) + (flow.gate["Bypassed"] ?? 0))
  return {
    arrived: Math.max(arrived, reserved),
    admitted: Math.max(arrived - counts.shed, reserved),
    reserved,
    committed,
    delivered: Math.max(0, committed - backlogGrowth)
  }
}
