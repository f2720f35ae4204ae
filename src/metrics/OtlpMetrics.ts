import { counters } from "./Metrics.ts"

const otlpSpan = counters(
  "coupon_otlp_spans",
  "Spans that ended, by result: sent to the collector, or dropped because it does not take them or not fast enough.",
  ["result"]
)
export const otlpSpans = { sent: otlpSpan({ result: "sent" }), dropped: otlpSpan({ result: "dropped" }) }
const otlpExport = counters(
  "coupon_otlp_exports",
  "Exports to the collector, by signal (traces or metrics) and result: sent, or failed after their retries.",
  ["signal", "result"]
)
export const otlpExports = {
  traces: {
    sent: otlpExport({ signal: "traces", result: "sent" }),
    failed: otlpExport({ signal: "traces", result: "failed" })
  },
  metrics: {
    sent: otlpExport({ signal: "metrics", result: "sent" }),
    failed: otlpExport({ signal: "metrics", result: "failed" })
  }
}
