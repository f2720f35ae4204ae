import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { monitorEventLoopDelay, performance } from "node:perf_hooks"
import { getHeapStatistics } from "node:v8"
import * as Metrics from "./Metrics.ts"
import { VERSION } from "../config/Version.ts"

/** How often sampled gauges are brought up to date, besides at each scrape. */
const SAMPLE_MILLIS = 1_000

/** Of the timer that measures the lag of the event loop. It is subtracted from what is measured. */
const RESOLUTION_MILLIS = 10

/** 0 unless `layer` runs. */
export const residentMemory = Metrics.gauges(
  "process_resident_memory_bytes",
  "Memory of this process that is in RAM."
)()

const lag = Metrics.gauges(
  "coupon_event_loop_lag_seconds",
  "How late the event loop was since the last sample, by statistic: mean, p99 or max.",
  ["statistic"]
)
export const eventLoopLag = {
  mean: lag({ statistic: "mean" }),
  p99: lag({ statistic: "p99" }),
  max: lag({ statistic: "max" })
}
export const eventLoopUtilization = Metrics.gauges(
  "coupon_event_loop_utilization",
  "Share of time that the event loop was busy since the last sample, 0 to 1."
)()

// Names that dashboards for Prometheus know from other programs.
const cpu = Metrics.counters("process_cpu_seconds", "CPU time of this process, user and system.")()
const started = Metrics.gauges("process_start_time_seconds", "When this process started, in seconds since 1970.")()
const heapUsed = Metrics.gauges("nodejs_heap_size_used_bytes", "Used by objects in V8's heap.")()
const heapTotal = Metrics.gauges("nodejs_heap_size_total_bytes", "Taken by V8's heap.")()
const external = Metrics.gauges("nodejs_external_memory_bytes", "Of buffers and the like, outside of V8's heap.")()
const build = Metrics.gauges(
  "coupon_build_info",
  "1, with the version of the service and of Node as labels.",
  ["version", "node"]
)
build({ version: VERSION, node: process.versions.node }).set(1)

/** Measures memory, CPU and the lag of the event loop. Costs about 50 µs a second, and a timer each 10 ms. */
export const layer: Layer.Layer<never> = Layer.scopedDiscard(Effect.acquireRelease(
  Effect.sync(() => {
    started.set(performance.timeOrigin / 1_000)
    const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MILLIS })
    delay.enable()
    let utilization = performance.eventLoopUtilization()
    let lookedAt = performance.now()
    // The only look that takes a file descriptor (/proc/self/stat): without one it alone fails.
    // eslint-disable-next-line no-restricted-syntax -- `Metrics.sample` catches it
    const endMemory = Metrics.onSample(() => residentMemory.set(process.memoryUsage.rss()))
    const endRest = Metrics.onSample(() => {
      const { system, user } = process.cpuUsage()
      cpu.add(Math.max(0, (system + user) / 1e6 - cpu.value()))
      const heap = getHeapStatistics()
      heapUsed.set(heap.used_heap_size)
      heapTotal.set(heap.total_heap_size)
      external.set(heap.external_memory)
      // A scrape right after a sample would cover nearly no time.
      if (performance.now() - lookedAt < SAMPLE_MILLIS / 2) return
      lookedAt = performance.now()
      const seconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - RESOLUTION_MILLIS / 1_000)
      if (delay.count > 0) {
        eventLoopLag.mean.set(seconds(delay.mean))
        eventLoopLag.p99.set(seconds(delay.percentile(99)))
        eventLoopLag.max.set(seconds(delay.max))
      }
      delay.reset()
      const current = performance.eventLoopUtilization()
      eventLoopUtilization.set(performance.eventLoopUtilization(current, utilization).utilization)
      utilization = current
    })
    const timer = setInterval(Metrics.sample, SAMPLE_MILLIS).unref()
    return () => {
      clearInterval(timer)
      delay.disable()
      endMemory()
      endRest()
    }
  }),
  (end) => Effect.sync(end)
))
