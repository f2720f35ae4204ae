import type * as Contract from "../contract/operator/Verification.ts"
import type { GateState } from "../ports/Gate.ts"
import type { CampaignFacts } from "../ports/LedgerFacts.ts"
import type { OutboxBacklog } from "../ports/Outbox.ts"

/** One campaign as a verification saw it. */
export interface Observation {
  readonly ledger: CampaignFacts
  /** The gate before and after the ledger was read; `undefined` if the gate lives inside the service. */
  readonly gate: { readonly before: GateState; readonly after: GateState } | undefined
}

/** Events and reservations older than this are stuck: no relay or reaper handles them. */
export interface Limits {
  readonly eventMillis: number
  readonly reservationMillis: number
}

/** An invariant (docs/internals/protocol.md) that does not hold; `repairable`: by a rebuild of the gate. */
export interface Violation {
  readonly campaignId: number | undefined
  readonly invariant:
    | "E1" | "E2" | "I1" | "I2" | "I3" | "I9" | "P1" | "P2" | "R1" | "R2" | "R4" | "R5" | "R6" | "U1" | "G1" | "G2"
  readonly text: string
  readonly repairable: boolean
}

/** What is wrong with a log of events, by itself and against the coupons. */
const logViolations = ({ coupons, log, unrelayed }: CampaignFacts): ReadonlyArray<readonly ["E1" | "E2", string]> => {
  if (log === undefined) return []
  const { events, firstIssued, firstSequence, lastIssued, lastNumber, lastSequence, misplaced, removedSequence } = log
  const found: Array<readonly ["E1" | "E2", string]> = []
  if (events !== log.sequence - removedSequence) {
    found.push(["E2", `${events} events, numbered from ${removedSequence + 1} to ${log.sequence}`])
  } else if (events > 0 && (firstSequence !== removedSequence + 1 || lastSequence !== log.sequence)) {
    found.push(["E2", `events from ${firstSequence} to ${lastSequence}, the log ends at ${log.sequence}`])
  }
  if (misplaced > 0) found.push(["E1", `${misplaced} ranges of coupons do not follow the range before them`])
  if (removedSequence === 0 && firstIssued > 1) found.push(["E1", `the first range begins with coupon ${firstIssued}`])
  if ((removedSequence === 0 || lastIssued > 0) && lastIssued !== lastNumber) {
    found.push(["E1", `the last range ends with coupon ${lastIssued}, the log's head is at ${lastNumber}`])
  }
  if (lastNumber > coupons) found.push(["E1", `the log has ${lastNumber} coupons, the ledger ${coupons}`])
  // The relay appends in the transaction in which it settles.
  if (coupons - lastNumber > unrelayed) {
    found.push([
      "E1",
      `the log has ${lastNumber} of ${coupons} coupons, and only ${unrelayed} are on their way: ` +
        "does an instance of the service run?"
    ])
  }
  return found
}

/** What is wrong with redemptions, by themselves and against states, event log and limit. */
const redemptionViolations = (
  { couponLimit, log, redemptions }: CampaignFacts
): ReadonlyArray<readonly ["R1" | "R2" | "R4" | "R5", string]> => {
  const { acts, answers, differing, events, last, lastChange, lastLogged } = redemptions
  const { requests, returned, slots, wrong } = redemptions
  const found: Array<readonly ["R1" | "R2" | "R4" | "R5", string]> = []
  if (wrong > 0) found.push(["R1", `${wrong} coupons are redeemed more than once, or undone or revoked amiss`])
  if (answers !== requests) found.push(["R2", `${answers} answers were given to ${requests} requests`])
  if (acts !== last) found.push(["R4", `${acts} acts are numbered up to ${last}`])
  if (differing > 0) found.push(["R4", `${differing} coupons have a state that their acts do not leave`])
  if (lastLogged > last) found.push(["R4", `the log has acts up to ${lastLogged}, the ledger up to ${last}`])
  if (log?.removedSequence === 0 && events !== lastLogged) {
    found.push(["R4", `the log has ${events} events of acts, its head is at act ${lastLogged}`])
  }
  if (returned !== slots) found.push(["R5", `returned is ${returned}, ${slots} revocations have returned their slot`])
  if (lastChange !== undefined && (lastChange.couponLimit !== couponLimit || lastChange.returned !== returned)) {
    found.push([
      "R5",
      `the limit is ${couponLimit} with ${returned} returned, the last change made it ` +
        `${lastChange.couponLimit} with ${lastChange.returned}`
    ])
  }
  return found
}

/** The violations of one campaign. A gate that is not hydrated claims nothing: the next claim rebuilds it. */
export const violationsOf = ({ gate, ledger }: Observation, limits: Limits): ReadonlyArray<Violation> => {
  const { campaignId, codeCount, codes, counter, couponLimit, coupons, highestId, unrelayed, users } = ledger
  const { otherCodes, poolCodes, userless } = ledger
  const found: Array<Violation> = []
  const say = (invariant: Violation["invariant"], text: string, repairable = false) =>
    found.push({ campaignId, invariant, text, repairable })
  if (coupons > couponLimit) say("I1", `${coupons} coupons, the limit is ${couponLimit}`)
  if (counter !== coupons) say("I2", `current_coupon is ${counter}, there are ${coupons} coupons`)
  if (highestId !== coupons) say("I2", `${coupons} coupons are numbered up to ${highestId}`)
  if (users !== coupons) say("I3", `${coupons} coupons belong to ${users} users`)
  if (userless > 0) say("U1", `${userless} coupons have users that are neither users nor erased`)
  if (codes !== coupons) say("I3", `${coupons} coupons have ${codes} different codes`)
  if (otherCodes > 0) say("P1", `${otherCodes} coupons have codes that are not the pool's of their numbers`)
  if (poolCodes !== codeCount) say("P2", `code_count is ${codeCount}, the pool has ${poolCodes} codes up to there`)
  const { early, late, misplaced } = ledger.expiry
  if (late > 0) say("R6", `${late} requests to redeem were answered as if their coupons had not expired`)
  if (early > 0) say("R6", `${early} requests to redeem were refused as expired before their coupons were`)
  if (misplaced > 0) say("R6", `${misplaced} validities are not in the order of their coupons`)
  for (const [invariant, text] of [...logViolations(ledger), ...redemptionViolations(ledger)]) say(invariant, text)
  if (gate === undefined) return found
  if (gate.after.condition === "Broken") say("G2", "the gate's keys cannot be read, or are of another type", true)
  if (gate.after.condition === "Foreign") {
    say("G1", "the gate's keys belong to another deployment: set REDIS_KEY_PREFIX")
  }
  // The gate's holders were committed before the ledger was read.
  if (gate.before.issued > coupons) {
    say("G1", `the gate knows ${gate.before.issued} holders, the ledger ${coupons}`, true)
  }
  // What the relay had settled when the ledger was read reached the gate before its second reading.
  if (gate.after.hydrated && gate.after.issued < coupons - unrelayed) {
    say("G2", `the gate knows ${gate.after.issued} holders of ${coupons}, and only ${unrelayed} are on their way`, true)
  }
  const { oldestPendingMillis, pending } = gate.after
  if (oldestPendingMillis > limits.reservationMillis) {
    const age = seconds(oldestPendingMillis)
    say("I9", `of ${pending} reservations the oldest is ${age} old: does an instance of the service run?`)
  }
  return found
}

/** The violations of the outbox as a whole. */
export const outboxViolations = (
  { events, oldestAgeMillis }: OutboxBacklog,
  limits: Limits
): ReadonlyArray<Violation> =>
  oldestAgeMillis <= limits.eventMillis ? [] : [{
    campaignId: undefined,
    invariant: "I9",
    text: `of ${events} outbox events the oldest is ${seconds(oldestAgeMillis)} old: ` +
      "does an instance of the service run?",
    repairable: false
  }]

const seconds = (millis: number): string => `${(millis / 1_000).toFixed(1)} s`

/** A violation as the operator plane sends it. */
export const toContract = ({ campaignId, ...rest }: Violation): typeof Contract.Violation.Type => ({
  campaignId: campaignId ?? null,
  ...rest
})

const gateOf = (state: GateState) => ({
  condition: state.condition,
  hydrated: state.hydrated,
  issued: state.issued,
  pending: state.pending,
  oldestPendingMillis: state.oldestPendingMillis
})

/** A verified campaign as the operator plane sends it. */
export const rowOf = ({ observation, violations }: {
  readonly observation: Observation
  readonly violations: ReadonlyArray<Violation>
}): typeof Contract.VerifiedCampaign.Type => {
  const { gate, ledger: { campaignId, counter, couponLimit, coupons, unrelayed } } = observation
  return {
    campaignId,
    couponLimit,
    coupons,
    counter,
    unrelayed,
    gate: gate === undefined ? null : gateOf(gate.after),
    violations: violations.map(toContract)
  }
}
