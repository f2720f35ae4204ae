import type { CampaignTerms } from "./Campaign.ts"
import type { CampaignPhase } from "./Phase.ts"
import type { EpochMillis } from "./Time.ts"

export * from "./Phase.ts"

/** What a phase is derived from. All times are the ledger's. */
export interface PhaseFacts extends Pick<CampaignTerms, "status" | "startTime" | "endTime" | "couponLimit"> {
  readonly issuedCount: number
  readonly createdAt: EpochMillis
  /** When status, start and end last changed. */
  readonly since: EpochMillis
  /** When the limit last changed. */
  readonly limitSince: EpochMillis
  /** When it first opened, if that was before `since`. */
  readonly openedBefore: EpochMillis | undefined
  /** When the coupon whose number is the limit was issued; `undefined`: it is not issued yet. */
  readonly lastIssuedAt: EpochMillis | undefined
  /** When all of this was read. */
  readonly now: EpochMillis
}

const isOver = ({ endTime }: Pick<PhaseFacts, "endTime">, now: EpochMillis): boolean =>
  endTime !== undefined && endTime <= now

type PhaseInputs = Pick<PhaseFacts, "status" | "startTime" | "endTime" | "couponLimit" | "issuedCount" | "now">

export const phaseOf = (facts: PhaseInputs): CampaignPhase => {
  if (facts.status === "ENDED" || isOver(facts, facts.now)) return "ENDED"
  if (facts.status === "PAUSED") return "PAUSED"
  if (facts.now < facts.startTime) return "SCHEDULED"
  return facts.issuedCount >= facts.couponLimit ? "SOLD_OUT" : "OPEN"
}

/** When it opened under its present settings; `undefined`: it did not. */
const openingSince = (facts: PhaseFacts): EpochMillis | undefined => {
  const at = Math.max(facts.since, facts.startTime)
  return facts.status === "ACTIVE" && at <= facts.now && !isOver(facts, at) ? at : undefined
}

/** When it first opened to claims; a later change does not alter that. `undefined`: it has not opened yet. */
export const openedAt = (facts: PhaseFacts): EpochMillis | undefined => facts.openedBefore ?? openingSince(facts)

/**
 * When it sold out: when its last coupon was issued, or when the limit was lowered to what was issued. `undefined`:
 * coupons are left, for example after a raise.
 */
export const soldOutAt = (facts: PhaseFacts): EpochMillis | undefined =>
  facts.issuedCount < facts.couponLimit
    ? undefined
    : Math.max(facts.lastIssuedAt ?? facts.limitSince, facts.limitSince)

/** A phase that was reached, and when. */
export interface PhaseReached {
  readonly phase: CampaignPhase
  readonly at: EpochMillis
}

/** When the present phase was reached, given the one before. */
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
 * The phases that a campaign has reached since the last recorded one, oldest first. Includes phases between two checks,
 * for example of a campaign that opens and sells out within a second. Empty: the phase has not changed.
 */
export const phasesReached = (facts: PhaseFacts, recorded: PhaseReached | undefined): ReadonlyArray<PhaseReached> => {
  const phase = phaseOf(facts)
  const before = recorded?.phase
  const reached: Array<PhaseReached> = []
  const sold = soldOutAt(facts)
  if (phase === before) {
    // The limit was raised, and the campaign sold out again, between two checks.
    const isNewLimit = phase === "SOLD_OUT" && facts.limitSince > recorded!.at
    if (!isNewLimit || sold === undefined || sold <= facts.limitSince) return []
    return [{ phase: "OPEN", at: facts.limitSince }, { phase, at: sold }]
  }
  if (phase !== "OPEN" && phase !== "SCHEDULED" && before !== "OPEN" && before !== "SOLD_OUT" && before !== "ENDED") {
    // The first opening may precede the phase that was recorded last.
    const first = openedAt(facts)
    const opened = recorded === undefined || (first !== undefined && first >= recorded.at) ? first : openingSince(facts)
    // A campaign that was sold out by then (e.g. resumed after it sold out) did not open.
    if (opened !== undefined && (sold === undefined || sold >= opened)) reached.push({ phase: "OPEN", at: opened })
  }
  if ((phase === "PAUSED" || phase === "ENDED") && sold !== undefined && (before === "OPEN" || reached.length > 0)) {
    reached.push({ phase: "SOLD_OUT", at: Math.max(sold, reached[0]?.at ?? 0) })
  }
  reached.push({ phase, at: reachedAt(phase, facts, before) })
  return reached
}

/** When time alone may next change the phase; `undefined`: never. */
export const nextDue = ({ endTime, now, startTime, status }: PhaseFacts): EpochMillis | undefined => {
  if (status === "ENDED") return undefined
  return [startTime, endTime].filter((time): time is EpochMillis => time !== undefined && time > now)
    .sort((a, b) => a - b)[0]
}
