import * as OtlpMetrics from "@effect/opentelemetry/OtlpMetrics"
import * as OtlpSerialization from "@effect/opentelemetry/OtlpSerialization"
import * as OtlpTracer from "@effect/opentelemetry/OtlpTracer"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import { hostname } from "node:os"
import type { AppConfig } from "../AppConfig.ts"
import { VERSION } from "../Version.ts"

/** Between exports of metrics, and of spans. */
const METRICS_INTERVAL = "10 seconds"
const TRACES_INTERVAL = "2 seconds"

/** For the last export of each, when the service stops: an endpoint that is away must not hold it up. */
const SHUTDOWN_TIMEOUT: Duration.DurationInput = "1 second"

/**
 * Exports metrics to `/v1/metrics` and gives a tracer whose spans go to `/v1/traces`, both as JSON over HTTP. An endpoint that does not
 * answer is left alone for a minute, its spans dropped: nothing waits for it.
 */
export const make = (config: AppConfig["Type"], endpoint: string): Effect.Effect<Tracer.Tracer, never, Scope.Scope> => {
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
  const metrics = OtlpMetrics.layer({ ...options, url: `${base}/v1/metrics`, exportInterval: METRICS_INTERVAL })
  return Effect.flatMap(
    Layer.build(Layer.merge(OtlpSerialization.layerJson, FetchHttpClient.layer)),
    (services) =>
      Effect.zipRight(
        Effect.provide(Layer.build(metrics), services),
        Effect.provide(OtlpTracer.make({ ...options, url: `${base}/v1/traces`, exportInterval: TRACES_INTERVAL }), services)
      )
  )
}
