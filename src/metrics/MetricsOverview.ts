import * as GateMetrics from "./GateMetrics.ts"
import * as LedgerMetrics from "./LedgerMetrics.ts"
import * as OutboxMetrics from "./OutboxMetrics.ts"
import * as ProcessMetrics from "./ProcessMetrics.ts"
import * as RequestMetrics from "./RequestMetrics.ts"
import type * as Metrics from "./Metrics.ts"

/** Milliseconds below which a share of the requests since the last look stayed; 0 if there were none. */
export interface Quantiles {
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

/** IssueCoupon's way through this instance, in claims and coupons since its start. */
export interface Funnel {
  /** Answered, however. */
  readonly arrived: number
  /** Of those, begun: neither shed nor rejected for what they were. */
  readonly admitted: number
  /** That got a slot of the gate, or went past it. */
  readonly reserved: number
  /** Coupons that were committed. */
  readonly committed: number
  /** Coupons that the relay handed over, those of other instances too. */
  readonly delivered: number
}

/** What an operator watches, of this instance unless said otherwise. */
export interface MetricsOverview {
  /** Seconds that rates, quantiles and means are over: since the last look. */
  readonly seconds: number
  /** IssueCoupon's answers a second, by message, `OK` among them; only those that have occurred since the start. */
  readonly ratesByOutcome: Readonly<Record<string, number>>
  /** Of IssueCoupon, answered with a coupon; and with any other answer. */
  readonly latencyMillis: { readonly ok: Quantiles; readonly refused: Quantiles }
  readonly inFlight: number
  readonly issuedTotal: number
  readonly funnel: Funnel
  /** Means since the last look; 0 if there was no batch. */
  readonly batchSizes: { readonly gate: number; readonly ledger: number }
  /** Of all instances. */
  readonly outbox: { readonly backlog: number; readonly oldestSeconds: number }
  readonly reservations: { readonly pending: number; readonly oldestSeconds: number }
  readonly gate: {
    readonly up: boolean
    readonly rebuilding: number
    readonly answersPerSecond: Readonly<Record<string, number>>
  }
  /** Totals since the start. */
  readonly audits: Readonly<Record<string, number>>
  readonly commitsInDoubt: number
  readonly pool: { readonly open: number; readonly inUse: number; readonly limit: number; readonly waiting: number }
  /** Resident; 0 unless the process samples itself. */
  readonly memoryBytes: number
  readonly eventLoop: {
    readonly lagMeanMillis: number
    readonly lagP99Millis: number
    readonly lagMaxMillis: number
    readonly utilization: number
  }
}

type State = ReturnType<Metrics.Distribution["state"]>

/** By linear interpolation within the bucket, as Prometheus' histogram_quantile has it. */
const quantile = (counts: ReadonlyArray<number>, bounds: ReadonlyArray<number>, q: number): number => {
  const total = counts.at(-1) ?? 0
  if (total === 0) return 0
  const rank = q * total
  const k = counts.findIndex((count) => count >= rank)
  const [lower, below] = k === 0 ? [0, 0] : [bounds[k - 1]!, counts[k - 1]!]
  const upper = bounds[k]!
  // The last bucket has no upper bound, so its lower one is the best estimate.
  if (!Number.isFinite(upper) || upper > 1e9) return lower
  return lower + (upper - lower) * (rank - below) / (counts[k]! - below)
}

const quantiles = (now: State, before: State | undefined): Quantiles => {
  const bounds = now.buckets.map(([bound]) => bound)
  const counts = now.buckets.map(([, count], k) => count - (before?.buckets[k]?.[1] ?? 0))
  const millis = (q: number) => Math.round(quantile(counts, bounds, q) * 1e6) / 1_000
  return { p50: millis(0.5), p95: millis(0.95), p99: millis(0.99) }
}

const mean = (now: State, before: State | undefined): number => {
  const count = now.count - (before?.count ?? 0)
  return count === 0 ? 0 : (now.sum - (before?.sum ?? 0)) / count
}

const valuesOf = (counters: Readonly<Record<string, Metrics.Counter>>): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(counters).map(([name, counter]) => [name, counter.value()]))

const sum = (values: Iterable<number>): number => {
  let total = 0
  for (const value of values) total += value
  return total
}

const funnel = (): Funnel => {
  const { latency, totals } = RequestMetrics.rpc("IssueCoupon")
  const { Bypassed, Reserved } = GateMetrics.gateAnswers
  return {
    arrived: sum(Object.values(totals())),
    admitted: sum([latency.ok, latency.refused, latency.failed].map((one) => one.state().count)),
    reserved: Reserved.value() + Bypassed.value(),
    committed: LedgerMetrics.couponsIssued.value(),
    delivered: OutboxMetrics.delivered.value()
  }
}

const read = () => {
  const claims = RequestMetrics.rpc("IssueCoupon")
  return {
    at: performance.now(),
    outcomes: claims.totals(),
    ok: claims.latency.ok.state(),
    refused: claims.latency.refused.state(),
    gateBatch: GateMetrics.gateBatchSize.reserve.state(),
    ledgerBatch: LedgerMetrics.ledgerBatchSize.state(),
    answers: valuesOf(GateMetrics.gateAnswers)
  }
}

/**
 * Each call of the result returns an overview of the time since the call before it; the first, since this call. Each
 * watcher needs a result of its own. A call costs about 50 µs and asks no store: what it returns of outbox and
 * reservations is at most a few seconds old.
 */
export const makeOverview = (): () => MetricsOverview => {
  let before = read()
  return () => {
    const now = read()
    const last = before
    before = now
    const seconds = Math.max((now.at - last.at) / 1_000, 1e-3)
    const rates = (totals: Readonly<Record<string, number>>, earlier: Readonly<Record<string, number>>) =>
      Object.fromEntries(
        Object.entries(totals)
          .filter(([, total]) => total > 0)
          .map(([name, total]) => [name, (total - (earlier[name] ?? 0)) / seconds])
      )
    const { comparisons, gateRebuilds } = GateMetrics
    const { eventLoopLag, eventLoopUtilization } = ProcessMetrics
    const { pool } = LedgerMetrics
    return {
      seconds,
      ratesByOutcome: rates(now.outcomes, last.outcomes),
      latencyMillis: { ok: quantiles(now.ok, last.ok), refused: quantiles(now.refused, last.refused) },
      inFlight: RequestMetrics.inFlight.value(),
      issuedTotal: LedgerMetrics.couponsIssued.value(),
      funnel: funnel(),
      batchSizes: { gate: mean(now.gateBatch, last.gateBatch), ledger: mean(now.ledgerBatch, last.ledgerBatch) },
      outbox: {
        backlog: OutboxMetrics.outboxBacklog.value(),
        oldestSeconds: OutboxMetrics.outboxOldestSeconds.value()
      },
      reservations: {
        pending: GateMetrics.reservationsPending.value(),
        oldestSeconds: GateMetrics.reservationsOldestSeconds.value()
      },
      gate: {
        up: GateMetrics.gateUp.value() === 1,
        rebuilding: Math.max(0, gateRebuilds.begun.value() - gateRebuilds.completed.value()),
        answersPerSecond: rates(now.answers, last.answers)
      },
      audits: valuesOf(comparisons),
      commitsInDoubt: Math.max(0, LedgerMetrics.ledgerCommits.in_doubt.value() - LedgerMetrics.ledgerResolved.value()),
      pool: {
        open: pool.open.value(),
        inUse: pool.inUse.value(),
        limit: pool.limit.value(),
        waiting: LedgerMetrics.poolWaiting.value()
      },
      memoryBytes: ProcessMetrics.residentMemory.value(),
      eventLoop: {
        lagMeanMillis: eventLoopLag.mean.value() * 1_000,
        lagP99Millis: eventLoopLag.p99.value() * 1_000,
        lagMaxMillis: eventLoopLag.max.value() * 1_000,
        utilization: eventLoopUtilization.value()
      }
    }
  }
}
