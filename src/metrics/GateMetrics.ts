import { counters, distributions, gauges, SECONDS, SIZES } from "./Metrics.ts"

const gateAnswer = counters(
  "coupon_gate_answers",
  "Answers of the gate to claims, by answer: those of reserve, RefusedSoldOut of check, and Bypassed for those that " +
    "did without it (GATE_BYPASS_AFTER).",
  ["answer"]
)
/** By `ReserveAnswer`; what `check` says to a claim on a sold-out campaign; and claims that went past the gate. */
export const gateAnswers = {
  Reserved: gateAnswer({ answer: "Reserved" }),
  Already: gateAnswer({ answer: "Already" }),
  Pending: gateAnswer({ answer: "Pending" }),
  NotStarted: gateAnswer({ answer: "NotStarted" }),
  Ended: gateAnswer({ answer: "Ended" }),
  Paused: gateAnswer({ answer: "Paused" }),
  SoldOut: gateAnswer({ answer: "SoldOut" }),
  Full: gateAnswer({ answer: "Full" }),
  Cold: gateAnswer({ answer: "Cold" }),
  RefusedSoldOut: gateAnswer({ answer: "RefusedSoldOut" }),
  Bypassed: gateAnswer({ answer: "Bypassed" })
} as const
const gateBatch = distributions(
  "coupon_gate_batch_size",
  "Claims in one call of the gate, by operation: reserve or check.",
  SIZES, ["operation"]
)
const gateTime = distributions(
  "coupon_gate_duration_seconds",
  "Round trips of the gate, by operation: reserve, check or confirm.",
  SECONDS, ["operation"]
)
export const gateBatchSize = { reserve: gateBatch({ operation: "reserve" }), check: gateBatch({ operation: "check" }) }
export const gateSeconds = {
  reserve: gateTime({ operation: "reserve" }),
  check: gateTime({ operation: "check" }),
  confirm: gateTime({ operation: "confirm" })
}
export const gateFailures = counters("coupon_gate_failures", "Calls of the gate that it did not answer.")()
/** 1 once the stores are there; 0 from a failure to the next answer. */
export const gateUp = gauges(
  "coupon_gate_up",
  "Whether the gate answered the last call: 1 or 0; while 0, the ledger decides alone."
)()
const rebuild = counters(
  "coupon_gate_rebuilds",
  "Rebuilds of a campaign's gate by this instance, by phase: begun or completed.",
  ["phase"]
)
export const gateRebuilds = { begun: rebuild({ phase: "begun" }), completed: rebuild({ phase: "completed" }) }
export const reservationsPending = gauges(
  "coupon_reservations_pending",
  "Reservations without a verdict, over the campaigns that this instance reconciles."
)()
export const reservationsOldestSeconds = gauges(
  "coupon_reservations_oldest_seconds",
  "Age of the oldest reservation without a verdict; 0 if none."
)()
const reap = counters(
  "coupon_reservations_reaped",
  "Expired reservations that were resolved, by resolution: confirmed or released.",
  ["resolution"]
)
export const reaped = { confirmed: reap({ resolution: "confirmed" }), released: reap({ resolution: "released" }) }

const comparison = counters("coupon_audits", "Comparisons of gate and ledger, by verdict.", ["verdict"])
/** By `ReconcileVerdict`. */
export const comparisons = {
  Agrees: comparison({ verdict: "Agrees" }),
  Cold: comparison({ verdict: "Cold" }),
  Lost: comparison({ verdict: "Lost" }),
  Ghosts: comparison({ verdict: "Ghosts" }),
  Broken: comparison({ verdict: "Broken" }),
  Foreign: comparison({ verdict: "Foreign" }),
  Outdated: comparison({ verdict: "Outdated" }),
  Unknown: comparison({ verdict: "Unknown" })
} as const
