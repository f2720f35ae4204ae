import * as OtlpMetrics from "@effect/opentelemetry/OtlpMetrics"
import * as OtlpSerialization from "@effect/opentelemetry/OtlpSerialization"
import * as OtlpTracer from "@effect/opentelemetry/OtlpTracer"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { hostname } from "node:os"
import type { AppConfig } from "../config/AppConfig.ts"
import { VERSION } from "../config/Version.ts"
import * as OtlpExports from "./OtlpExports.ts"

/** Between exports of metrics, and of spans. */
const METRICS_INTERVAL = "10 seconds"
const TRACES_INTERVAL = "2 seconds"

/** For the last export of each, when the service stops: an endpoint that is away must not hold it up. */
const SHUTDOWN_TIMEOUT: Duration.DurationInput = "1 second"

/** What matters here of what OtlpTracer has encoded. */
interface TraceData {
  readonly resourceSpans: ReadonlyArray<{
    readonly scopeSpans: ReadonlyArray<{ readonly spans: ReadonlyArray<unknown> }>
  }>
}

const countSpans = (data: unknown): number => {
  let count = 0
  for (const { scopeSpans } of (data as TraceData).resourceSpans) {
    for (const { spans } of scopeSpans) count += spans.length
  }
  return count
}

/** A tracer whose spans reach the exporter only where there is room for them. */
const bounded = (inner: Tracer.Tracer, traces: OtlpExports.OtlpExports): Tracer.Tracer =>
  Tracer.make({
    span: (...options) => {
      const span = inner.span(...options)
      const { end } = span
      span.end = (endTime, exit) => traces.offer(() => end.call(span, endTime, exit))
      return span
    },
    context: inner.context
  })

/**
 * Exports metrics to `/v1/metrics` and gives a tracer whose spans go to `/v1/traces`, both as JSON over HTTP. Nothing
 * waits for the collector: of each signal one export is under way, for a bounded time, and spans that find no room are
 * dropped and counted.
 */
export const make = (
  config: Pick<AppConfig["Type"], "otelServiceName" | "otlpHeaders">,
  endpoint: string,
  patience: Partial<OtlpExports.Patience> = {}
): Effect.Effect<Tracer.Tracer, never, Scope.Scope> => {
  const base = endpoint.replace(/\/+$/, "")
  const options = {
    shutdownTimeout: SHUTDOWN_TIMEOUT,
    resource: {
      serviceName: config.otelServiceName,
      serviceVersion: VERSION,
      attributes: { "service.instance.id": `${hostname()}:${process.pid}` }
    },
    headers: Option.match(config.otlpHeaders, { onNone: () => ({}), onSome: Redacted.value })
  }
  const exportsOf = (signal: "traces" | "metrics") =>
    OtlpExports.make(signal, new URL(endpoint).host, { ...OtlpExports.patient, ...patience })
  return Effect.gen(function*() {
    const json = yield* OtlpSerialization.OtlpSerialization
    const metrics = yield* exportsOf("metrics")
    const traces = yield* exportsOf("traces")
    const serialization: typeof json = {
      ...json,
      metrics: (data) => metrics.encode(0, () => json.metrics(data)),
      traces: (data) => traces.encode(countSpans(data), () => json.traces(data))
    }
    const provide = (client: HttpClient.HttpClient) =>
      Context.make(HttpClient.HttpClient, client).pipe(Context.add(OtlpSerialization.OtlpSerialization, serialization))
    yield* OtlpMetrics.make({ ...options, url: `${base}/v1/metrics`, exportInterval: METRICS_INTERVAL }).pipe(
      Effect.provide(provide(metrics.client))
    )
    const tracer = yield* OtlpTracer.make({
      ...options,
      url: `${base}/v1/traces`,
      exportInterval: TRACES_INTERVAL
    }).pipe(Effect.provide(provide(traces.client)))
    return bounded(tracer, traces)
  }).pipe(Effect.provide(Layer.merge(OtlpSerialization.layerJson, FetchHttpClient.layer)))
}
