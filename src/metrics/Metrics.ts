import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import type * as MetricKeyType from "effect/MetricKeyType"
import * as MetricLabel from "effect/MetricLabel"
import { type FailureTag, table } from "../contract/FailureTable.ts"

/**
 * What the service counts, as Effect metrics of the process: `/metrics`, OTLP and the operator's overview read the same ones.
 * docs/reference/metrics.md explains each (a test holds it against this). Labels take only values named in the code.
 *
 * Everything is hoisted, and hot paths call `unsafeUpdate`: 3 ns for a counter, 35 for a histogram, 170 for all of a request (`node
 * bench/metrics.ts`), where `Metric.increment` as an effect and a tag made per request cost microseconds.
 */

/** The labels that an update adds: none, and no array made for it. */
const NONE: ReadonlyArray<MetricLabel.MetricLabel> = []

/** A running total that only grows. */
export interface Counter {
  readonly add: (count?: number) => void
  readonly value: () => number
}

/** A value that goes up and down. */
export interface Gauge {
  readonly set: (value: number) => void
  readonly value: () => number
}

/** A distribution: `buckets` are pairs of upper bound and cumulative count. */
export interface Distribution {
  readonly observe: (value: number) => void
  readonly state: () => { readonly count: number; readonly sum: number; readonly buckets: ReadonlyArray<readonly [number, number]> }
}

/** The series of a metric with these labels, which have to be named if there are any. */
export type Family<L extends string, S> = [L] extends [never] ? () => S : (labels: Readonly<Record<L, string>>) => S

/** What a metric is. */
export interface Definition {
  readonly kind: "counter" | "gauge" | "histogram"
  readonly description: string
  readonly labels: ReadonlyArray<string>
}

const known = new Map<string, Definition>()

/** Every metric, by its name in Effect's registry: `/metrics` adds `_total` to a counter's. */
export const definitions: ReadonlyMap<string, Definition> = known

/**
 * Of one metric, the series that were asked for so far. Each is a metric of its own whose key has the labels: `Metric.tagged` would
 * join labels and look the series up at each update, 1.9 µs where this takes 3 ns.
 */
const family = <Type extends MetricKeyType.MetricKeyType.Untyped, S, L extends string>(
  key: MetricKey.MetricKey<Type>,
  definition: Definition,
  wrap: (series: Metric.Metric<Type, MetricKeyType.MetricKeyType.InType<Type>, MetricKeyType.MetricKeyType.OutType<Type>>) => S
): Family<L, S> => {
  const made = new Map<string, S>()
  known.set(key.name, definition)
  const of = (labels = {} as Readonly<Record<L, string>>): S => {
    const name = definition.labels.map((label) => labels[label as L]).join("\n")
    let series = made.get(name)
    if (series === undefined) {
      const tags = definition.labels.map((label) => MetricLabel.make(label, labels[label as L]))
      // Registered before anything is counted: a rate over the first increment needs the zero before it.
      made.set(name, series = wrap(Metric.fromMetricKey(MetricKey.taggedWithLabels(key, tags)).register()))
    }
    return series
  }
  return of as Family<L, S>
}

/** `name` without `_total`, which the exposition format adds. */
export const counters = <L extends string = never>(name: string, description: string, labels: ReadonlyArray<L> = []): Family<L, Counter> =>
  family(MetricKey.counter(name, { description, incremental: true }), { kind: "counter", description, labels }, (series) => ({
    add: (count = 1) => series.unsafeUpdate(count, NONE),
    value: () => series.unsafeValue(NONE).count
  }))

export const gauges = <L extends string = never>(name: string, description: string, labels: ReadonlyArray<L> = []): Family<L, Gauge> =>
  family(MetricKey.gauge(name, { description }), { kind: "gauge", description, labels }, (series) => ({
    set: (value) => series.unsafeUpdate(value, NONE),
    value: () => series.unsafeValue(NONE).value
  }))

export const distributions = <L extends string = never>(
  name: string,
  description: string,
  bounds: ReadonlyArray<number>,
  labels: ReadonlyArray<L> = []
): Family<L, Distribution> =>
  family(
    MetricKey.histogram(name, MetricBoundaries.fromIterable(bounds), description),
    { kind: "histogram", description, labels },
    (series) => ({ observe: (value) => series.unsafeUpdate(value, NONE), state: () => series.unsafeValue(NONE) })
  )

const SECONDS = [0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]

// --- Requests

const requests = counters("coupon_requests", "Requests answered, by RPC and outcome: OK or the contract's message.", ["rpc", "outcome"])
const requestSeconds = distributions(
  "coupon_request_duration_seconds",
  "From the decoded request to its outcome, by RPC and result: ok, refused (an answer) or failed (none).",
  SECONDS, ["rpc", "result"]
)
export const inFlight = gauges("coupon_requests_in_flight", "Requests that were admitted and are not answered yet.")()

export const admissionLimit = gauges("coupon_admission_limit", "Public calls that may be in progress; MAX_IN_FLIGHT while none has to be refused.")()
export const refusalsHeld = gauges("coupon_refusals_held", "OVERLOADED answers that wait so that refusing does not take the time of what was admitted.")()

const connection = gauges("coupon_connections", "Client connections, by state: open, or the limit.", ["state"])
export const connections = { open: connection({ state: "open" }), limit: connection({ state: "limit" }) }
export const connectionsRefused = counters(
  "coupon_connections_refused",
  "Client connections that were closed at once, because as many as MAX_CONNECTIONS were open."
)()

type Tag = FailureTag | "OK"

/** Failures that are no answer to the question, but a sign of trouble. The rest is a refusal, which is an answer. */
const FAILED: ReadonlySet<string> = new Set<Tag>(["InternalServerError", "Overloaded", "Unavailable", "OutcomeUnknown", "DeadlineExceeded"])

/** Known to every RPC from the start. */
const OUTCOMES: ReadonlyArray<Tag> = ["OK", "InternalServerError", "InvalidArgument", "Overloaded", "Unavailable", "OutcomeUnknown", "DeadlineExceeded"]

/** The outcomes that a claim has besides. */
const CLAIM_OUTCOMES: ReadonlyArray<Tag> = [
  "RecordNotFound", "CampaignNotStarted", "CouponAlreadyClaimed", "CampaignEnded", "CampaignPaused", "CouponSoldOut"
]

/** The label of an outcome: the failure's message, or `OK`. A tag that the table does not know labels itself. */
const messageOf = (tag: string): string => Object.hasOwn(table, tag) ? table[tag as FailureTag].message : tag

/** What is counted of one RPC. */
export interface RpcMetrics {
  /** A call ended: `tag` of its failure, `undefined` for a defect, `OK`; `startedAt` in milliseconds of `performance.now()`. */
  readonly ended: (tag: string | undefined, startedAt: number) => void
  /** It was refused before it became a call. */
  readonly refused: (tag: string | undefined) => void
  readonly totals: () => Readonly<Record<string, number>>
  readonly latency: { readonly ok: Distribution; readonly refused: Distribution; readonly failed: Distribution }
}

const rpcs = new Map<string, RpcMetrics>()

const makeRpc = (rpc: string): RpcMetrics => {
  const byTag = new Map<string, { readonly total: Counter; readonly seconds: Distribution }>()
  const latency = {
    ok: requestSeconds({ rpc, result: "ok" }),
    refused: requestSeconds({ rpc, result: "refused" }),
    failed: requestSeconds({ rpc, result: "failed" })
  }
  const of = (tag: string) => {
    let outcome = byTag.get(tag)
    if (outcome === undefined) {
      const seconds = tag === "OK" ? latency.ok : FAILED.has(tag) ? latency.failed : latency.refused
      byTag.set(tag, outcome = { total: requests({ rpc, outcome: messageOf(tag) }), seconds })
    }
    return outcome
  }
  for (const tag of rpc === "IssueCoupon" ? [...OUTCOMES, ...CLAIM_OUTCOMES] : OUTCOMES) of(tag)
  return {
    ended: (tag = "InternalServerError", startedAt) => {
      const { seconds, total } = of(tag)
      total.add()
      seconds.observe((performance.now() - startedAt) / 1_000)
    },
    refused: (tag = "InternalServerError") => of(tag).total.add(),
    totals: () => Object.fromEntries(Array.from(byTag, ([tag, { total }]) => [messageOf(tag), total.value()])),
    latency
  }
}

/** Of the RPC of that name, e.g. `IssueCoupon`; to be asked for once, not per request. */
export const rpc = (name: string): RpcMetrics => {
  let metrics = rpcs.get(name)
  if (metrics === undefined) rpcs.set(name, metrics = makeRpc(name))
  return metrics
}

// --- Gate

const gateAnswer = counters(
  "coupon_gate_answers",
  "Answers of the gate to claims, by answer: those of reserve, RefusedSoldOut of check, and Bypassed for those that did without it (GATE_BYPASS_AFTER).",
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
const gateBatch = distributions("coupon_gate_batch_size", "Claims in one call of the gate, by operation: reserve or check.", SIZES, ["operation"])
const gateTime = distributions("coupon_gate_duration_seconds", "Round trips of the gate, by operation: reserve, check or confirm.", SECONDS, ["operation"])
export const gateBatchSize = { reserve: gateBatch({ operation: "reserve" }), check: gateBatch({ operation: "check" }) }
export const gateSeconds = {
  reserve: gateTime({ operation: "reserve" }),
  check: gateTime({ operation: "check" }),
  confirm: gateTime({ operation: "confirm" })
}
export const gateFailures = counters("coupon_gate_failures", "Calls of the gate that it did not answer.")()
/** 1 once the stores are there; 0 from a failure to the next answer. */
export const gateUp = gauges("coupon_gate_up", "Whether the gate answered the last call: 1 or 0; while 0, the ledger decides alone.")()
const rebuild = counters("coupon_gate_rebuilds", "Rebuilds of a campaign's gate by this instance, by phase: begun or completed.", ["phase"])
export const gateRebuilds = { begun: rebuild({ phase: "begun" }), completed: rebuild({ phase: "completed" }) }
export const reservationsPending = gauges(
  "coupon_reservations_pending",
  "Reservations without a verdict, over the campaigns that this instance audits."
)()
export const reservationsOldestSeconds = gauges("coupon_reservations_oldest_seconds", "Age of the oldest reservation without a verdict; 0 if none.")()

// --- Ledger

export const ledgerBatchSize = distributions("coupon_ledger_batch_size", "Claims in one transaction of the ledger.", SIZES)()
export const ledgerSeconds = distributions("coupon_ledger_commit_duration_seconds", "One group commit, from its text to its verdicts.", SECONDS)()
const commit = counters("coupon_ledger_commits", "Group commits, by result: committed, unavailable (nothing was issued) or in_doubt.", ["result"])
export const ledgerCommits = {
  committed: commit({ result: "committed" }),
  unavailable: commit({ result: "unavailable" }),
  in_doubt: commit({ result: "in_doubt" })
}
export const ledgerResolved = counters("coupon_ledger_resolutions", "Group commits in doubt whose outcome was found out.")()
export const couponsIssued = counters("coupon_issued", "Coupons that this instance committed.")()
const poolConnection = gauges("coupon_mysql_pool_connections", "Connections to MySQL, by state: open, in_use or limit.", ["state"])
export const pool = {
  open: poolConnection({ state: "open" }),
  inUse: poolConnection({ state: "in_use" }),
  limit: poolConnection({ state: "limit" })
}
export const poolWaiting = gauges("coupon_mysql_pool_waiting", "Callers that wait for a connection to MySQL.")()

// --- Campaigns

const phaseReached = counters(
  "coupon_campaign_phases_reached",
  "Phases that campaigns reached, by phase, counted by the instance that recorded it: take the sum over the instances.",
  ["phase"]
)
/** By `CampaignPhase`. */
export const phasesReached = {
  SCHEDULED: phaseReached({ phase: "SCHEDULED" }),
  OPEN: phaseReached({ phase: "OPEN" }),
  SOLD_OUT: phaseReached({ phase: "SOLD_OUT" }),
  PAUSED: phaseReached({ phase: "PAUSED" }),
  ENDED: phaseReached({ phase: "ENDED" })
} as const

// --- Agents

export const outboxBacklog = gauges("coupon_outbox_backlog_events", "Events in the outbox that no relay has settled, over all instances.")()
export const outboxOldestSeconds = gauges("coupon_outbox_oldest_seconds", "Age of the oldest unsettled event by the ledger's clock; 0 if none.")()
const relayEvent = counters("coupon_outbox_events", "Events of the outbox that this instance took, and settled.", ["phase"])
export const relayed = { taken: relayEvent({ phase: "taken" }), settled: relayEvent({ phase: "settled" }) }
const audit = counters("coupon_audits", "Comparisons of gate and ledger, by verdict.", ["verdict"])
/** By `AuditVerdict`. */
export const audits = {
  Agrees: audit({ verdict: "Agrees" }),
  Cold: audit({ verdict: "Cold" }),
  Lost: audit({ verdict: "Lost" }),
  Ghosts: audit({ verdict: "Ghosts" }),
  Broken: audit({ verdict: "Broken" }),
  Foreign: audit({ verdict: "Foreign" }),
  Outdated: audit({ verdict: "Outdated" }),
  Unknown: audit({ verdict: "Unknown" })
} as const
const reap = counters("coupon_reservations_reaped", "Expired reservations that were resolved, by resolution: confirmed or released.", ["resolution"])
export const reaped = { confirmed: reap({ resolution: "confirmed" }), released: reap({ resolution: "released" }) }

// --- Export by OTLP, which is loaded only where it is on

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

// --- Process

const samplers = new Set<() => void>()

/** Has `look` set gauges whenever they are about to be read, and once a second; the result ends that. */
export const onSample = (look: () => void): () => void => {
  samplers.add(look)
  return () => void samplers.delete(look)
}

const samplesFailed = counters(
  "coupon_samples_failed",
  "Looks at gauges that failed, e.g. for want of a file descriptor; the gauges concerned keep their values."
)()

/** Brings sampled gauges up to date. Never throws: it runs in timers, where that would end the process. */
export const sample = (): void => {
  for (const look of samplers) {
    try {
      look()
    } catch {
      samplesFailed.add()
    }
  }
}

/** Sampled by `metrics/ProcessMetrics.ts`; 0 without it. */
export const residentMemory = gauges("process_resident_memory_bytes", "Memory of this process that is in RAM.")()

const lag = gauges("coupon_event_loop_lag_seconds", "How late the event loop was since the last sample, by statistic: mean, p99 or max.", ["statistic"])
export const eventLoopLag = { mean: lag({ statistic: "mean" }), p99: lag({ statistic: "p99" }), max: lag({ statistic: "max" }) }
export const eventLoopUtilization = gauges("coupon_event_loop_utilization", "Share of time that the event loop was busy since the last sample, 0 to 1.")()
