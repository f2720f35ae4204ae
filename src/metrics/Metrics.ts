import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import type * as MetricKeyType from "effect/MetricKeyType"
import * as MetricLabel from "effect/MetricLabel"

/**
 * The primitives of metrics: Effect metrics of the process that `/metrics`, OTLP and the operator's overview read. The
 * metrics of each subsystem are in a file of its own (`GateMetrics.ts`, …). docs/reference/metrics.md explains each
 * one, and a test compares the two. Labels take only values that are named in the code.
 *
 * All series are made in advance, and hot paths call `unsafeUpdate`: 3 ns for a counter, 35 for a histogram, 170 for
 * all of a request (`node bench/metrics.ts`). `Metric.increment` as an effect with a tag per request costs
 * microseconds.
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
  readonly state: () => {
    readonly count: number
    readonly sum: number
    readonly buckets: ReadonlyArray<readonly [number, number]>
  }
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
 * The series of one metric, made when they are first asked for. Each is a metric of its own whose key has the labels:
 * 3 ns an update. `Metric.tagged` would join labels and look the series up at each update, which takes 1.9 µs.
 */
const family = <Type extends MetricKeyType.MetricKeyType.Untyped, S, L extends string>(
  key: MetricKey.MetricKey<Type>,
  definition: Definition,
  wrap: (
    series: Metric.Metric<Type, MetricKeyType.MetricKeyType.InType<Type>, MetricKeyType.MetricKeyType.OutType<Type>>
  ) => S
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
export const counters = <L extends string = never>(
  name: string,
  description: string,
  labels: ReadonlyArray<L> = []
): Family<L, Counter> =>
  family(
    MetricKey.counter(name, { description, incremental: true }),
    { kind: "counter", description, labels },
    (series) => ({
      add: (count = 1) => series.unsafeUpdate(count, NONE),
      value: () => series.unsafeValue(NONE).count
    })
  )

export const gauges = <L extends string = never>(
  name: string,
  description: string,
  labels: ReadonlyArray<L> = []
): Family<L, Gauge> =>
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

/** Bounds of buckets for durations, in seconds. */
export const SECONDS: ReadonlyArray<number> = [
  0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10
]

/** Bounds of buckets for the sizes of batches. */
export const SIZES: ReadonlyArray<number> = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]

const samplers = new Set<() => void>()

/** Calls `look`, which sets gauges, before they are read and once a second. The result ends that. */
export const onSample = (look: () => void): () => void => {
  samplers.add(look)
  return () => void samplers.delete(look)
}

const samplesFailed = counters(
  "coupon_samples_failed",
  "Looks at gauges that failed, e.g. for want of a file descriptor; the gauges concerned keep their values."
)()

/** Brings sampled gauges up to date. Never throws: it runs in timers, from which a throw would end the process. */
export const sample = (): void => {
  for (const look of samplers) {
    try {
      look()
    } catch {
      samplesFailed.add()
    }
  }
}
