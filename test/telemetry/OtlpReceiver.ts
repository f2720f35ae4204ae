import * as Http from "node:http"
import type { AddressInfo } from "node:net"

interface Attribute {
  readonly key: string
  readonly value: {
    readonly stringValue?: string
    readonly intValue?: number
    readonly doubleValue?: number
    readonly boolValue?: boolean
  }
}

/** A span as it came, with the service instance that sent it. */
export interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: ReadonlyArray<Attribute>
  readonly links: ReadonlyArray<{ readonly traceId: string; readonly spanId: string }>
  readonly status: { readonly code: number }
  readonly instance: string
}

export interface ReceivedMetric {
  readonly name: string
  readonly sum?: {
    readonly isMonotonic: boolean
    readonly dataPoints: ReadonlyArray<{ readonly attributes: ReadonlyArray<Attribute>; readonly asDouble?: number }>
  }
  readonly gauge?: object
  readonly histogram?: {
    readonly dataPoints: ReadonlyArray<{ readonly count: number; readonly bucketCounts: ReadonlyArray<number> }>
  }
}

/** An OTLP collector over HTTP and JSON that keeps what it gets. */
export interface OtlpReceiver {
  readonly url: string
  readonly spans: ReadonlyArray<ReceivedSpan>
  readonly metrics: ReadonlyArray<ReceivedMetric>
  /** Headers of each request. */
  readonly headers: ReadonlyArray<Http.IncomingHttpHeaders>
  readonly close: () => Promise<void>
}

export const attribute = (span: ReceivedSpan, key: string): unknown => {
  const value = span.attributes.find((one) => one.key === key)?.value
  return value?.stringValue ?? value?.intValue ?? value?.doubleValue ?? value?.boolValue
}

interface Traces {
  readonly resourceSpans: ReadonlyArray<{
    readonly resource: { readonly attributes: ReadonlyArray<Attribute> }
    readonly scopeSpans: ReadonlyArray<{ readonly spans: ReadonlyArray<Omit<ReceivedSpan, "instance">> }>
  }>
}

interface Metrics {
  readonly resourceMetrics: ReadonlyArray<
    { readonly scopeMetrics: ReadonlyArray<{ readonly metrics: ReadonlyArray<ReceivedMetric> }> }
  >
}

export const startOtlpReceiver = async (): Promise<OtlpReceiver> => {
  const spans: Array<ReceivedSpan> = []
  const metrics: Array<ReceivedMetric> = []
  const headers: Array<Http.IncomingHttpHeaders> = []
  const take = (path: string | undefined, body: string): boolean => {
    if (path === "/v1/traces") {
      for (const { resource, scopeSpans } of (JSON.parse(body) as Traces).resourceSpans) {
        const instance = resource.attributes.find(({ key }) => key === "service.instance.id")?.value.stringValue ?? ""
        for (const scope of scopeSpans) spans.push(...scope.spans.map((span) => ({ ...span, instance })))
      }
      return true
    }
    if (path !== "/v1/metrics") return false
    for (const { scopeMetrics } of (JSON.parse(body) as Metrics).resourceMetrics) {
      for (const scope of scopeMetrics) metrics.push(...scope.metrics)
    }
    return true
  }
  const server = Http.createServer((request, response) => {
    let body = ""
    headers.push(request.headers)
    request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk))
    request.on("end", () => {
      response.writeHead(take(request.url, body) ? 200 : 404, { "content-type": "application/json" })
      response.end("{}")
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    metrics,
    headers,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}
