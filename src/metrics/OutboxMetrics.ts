import { counters, gauges } from "./Metrics.ts"

export const outboxBacklog = gauges(
  "coupon_outbox_backlog_events",
  "Events in the outbox that no relay has settled, over all instances."
)()
export const outboxOldestSeconds = gauges(
  "coupon_outbox_oldest_seconds",
  "Age of the oldest unsettled event by the ledger's clock; 0 if none."
)()
const relayEvent = counters(
  "coupon_outbox_events",
  "Events of the outbox that this instance took, and settled.",
  ["phase"]
)
export const relayed = { taken: relayEvent({ phase: "taken" }), settled: relayEvent({ phase: "settled" }) }
export const delivered = counters(
  "coupon_delivered",
  "Coupons that this instance's relay handed to the event stream and the gate; one may be handed over twice."
)()
