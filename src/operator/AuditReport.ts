import type { GateState } from "../ports/Gate.ts"
import type { LedgerFacts } from "../ports/LedgerFacts.ts"
import type { OutboxBacklog } from "../ports/Outbox.ts"

/** One campaign as an audit saw it. */
export interface Observation {
  readonly ledger: LedgerFacts
  /** The gate before and after the ledger was read; `undefined` where it lives inside the service. */
  readonly gate: { readonly before: GateState; readonly after: GateState } | undefined
}

/** Events and reservations older than this, in milliseconds, are stuck: nobody relays or resolves them. */
export interface Limits {
  readonly eventMillis: number
  readonly reservationMillis: number
}

/** An invariant of the protocol that does not hold; `repairable`: by rebuilding the gate from the ledger. */
export interface Violation {
  readonly campaignId: number | undefined
  readonly invariant: "I1" | "I2" | "I3" | "I9" | "G1" | "G2"
  readonly text: string
  readonly repairable: boolean
}

/** What is wrong with a campaign. A gate that is not hydrated claims nothing, so it cannot be wrong: the next claim rebuilds it. */
export const violationsOf = ({ gate, ledger }: Observation, limits: Limits): ReadonlyArray<Violation> => {
  const { campaignId, codes, counter, couponLimit, coupons, highestId, unrelayed, users } = ledger
  const found: Array<Violation> = []
  const say = (invariant: Violation["invariant"], text: string, repairable = false) =>
    found.push({ campaignId, invariant, text, repairable })
  if (coupons > couponLimit) say("I1", `${coupons} coupons, the limit is ${couponLimit}`)
  if (counter !== coupons) say("I2", `current_coupon is ${counter}, there are ${coupons} coupons`)
  if (highestId !== coupons) say("I2", `${coupons} coupons are numbered up to ${highestId}`)
  if (users !== coupons) say("I3", `${coupons} coupons belong to ${users} users`)
  if (codes !== coupons) say("I3", `${coupons} coupons have ${codes} different codes`)
  if (gate === undefined) return found
  if (gate.after.condition === "Broken") say("G2", "the gate's keys cannot be read, or are of another type", true)
  if (gate.after.condition === "Foreign") say("G1", "the gate's keys belong to another deployment: set REDIS_KEY_PREFIX")
  // What the gate held before the ledger was read, the ledger had committed before.
  if (gate.before.issued > coupons) say("G1", `the gate knows ${gate.before.issued} holders, the ledger ${coupons}`, true)
  // What the relay had settled when the ledger was read, the gate had before it was read again.
  if (gate.after.hydrated && gate.after.issued < coupons - unrelayed) {
    say("G2", `the gate knows ${gate.after.issued} holders of ${coupons}, and only ${unrelayed} are on their way`, true)
  }
  const { oldestPendingMillis, pending } = gate.after
  if (oldestPendingMillis > limits.reservationMillis) {
    say("I9", `of ${pending} reservations the oldest is ${seconds(oldestPendingMillis)} old: does an instance of the service run?`)
  }
  return found
}

/** What is wrong with the outbox as a whole. */
export const outboxViolations = ({ events, oldestAgeMillis }: OutboxBacklog, limits: Limits): ReadonlyArray<Violation> =>
  oldestAgeMillis <= limits.eventMillis ? [] : [{
    campaignId: undefined,
    invariant: "I9",
    text: `of ${events} outbox events the oldest is ${seconds(oldestAgeMillis)} old: does an instance of the service run?`,
    repairable: false
  }]

const seconds = (millis: number): string => `${(millis / 1_000).toFixed(1)} s`

const HEADER = ["campaign", "limit", "coupons", "counter", "gate", "holders", "on their way", "reserved", "verdict"]

/** A table for people: a line a campaign. */
export const table = (rows: ReadonlyArray<{ readonly observation: Observation; readonly violations: ReadonlyArray<Violation> }>): string => {
  const cells = rows.map(({ observation: { gate, ledger }, violations }) => [
    String(ledger.campaignId),
    String(ledger.couponLimit),
    String(ledger.coupons),
    String(ledger.counter),
    gate === undefined ? "-" : gate.after.condition !== "Sound" ? gate.after.condition.toLowerCase() : gate.after.hydrated ? "hydrated" : "cold",
    gate === undefined ? "-" : String(gate.after.issued),
    String(ledger.unrelayed),
    gate === undefined ? "-" : String(gate.after.pending),
    violations.length === 0 ? "ok" : [...new Set(violations.map(({ invariant }) => invariant))].join(" ")
  ])
  const widths = HEADER.map((title, k) => Math.max(title.length, ...cells.map((row) => row[k]!.length)))
  const last = HEADER.length - 1
  return [HEADER, ...cells].map((row) =>
    row.map((cell, k) => k === last ? cell : k === 4 ? cell.padEnd(widths[k]!) : cell.padStart(widths[k]!)).join("  ")
  ).join("\n")
}
