import { gauges } from "../../metrics/Metrics.ts"

const watches = gauges("coupon_watches", "Calls of WatchCampaign that last, by state: open, or the limit.", ["state"])

/** Readers of the event logs, and what the logs lack. */
export const eventLogs = {
  lagEvents: gauges(
    "coupon_event_log_lag_events",
    "Commits that the event logs lack, over all instances: batches of coupons or redemptions, and changes of campaigns."
  )(),
  lagSeconds: gauges(
    "coupon_event_log_lag_seconds",
    "Age of the oldest commit that the event logs lack, by the ledger's clock; 0 if none."
  )(),
  watches: { open: watches({ state: "open" }), limit: watches({ state: "limit" }) }
}
