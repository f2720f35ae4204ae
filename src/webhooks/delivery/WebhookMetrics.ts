import * as Metrics from "../../metrics/Metrics.ts"

const attempts = Metrics.counters(
  "coupon_webhook_attempts",
  "Requests to receivers of webhooks, by result: delivered, failed, parked (failed for the last time, and set aside).",
  ["result"]
)
const endpoints = Metrics.gauges(
  "coupon_webhook_endpoints",
  "Endpoints of webhooks, by state: enabled, failing (enabled, and the last delivery failed), disabled.",
  ["state"]
)

/** What this instance's deliveries count. */
export const webhooks = {
  delivered: attempts({ result: "delivered" }),
  failed: attempts({ result: "failed" }),
  parked: attempts({ result: "parked" }),
  coupons: Metrics.counters(
    "coupon_webhook_coupons",
    "Coupons that receivers of webhooks have taken, singly, in batches or as ranges."
  )(),
  disabled: Metrics.counters(
    "coupon_webhook_disabled",
    "Endpoints that this instance has disabled, because they answered 410 or failed for five days."
  )(),
  skipped: Metrics.counters(
    "coupon_webhook_skipped_events",
    "Events that webhooks have not delivered and never will, because EVENT_RETENTION has removed them."
  )(),
  lagEvents: Metrics.gauges(
    "coupon_webhook_lag_events",
    "Events of the logs that enabled endpoints have not taken yet, of all of them, as this instance sees it."
  )(),
  lagSeconds: Metrics.gauges(
    "coupon_webhook_lag_seconds",
    "Age of the oldest event that an enabled endpoint has not taken yet; 0 if there is none."
  )(),
  enabled: endpoints({ state: "enabled" }),
  failing: endpoints({ state: "failing" }),
  isDisabled: endpoints({ state: "disabled" })
}
