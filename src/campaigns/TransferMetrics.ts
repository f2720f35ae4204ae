import { counters, gauges } from "../metrics/Metrics.ts"

const codes = counters(
  "coupon_imported_codes",
  "Codes of chunks that this instance stored, by result: accepted or rejected. Repeated chunks count again.",
  ["result"]
)

/** What goes out by exports, and comes in by imports. */
export const transfers = {
  exports: gauges("coupon_exports", "Calls of ExportCoupons that last.")(),
  exported: counters("coupon_exported_coupons", "Coupons that this instance read for exports.")(),
  accepted: codes({ result: "accepted" }),
  rejected: codes({ result: "rejected" })
}
