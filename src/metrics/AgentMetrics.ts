import * as Metrics from "./Metrics.ts"

const runs = Metrics.counters("coupon_agent_runs", "Runs of a background agent, by agent and result: ok or failed.", [
  "agent",
  "result"
])
const lastRun = Metrics.gauges(
  "coupon_agent_last_run_timestamp_seconds",
  "When the last run of an agent that succeeded ended, in seconds since 1970; 0 if there was none.",
  ["agent"]
)
const lastFailure = Metrics.gauges(
  "coupon_agent_last_failure_timestamp_seconds",
  "When a run of an agent last failed, in seconds since 1970; 0 if none did.",
  ["agent"]
)
const lag = Metrics.gauges(
  "coupon_agent_lag_seconds",
  "For how long an agent's next successful run has been due; 0 while the agent rests.",
  ["agent"]
)

/** The metrics of one agent. */
export interface AgentMetrics {
  readonly ok: Metrics.Counter
  readonly failed: Metrics.Counter
  readonly lastRun: Metrics.Gauge
  readonly lastFailure: Metrics.Gauge
  readonly lag: Metrics.Gauge
}

/** `agent` is a name from `src/agents/Agents.ts`. */
export const make = (agent: string): AgentMetrics => ({
  ok: runs({ agent, result: "ok" }),
  failed: runs({ agent, result: "failed" }),
  lastRun: lastRun({ agent }),
  lastFailure: lastFailure({ agent }),
  lag: lag({ agent })
})
