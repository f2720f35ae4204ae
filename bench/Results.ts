import { poolFigures, type Pools } from "./codes/pools.ts"
import { redemptionFigures, type RedemptionRates } from "./codes/redemptions.ts"
import { exportFigures, type Exports } from "./delivery/exports.ts"
import { consoleFigures, type Consoles } from "./delivery/consoles.ts"
import { watcherFigures, type Watchers } from "./delivery/watchers.ts"
import { webhookFigures, type Webhooks } from "./delivery/webhooks.ts"
import { envoyFigures, type BehindEnvoy } from "./envoy.ts"
import type { GeneratorResult } from "./Load.ts"
import type { CampaignSize } from "./others.ts"
import { overloadFigures, type Overload } from "./overload.ts"
import { median, type Quantiles } from "./Quantiles.ts"
import type { Sample } from "./rates.ts"

/** When and how a part was measured: parts may be measured again one by one. */
interface Measured {
  readonly at: string
  /** What was measured: `git describe`. */
  readonly commit?: string
  /** One-minute load average before the run: what else the machine was doing. */
  readonly loadBefore: number
  readonly quick: boolean
}

/** Everything that a run finds out, as `benchmarks.json` keeps it. */
export interface Results {
  machine?: { readonly cpu: string; readonly cores: number; readonly memoryGiB: number; readonly kernel: string }
  versions?: Readonly<Record<string, string>>
  rates?: Measured & { readonly seconds: number; readonly variants: Readonly<Record<string, ReadonlyArray<Sample>>> }
  latency?: Measured & {
    /** The disk alone: absent from results of before it was looked at. */
    readonly flushMillis?: Quantiles
    /** `echoMillis`: the raw echo at the same pace, right before; absent from results of before it was looked at. */
    readonly runs: ReadonlyArray<GeneratorResult & { readonly rate: number; readonly echoMillis?: Quantiles }>
  }
  size?: Measured & CampaignSize
  relay?: Measured & {
    readonly rate: number
    readonly p50: number
    readonly p99: number
    readonly max: number
    readonly events: number
  }
  overload?: Measured & Overload
  envoy?: Measured & BehindEnvoy
  exports?: Measured & Exports
  webhooks?: Measured & Webhooks
  watchers?: Measured & Watchers
  consoles?: Measured & Consoles
  redemptions?: Measured & RedemptionRates
  pools?: Measured & Pools
  start?: Measured & { readonly distributed: number; readonly embedded: number }
}

/** One line of the table: a goal and what was measured. */
export interface Figure {
  readonly name: string
  readonly target: string
  readonly measured: string
  /** `undefined`: there is no number to hold it to. */
  readonly met: boolean | undefined
  readonly detail: string
}

const fixed = (value: number, digits: number) => value.toFixed(digits)
const thousands = (value: number) => Math.round(value).toLocaleString("en")

/** Medians of the rounds' own ratios: what a noisy machine does to one round it does to both. */
export const ratios = (
  over: ReadonlyArray<number>,
  under: ReadonlyArray<number>
): { readonly median: number; readonly min: number; readonly max: number } => {
  if (over.length !== under.length) throw new Error(`${over.length} rounds cannot be compared with ${under.length}`)
  const each = over.map((value, i) => value / under[i]!)
  return { median: median(each), min: Math.min(...each), max: Math.max(...each) }
}

/**
 * Node's time for a raw echo on the machine that the targets in microseconds and milliseconds were set on (B in
 * docs/internals/benchmarks.md).
 */
const FAST_ECHO_MICROS = 14.7

export const figures = (results: Results): ReadonlyArray<Figure> => {
  const table: Array<Figure> = []
  const { envoy, latency, overload, rates, relay, size, start } = results
  if (rates !== undefined) {
    const rate = (name: string) => rates.variants[name]?.map(({ perSecond }) => perSecond)
    const cpu = (name: string, process: string) => rates.variants[name]?.flatMap((sample) => sample.cpu[process] ?? [])
    const ratio = (
      name: string,
      over: string,
      under: string,
      target: string,
      met: (value: number) => boolean | undefined
    ) => {
      const [a, b] = [rate(over), rate(under)]
      if (a === undefined || b === undefined) return
      const { max, median: middle, min } = ratios(a, b)
      const spread = `${a.length} rounds ${fixed(min, 2)} to ${fixed(max, 2)}`
      const what = `${thousands(median(a))}/s ÷ ${thousands(median(b))}/s, ${spread}`
      table.push({ name, target, measured: fixed(middle, 2), met: met(middle), detail: what })
    }
    for (const [connections, least, aim] of [[128, 0.4, "0.50"], [512, 0.5, "0.60"]] as const) {
      ratio(
        `durable issues/s ÷ raw echo, ${connections} connections`,
        `durable issues, ${connections} connections`,
        `raw echo, ${connections} connections`,
        `>= ${fixed(least, 2)}, aim ${aim}`,
        (value) => value >= least
      )
      ratio(
        `the same with every claim through the gate, ${connections} connections`,
        `durable issues through the gate, ${connections} connections`,
        `raw echo, ${connections} connections`,
        "report",
        () => undefined
      )
    }
    ratio(
      "durable issues/s ÷ connect-node's adapter answering a constant",
      "durable issues, 128 connections",
      "connect-node's adapter, 128 connections",
      ">= 2",
      (value) => value >= 2
    )
    const issue = cpu("durable issues, 128 connections", "node")
    const echo = cpu("raw echo, 128 connections", "node")
    if (issue !== undefined && echo !== undefined) {
      const { median: middle } = ratios(issue, echo)
      table.push({
        name: "node CPU of a durable issue ÷ of a raw echo",
        target: "<= 2.0",
        measured: fixed(middle, 2),
        met: middle <= 2,
        detail: `${fixed(median(issue), 1)} µs ÷ ${fixed(median(echo), 1)} µs`
      })
    }
    const database = cpu("durable issues, 128 connections", "mysqld")
    if (database !== undefined && database.length > 0) {
      const micros = median(database)
      table.push({
        name: "mysqld CPU a coupon",
        target: "<= 20 µs",
        measured: `${fixed(micros, 1)} µs`,
        met: micros <= 20,
        detail: "128 connections"
      })
      if (echo !== undefined) {
        const { median: middle } = ratios(database, echo)
        table.push({
          name: "mysqld CPU a coupon ÷ node CPU of a raw echo",
          target: `<= ${fixed(20 / FAST_ECHO_MICROS, 2)}`,
          measured: fixed(middle, 2),
          met: middle <= 20 / FAST_ECHO_MICROS,
          detail: `20 µs on the machine of that target, where an echo takes ${FAST_ECHO_MICROS} µs; ` +
            `here it takes ${fixed(median(echo), 1)} µs`
        })
      }
    }
    for (const name of ["sold out", "already claimed"]) {
      ratio(
        `rejections/s ÷ raw echo: ${name}`,
        `${name}, 128 connections`,
        "raw echo, 128 connections",
        ">= 0.90",
        (value) => value >= 0.9
      )
    }
    ratio(
      "embedded: durable issues/s ÷ raw echo",
      "durable issues, embedded, 128 connections",
      "raw echo, 128 connections",
      "aim 0.30",
      () => undefined
    )
    const resident = ["durable issues, 128 connections", "durable issues, 512 connections"]
      .flatMap((name) => rates.variants[name]?.map((sample) => sample.resident) ?? [])
    if (resident.length > 0) {
      const most = Math.max(...resident)
      const megabytes = most * 1.048576
      table.push({
        name: "RSS under load",
        target: "150 MB",
        measured: `${thousands(megabytes)} MB`,
        met: megabytes <= 150,
        detail: "the most after any durable round"
      })
    }
  }
  for (const run of latency?.runs ?? []) {
    const { p50, p95, p99 } = run.latencyMillis
    const targets = run.rate === 1_000 ? [1.5, 3, 6] : [undefined, 5, 12]
    const values = [p50, p95, p99]
    table.push({
      name: `open loop ${thousands(run.rate)}/s: p50 / p95 / p99`,
      target: `${targets.map((one) => one ?? "-").join(" / ")} ms`,
      measured: `${values.map((value) => fixed(value, 1)).join(" / ")} ms`,
      met: values.every((value, i) => targets[i] === undefined || value <= targets[i]),
      detail: `${thousands(run.requests)} requests in ${fixed(run.seconds, 0)} s, ` +
        `the slowest ${fixed(run.latencyMillis.max, 1)} ms; ` +
        `sent late by p99 ${fixed(run.latenessMillis.p99, 1)} ms, which counts`
    })
    if (run.echoMillis !== undefined) {
      const { max, p50, p95, p99 } = run.echoMillis
      table.push({
        name: `the raw echo, open loop ${thousands(run.rate)}/s: p50 / p95 / p99`,
        target: "report",
        measured: `${[p50, p95, p99].map((value) => fixed(value, 1)).join(" / ")} ms`,
        met: undefined,
        detail: `right before, the slowest ${fixed(max, 1)} ms: what the machine makes of that pace`
      })
    }
  }
  if (latency?.flushMillis !== undefined) {
    const { max, p50, p95, p99 } = latency.flushMillis
    table.push({
      name: "a flush of the disk alone: p50 / p95 / p99",
      target: "report",
      measured: `${[p50, p95, p99].map((value) => fixed(value, 1)).join(" / ")} ms`,
      met: undefined,
      detail: `the slowest ${fixed(max, 1)} ms; right before the open loops, whose commits wait for two of them each`
    })
  }
  if (size !== undefined) {
    const ratio = size.largeMicros / size.smallMicros
    table.push({
      name: `cost of a coupon in a campaign with ${thousands(size.large)} coupons ÷ with ${thousands(size.small)}`,
      target: "<= 1.3 (10 M)",
      measured: fixed(ratio, 2),
      met: ratio <= 1.3,
      detail: `${fixed(size.largeMicros, 1)} µs ÷ ${fixed(size.smallMicros, 1)} µs of node and mysqld`
    }, {
      name: `rebuild of the gate of a campaign with ${thousands(size.large)} coupons`,
      target: "report",
      measured: `${thousands(size.rebuildPerSecond)} coupons/s`,
      met: undefined,
      detail: "from an empty Redis until the gate is complete"
    }, {
      name: "Redis bytes a coupon at rest",
      target: "64",
      measured: fixed(size.redisBytesACoupon, 1),
      met: size.redisBytesACoupon <= 64,
      detail: `and ${fixed(size.redisEventBytes, 1)} an event in the stream, which is bounded`
    }, {
      name: "backlog drain rate",
      target: ">= 50,000 events/s",
      measured: `${thousands(size.drain.perSecond)}/s`,
      met: size.drain.perSecond >= 50_000,
      detail: `${thousands(size.drain.events)} events, 100 an outbox row` +
        (size.publishedPerSecond === undefined
          ? ""
          : `; ${thousands(size.publishedPerSecond)}/s with EVENT_STREAM=redis`)
    })
  }
  if (relay !== undefined) {
    table.push({
      name: `relay lag p99 at ${thousands(relay.rate)}/s`,
      target: "250 ms",
      measured: `${thousands(relay.p99)} ms`,
      met: relay.p99 <= 250,
      detail: "from issued_at to the event's time in the stream; " +
        `median ${thousands(relay.p50)} ms, the latest ${thousands(relay.max)} ms`
    })
  }
  if (overload !== undefined) table.push(...overloadFigures(overload))
  if (envoy !== undefined) table.push(...envoyFigures(envoy))
  if (results.exports !== undefined) table.push(...exportFigures(results.exports))
  if (results.webhooks !== undefined) table.push(...webhookFigures(results.webhooks))
  if (results.watchers !== undefined) table.push(...watcherFigures(results.watchers))
  if (results.consoles !== undefined) table.push(...consoleFigures(results.consoles))
  if (results.redemptions !== undefined) table.push(...redemptionFigures(results.redemptions))
  if (results.pools !== undefined) table.push(...poolFigures(results.pools))
  if (start !== undefined) {
    const worst = Math.max(start.distributed, start.embedded)
    table.push({
      name: "start to ready",
      target: "1 s",
      measured: `${fixed(start.distributed / 1_000, 2)} s`,
      met: worst <= 1_000,
      detail: `embedded ${fixed(start.embedded / 1_000, 2)} s, with an empty directory`
    })
  }
  return table
}
