import type { CampaignTerms } from "./Campaign.ts"
import type { CampaignPhase } from "./Phase.ts"
import type { EpochMillis } from "./Time.ts"

export * from "./Phase.ts"

/** What a phase is derived from. All times are the ledger's. */
export interface PhaseFacts extends Pick<CampaignTerms, "status" | "startTime" | "endTime" | "couponLimit"> {
  readonly issuedCount: number
  readonly createdAt: EpochMillis
  /** Since when status, start and end have been what they are. */
  readonly since: EpochMillis
  /** Since when the limit has been what it is. */
  readonly limitSince: EpochMillis
  /** When it first opened, if that was before `since`. */
  readonly openedBefore: EpochMillis | undefined
  /** When the coupon was issued whose number is the limit; `undefined`: it is not yet. */
  readonly lastIssuedAt: EpochMillis | undefined
  /** When all of this was read. */
  readonly now: EpochMillis
}

const isOver = ({ endTime }: Pick<PhaseFacts, "endTime">, now: EpochMillis): boolean => endTime !== undefined && endTime <= now

export const phaseOf = (facts: Omit<PhaseFacts, "createdAt" | "since" | "limitSince" | "openedBefore" | "lastIssuedAt">): CampaignPhase => {
  if (facts.status === "ENDED" || isOver(facts, facts.now)) return "ENDED"
  if (facts.status === "PAUSED") return "PAUSED"
  if (facts.now < facts.startTime) return "SCHEDULED"
  return facts.issuedCount >= facts.couponLimit ? "SOLD_OUT" : "OPEN"
}

/** When it opened by the settings that it has had since `since`; `undefined`: not under these. */
const openingSince = (facts: PhaseFacts): EpochMillis | undefined => {
  const at = Math.max(facts.since, facts.startTime)
  return facts.status === "ACTIVE" && at <= facts.now && !isOver(facts, at) ? at : undefined
}

/** When it first opened to claims; a later change does not alter that. `undefined`: it never did so far. */
export const openedAt = (facts: PhaseFacts): EpochMillis | undefined => facts.openedBefore ?? openingSince(facts)

/**
 * Since when as many coupons as the limit are issued: when the last of them was, or when the limit was lowered to what was issued.
 * `undefined`: there are coupons left, for example after a raise.
 */
export const soldOutAt = (facts: PhaseFacts): EpochMillis | undefined =>
  facts.issuedCount >= facts.couponLimit ? Math.max(facts.lastIssuedAt ?? facts.limitSince, facts.limitSince) : undefined

/** A phase that was reached, and when. */
export interface PhaseReached {
  readonly phase: CampaignPhase
  readonly at: EpochMillis
}

/** When the phase that it is in now was reached, given the one before. */
const reachedAt = (phase: CampaignPhase, facts: PhaseFacts, before: CampaignPhase | undefined): EpochMillis => {
  switch (phase) {
    case "SCHEDULED":
    case "PAUSED":
      return facts.since
    case "ENDED":
      return facts.status === "ENDED" ? facts.since : Math.max(facts.since, facts.endTime ?? facts.since)
    case "SOLD_OUT":
      return Math.max(soldOutAt(facts) ?? facts.now, facts.since, facts.startTime)
    case "OPEN":
      return Math.max(facts.since, facts.startTime, before === "SOLD_OUT" ? facts.limitSince : 0)
  }
}

/**
 * The phases that a campaign has reached since the last one that was recorded, oldest first: also those that it went through
 * between two looks, as a campaign does that opens and sells out within a second. Empty: it is where it was.
 */
export const phasesReached = (facts: PhaseFacts, recorded: PhaseReached | undefined): ReadonlyArray<PhaseReached> => {
  const phase = phaseOf(facts)
  const before = recorded?.phase
  const reached: Array<PhaseReached> = []
  const sold = soldOutAt(facts)
  if (phase === before) {
    // Raised, and sold out again before anything looked.
    if (phase !== "SOLD_OUT" || facts.limitSince <= recorded!.at || sold === undefined || sold <= facts.limitSince) return []
    return [{ phase: "OPEN", at: facts.limitSince }, { phase, at: sold }]
  }
  if (phase !== "OPEN" && phase !== "SCHEDULED" && before !== "OPEN" && before !== "SOLD_OUT" && before !== "ENDED") {
    // Its first opening may have been before the phase that was recorded last.
    const first = openedAt(facts)
    const opened = recorded === undefined || (first !== undefined && first >= recorded.at) ? first : openingSince(facts)
    // One that was sold out by then, as one that is resumed may be, did not open.
    if (opened !== undefined && (sold === undefined || sold >= opened)) reached.push({ phase: "OPEN", at: opened })
  }
  if ((phase === "PAUSED" || phase === "ENDED") && sold !== undefined && (before === "OPEN" || reached.length > 0)) {
    reached.push({ phase: "SOLD_OUT", at: Math.max(sold, reached[0]?.at ?? 0) })
  }
  reached.push({ phase, at: reachedAt(phase, facts, before) })
  return reached
}

/** When the clock may next change the phase; `undefined`: never, unless the campaign is changed. */
export const nextDue = ({ endTime, now, startTime, status }: PhaseFacts): EpochMillis | undefined => {
  if (status === "ENDED") return undefined
  return [startTime, endTime].filter((time): time is EpochMillis => time !== undefined && time > now).sort((a, b) => a - b)[0]
}
