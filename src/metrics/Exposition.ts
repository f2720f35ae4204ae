import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as MetricState from "effect/MetricState"
import * as Option from "effect/Option"
import * as Http from "node:http"
import { AppConfig } from "../config/AppConfig.ts"
import * as Metrics from "./Metrics.ts"
// Every series is there from the start: a rate over the first increment needs the zero before it.
import "./CampaignMetrics.ts"
import "./EventStreamMetrics.ts"
import "./GateMetrics.ts"
import "./LedgerMetrics.ts"
import "./OtlpMetrics.ts"
import "./OutboxMetrics.ts"
import "./RequestMetrics.ts"

/** https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format */
const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

const escapeHelp = (text: string) => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")
const escapeLabel = (text: string) => escapeHelp(text).replaceAll('"', '\\"')

const labelsOf = (tags: ReadonlyArray<{ readonly key: string; readonly value: string }>, extra = ""): string => {
  const pairs = tags.map(({ key, value }) => `${key}="${escapeLabel(value)}"`)
  if (extra !== "") pairs.push(extra)
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`
}

/**
 * Every metric in Prometheus' text format. OpenTelemetry's exporter does the same for 22 MB of RSS, and stops the event
 * loop for 50 ms when it is loaded. Prometheus and promtool read this output in a test.
 */
export const expose = (): string => {
  Metrics.sample()
  const families = new Map<string, Array<string>>()
  for (const { metricKey, metricState } of Metric.unsafeSnapshot()) {
    const definition = Metrics.definitions.get(metricKey.name)
    if (definition === undefined) continue
    const name = definition.kind === "counter" ? `${metricKey.name}_total` : metricKey.name
    let lines = families.get(name)
    if (lines === undefined) {
      lines = [`# HELP ${name} ${escapeHelp(definition.description)}`, `# TYPE ${name} ${definition.kind}`]
      families.set(name, lines)
    }
    const labels = labelsOf(metricKey.tags)
    if (MetricState.isCounterState(metricState)) lines.push(`${name}${labels} ${metricState.count}`)
    else if (MetricState.isGaugeState(metricState)) lines.push(`${name}${labels} ${metricState.value}`)
    else if (MetricState.isHistogramState(metricState)) {
      for (const [bound, count] of metricState.buckets) {
        lines.push(`${name}_bucket${labelsOf(metricKey.tags, `le="${bound === Infinity ? "+Inf" : bound}"`)} ${count}`)
      }
      lines.push(`${name}_sum${labels} ${metricState.sum}`, `${name}_count${labels} ${metricState.count}`)
    }
  }
  return `${[...families].sort(([a], [b]) => a < b ? -1 : 1).map(([, lines]) => lines.join("\n")).join("\n")}\n`
}

/** What a request of either HTTP version can be answered through. */
interface Answering {
  readonly writeHead: (status: number, headers: Record<string, string | number>) => unknown
  readonly end: (body?: string) => unknown
}

/** Answers `GET /metrics`. */
export const respond = (request: { readonly method?: string | undefined }, response: unknown): void => {
  const answer = response as Answering
  if (request.method !== "GET" && request.method !== "HEAD") {
    answer.writeHead(405, { allow: "GET, HEAD", "content-length": 0 })
    answer.end()
    return
  }
  const body = expose()
  answer.writeHead(200, {
    "content-type": CONTENT_TYPE,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store"
  })
  answer.end(request.method === "HEAD" ? undefined : body)
}

/** Paths to serve on the service's own port: `/metrics`, unless METRICS_PORT gives it one of its own. */
export const mounts = (config: AppConfig["Type"]): { readonly [path: string]: typeof respond } =>
  Option.isNone(config.metricsPort) ? { "/metrics": respond } : {}

/** METRICS_PORT cannot be listened on; `message` says what to do. */
export class MetricsPortTaken extends Error {
  override readonly name = "MetricsPortTaken"
}

const respondTo = (request: Http.IncomingMessage, response: Http.ServerResponse): void => {
  try {
    if (request.url?.split("?", 1)[0] === "/metrics") return respond(request, response)
    response.writeHead(404, { "content-length": 0 })
    response.end()
  } catch {
    // A failure to write metrics does not end the process.
    response.destroy()
  }
}

const listen = (host: string, port: number) =>
  Effect.async<Http.Server, MetricsPortTaken>((resume) => {
    const server = Http.createServer({ maxHeaderSize: 8_192, headersTimeout: 5_000, requestTimeout: 5_000 }, respondTo)
    server.maxConnections = 32
    // Stays while it listens, when `resume` does nothing: an error without a listener would end the process.
    server.on("error", (cause) =>
      resume(Effect.fail(
        new MetricsPortTaken(`cannot listen on ${host} port ${port}, which METRICS_PORT names: ${cause.message}`)
      )))
    server.listen(port, host, () => resume(Effect.succeed(server)))
  })

/** Serves `/metrics`, and nothing else, on METRICS_PORT, if that is set. */
export const layer: Layer.Layer<never, MetricsPortTaken, AppConfig> = Layer.scopedDiscard(Effect.gen(function*() {
  const { listenHost, metricsPort } = yield* AppConfig
  if (Option.isNone(metricsPort)) return
  const server = yield* Effect.acquireRelease(listen(listenHost, metricsPort.value), (server) =>
    Effect.sync(() => {
      server.close()
      server.closeAllConnections()
    }))
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : metricsPort.value
  yield* Effect.logInfo(`metrics at port ${port} of ${listenHost}`)
}))
