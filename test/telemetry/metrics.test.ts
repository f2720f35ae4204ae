import * as Fs from "node:fs"
import { describe, expect, it } from "vitest"
import * as LedgerMetrics from "../../src/metrics/LedgerMetrics.ts"
import * as RequestMetrics from "../../src/metrics/RequestMetrics.ts"
import * as Metrics from "../../src/metrics/Metrics.ts"
import { makeOverview } from "../../src/metrics/MetricsOverview.ts"
import * as Exposition from "../../src/metrics/Exposition.ts"
// These define metrics of their own.
import "../../src/telemetry/LineLimiter.ts"
import "../../src/telemetry/LogSink.ts"
import "../../src/agents/events/EventLogMetrics.ts"
import "../../src/campaigns/TransferMetrics.ts"
import "../../src/metrics/AgentMetrics.ts"
import "../../src/metrics/CredentialMetrics.ts"
import "../../src/metrics/ProcessMetrics.ts"
import { request, start } from "../transport/Stub.ts"
import { exposedName } from "./Prometheus.ts"

const docs = Fs.readFileSync(new URL("../../docs/reference/metrics.md", import.meta.url), "utf8")

const value = (text: string, series: string): number | undefined => {
  const line = text.split("\n").find((one) => one.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1))
}

describe("docs/reference/metrics.md", () => {
  it("names every metric with its type, labels and meaning", () => {
    const rows = Array.from(Metrics.definitions, ([name, { description, kind, labels }]) => {
      const quoted = labels.map((label) => `\`${label}\``).join(", ")
      return `| \`${exposedName(name, kind)}\` | ${kind} | ${quoted} | ${description} |`
    }).sort()
    const table = /<!-- metrics:begin.*?-->\n(.*?)<!-- metrics:end -->/s.exec(docs)?.[1]
    expect(table).toBe(`${["| Metric | Type | Labels | Meaning |", "|---|---|---|---|", ...rows].join("\n")}\n`)
  })
})

describe("/metrics", () => {
  it("counts requests by RPC and outcome, also those that could not be read, in every protocol's way", async () => {
    const server = await start({ mounts: { "/metrics": Exposition.respond } })
    const scrape = async () => (await request(server.port, { method: "GET", path: "/metrics" })).body
    const issue = "/coupon.v1.CouponService/IssueCoupon"
    const json = { "content-type": "application/json" }
    const before = await scrape()
    const counted = async (outcome: string) => {
      const series = `coupon_requests_total{rpc="IssueCoupon",outcome="${outcome}"}`
      return value(await scrape(), series)! - (value(before, series) ?? 0)
    }
    await request(server.port, { path: issue, headers: json, body: '{"campaignId":1,"userId":1}' })
    // By connect-es.
    await request(server.port, { path: `${issue}?`, headers: json, body: '{"campaignId":1,"userId":1}' })
    expect(await counted("OK")).toBe(2)
    await request(server.port, { path: issue, headers: json, body: "{" })
    await request(server.port, { path: `${issue}?`, headers: json, body: "{" })
    await request(server.port, { path: issue, headers: json, body: '{"campaignId":-1,"userId":1}' })
    await request(server.port, { path: issue, headers: { ...json, "connect-protocol-version": "2" }, body: "{}" })
    expect(await counted("INVALID_ARGUMENT")).toBe(4)
    const expired = { ...json, "connect-timeout-ms": "0" }
    await request(server.port, { path: issue, headers: expired, body: '{"campaignId":1,"userId":1}' })
    expect(await counted("DEADLINE_EXCEEDED")).toBe(1)
    expect(await counted("INTERNAL_SERVER_ERROR")).toBe(0)
    expect(value(await scrape(), "coupon_requests_in_flight")).toBe(0)
    expect((await request(server.port, { path: "/metrics", body: "" })).status).toBe(405)
    await server.close()
  })

  it("escapes what labels and descriptions may hold", () => {
    Metrics.counters("escape_test", 'a \\ and a\nnew line, "quoted"', ["of"])({ of: 'a "quoted" \\ and\nnew' }).add(2)
    expect(Exposition.expose()).toContain(
      '# HELP escape_test_total a \\\\ and a\\nnew line, "quoted"\n# TYPE escape_test_total counter\n' +
        'escape_test_total{of="a \\"quoted\\" \\\\ and\\nnew"} 2\n'
    )
  })
})

describe("the overview", () => {
  it("tells rates, quantiles and means since the last look, for each watcher apart", () => {
    const look = makeOverview()
    const other = makeOverview()
    const rpc = RequestMetrics.rpc("IssueCoupon")
    for (let k = 0; k < 90; k++) rpc.ended("OK", performance.now() - 4)
    for (let k = 0; k < 10; k++) rpc.ended("OK", performance.now() - 400)
    rpc.ended("CouponSoldOut", performance.now())
    LedgerMetrics.ledgerBatchSize.observe(60)
    LedgerMetrics.ledgerBatchSize.observe(40)
    const first = look()
    expect(first.ratesByOutcome["OK"]! * first.seconds).toBeCloseTo(100)
    expect(first.ratesByOutcome["COUPON_SOLD_OUT"]! * first.seconds).toBeCloseTo(1)
    expect(first.latencyMillis.ok.p50).toBeGreaterThan(3)
    expect(first.latencyMillis.ok.p50).toBeLessThan(15)
    expect(first.latencyMillis.ok.p99).toBeGreaterThan(250)
    expect(first.batchSizes.ledger).toBe(50)
    const second = look()
    expect(second.ratesByOutcome["OK"]).toBe(0)
    expect(second.latencyMillis.ok).toEqual({ p50: 0, p95: 0, p99: 0 })
    expect(second.batchSizes.ledger).toBe(0)
    const late = other()
    expect(late.ratesByOutcome["OK"]! * late.seconds).toBeCloseTo(100)
  })
})
