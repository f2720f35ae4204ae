import { counters, distributions, SECONDS } from "./Metrics.ts"

export const eventsPublished = counters(
  "coupon_event_stream_events",
  "CouponIssued events that this instance published; a coupon may have several."
)()
export const streamSeconds = distributions(
  "coupon_event_stream_duration_seconds",
  "Time to publish the events of a campaign in one poll of the outbox, or of a page of a rebuild.",
  SECONDS
)()
export const streamFailures = counters(
  "coupon_event_stream_failures",
  "Calls that published events and that Redis did not answer."
)()
