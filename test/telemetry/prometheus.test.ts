import * as Fs from "node:fs"
import * as Path from "node:path"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { startInstance, type Instance } from "../support/Instance.ts"
import { availableDatabases, databaseOn, startRedis, type RedisServer } from "../support/servers.ts"
import { folder, promtool, startPrometheus, whyNoPrometheus, type Prometheus } from "./Prometheus.ts"

const docs = Fs.readFileSync(new URL("../../docs/reference/metrics.md", import.meta.url), "utf8")
/** Type by name, as documented. */
const documented = new Map(
  Array.from(docs.matchAll(/^\| `(\w+)` \| (counter|gauge|histogram) \|/gm), ([, name, type]) => [name!, type!])
)

/** The names in `/metrics` that a documented metric has. */
const seriesNames = (name: string, type: string) =>
  type === "histogram" ? ["_bucket", "_sum", "_count"].map((suffix) => name + suffix) : [name]

/** Names of metrics in an expression of PromQL: all words that begin as ours do. */
const metricsIn = (expr: string) => Array.from(expr.matchAll(/\b(?:coupon|process|nodejs)_\w+/g), ([name]) => name)

interface Panel {
  readonly title: string
  readonly targets?: ReadonlyArray<{ readonly expr: string }>
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
}

const dashboard = JSON.parse(Fs.readFileSync(Path.join(folder, "grafana/dashboards/coupon.json"), "utf8")) as {
  readonly panels: ReadonlyArray<Panel>
}
const queries = dashboard.panels.flatMap(({ targets = [], title }) => targets.map(({ expr }) => ({ title, expr })))
const rules = Fs.readFileSync(Path.join(folder, "alerts.yml"), "utf8")
const alerts = Array.from(rules.matchAll(/- alert: (\w+)/g), ([, name]) => name!)

describe("the files of the observability profile", () => {
  it("ask only for metrics that are documented", () => {
    const known = new Set(Array.from(documented, ([name, type]) => seriesNames(name, type)).flat())
    const expressions = [...queries.map(({ expr }) => expr), rules.replace(/summary:.*/g, "")]
    expect(queries.length).toBeGreaterThan(30)
    expect(expressions.flatMap(metricsIn).filter((name) => !known.has(name))).toEqual([])
  })

  it("document every alert", () => {
    expect(Array.from(docs.matchAll(/`(Coupon\w+)`/g), ([, name]) => name!).sort()).toEqual([...alerts].sort())
  })

  it("name a section of the runbook for every alert", () => {
    const runbooks = Array.from(rules.matchAll(/- alert: (\w+).*?runbook_url: ([\w./-]+)#(\w+)$/gms))
    expect(runbooks.map(([, name]) => name)).toEqual(alerts)
    for (const [, name, page, section] of runbooks) {
      const headings = Fs.readFileSync(new URL(`../../${page}`, import.meta.url), "utf8").matchAll(/^### (\w+)$/gm)
      expect(Array.from(headings, ([, heading]) => heading!.toLowerCase()), name).toContain(section)
      expect(section).toBe(name!.toLowerCase())
    }
  })

  it("lay the dashboard out without overlaps", () => {
    const taken = new Map<string, string>()
    for (const { gridPos: { h, w, x, y }, title } of dashboard.panels) {
      expect(x + w, title).toBeLessThanOrEqual(24)
      for (let k = 0; k < w * h; k++) {
        const cell = `${x + k % w},${y + Math.floor(k / w)}`
        expect(taken.get(cell), title).toBeUndefined()
        taken.set(cell, title)
      }
    }
  })
})

describe("Prometheus", () => {
  const missing = whyNoPrometheus()
  if (missing !== undefined) {
    it.skip(`needs ${missing}`, () => {})
    return
  }

  it("promtool accepts the configuration and the rules, and the rules' own tests pass", () => {
    expect(promtool(["check", "config", "--syntax-only", "prometheus.yml"])).toMatchObject({ status: 0 })
    expect(promtool(["check", "rules", "alerts.yml"])).toMatchObject({ status: 0 })
    const { output, status } = promtool(["test", "rules", "alerts.test.yml"])
    expect(status, output).toBe(0)
    // Each alert is expected to fire somewhere.
    const tests = Fs.readFileSync(Path.join(folder, "alerts.test.yml"), "utf8")
    for (const name of alerts) expect(tests, name).toMatch(new RegExp(`alertname: ${name}\\n\\s+exp_alerts:`))
  })

  describe("scraping real instances", () => {
    let redis: RedisServer
    let database: Awaited<ReturnType<typeof databaseOn>>
    let instances: ReadonlyArray<Instance>
    let prometheus: Prometheus
    let metricsPort: number
    beforeAll(async () => {
      redis = await startRedis()
      database = await databaseOn(availableDatabases()[0]!)
      const stores = { MYSQL_URL: database.url, REDIS_URL: redis.url }
      instances = await Promise.all([startInstance(stores), startInstance({ ...stores, METRICS_PORT: "0" })])
      metricsPort = await vi.waitFor(() => Number(/metrics at port (\d+)/.exec(instances[1]!.logs())![1]), {
        timeout: 60_000
      })
      prometheus = await startPrometheus([`127.0.0.1:${instances[0]!.port}`, `127.0.0.1:${metricsPort}`])
    })
    afterAll(async () => {
      await (prometheus as Prometheus | undefined)?.stop()
      await Promise.all((instances ?? []).map((instance) => instance.stop()))
      await (redis as RedisServer | undefined)?.stop()
      await database?.drop()
    })

    const rpc = async (name: string, message: object) =>
      (await (await fetch(`${instances[0]!.url}/coupon.v1.CouponService/${name}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(message)
      })).json()) as { readonly campaignId?: number; readonly message?: string }

    const query = async (expr: string) =>
      (await prometheus.api<
        {
          readonly result: ReadonlyArray<
            { readonly metric: Record<string, string>; readonly value: readonly [number, string] }
          >
        }
      >(
        `/api/v1/query?query=${encodeURIComponent(expr)}`
      )).result

    it("sees the targets up, each where METRICS_PORT says", async () => {
      await expect.poll(async () => (await query('up{job="coupon"}')).map(({ value }) => value[1]).join()).toBe("1,1")
      expect((await fetch(`${instances[1]!.url}/metrics`)).status).toBe(404)
      expect((await fetch(`http://127.0.0.1:${metricsPort}/coupon.v1.CouponService/IssueCoupon`)).status).toBe(404)
      const text = await (await fetch(`${instances[0]!.url}/metrics`)).text()
      const { output, status } = promtool(["check", "metrics"], text)
      expect(status, output).toBe(0)
    })

    it("has every documented metric, of its documented type, and no other of ours", async () => {
      const { campaignId } = await rpc("CreateCampaign", {
        name: "scraped",
        couponLimit: 2,
        startTime: "2025-06-25T00:00:00Z"
      })
      for (let userId = 1; userId <= 3; userId++) await rpc("IssueCoupon", { campaignId, userId })
      await expect.poll(async () => (await query("sum(coupon_issued_total)"))[0]?.value[1]).toBe("2")
      const soldOut = 'coupon_requests_total{rpc="IssueCoupon",outcome="COUPON_SOLD_OUT"} > 0'
      await expect.poll(async () => (await query(soldOut)).length).toBe(1)
      type Metadata = Record<string, ReadonlyArray<{ readonly type: string }>>
      const metadata = await prometheus.api<Metadata>("/api/v1/metadata")
      const scraped = Object.entries(metadata).filter(([name]) => /^(coupon|process|nodejs)_/.test(name))
        .map(([name, [first]]) => [name, first!.type] as const)
      expect(new Map(scraped)).toEqual(documented)
    })

    it("answers every query of the dashboard and knows every alert, none of which fires", async () => {
      const names = new Set(await prometheus.api<ReadonlyArray<string>>("/api/v1/label/__name__/values"))
      for (const { expr, title } of queries) {
        // As Grafana fills it in.
        await query(expr.replaceAll("$__rate_interval", "10s"))
        for (const name of metricsIn(expr)) expect(names, `${title}: ${expr}`).toContain(name)
      }
      const { groups } = await prometheus.api<{
        readonly groups: ReadonlyArray<
          { readonly rules: ReadonlyArray<{ readonly name: string; readonly health: string; readonly state: string }> }
        >
      }>("/api/v1/rules")
      expect(groups.flatMap((group) => group.rules.map(({ name }) => name)).sort()).toEqual([...alerts].sort())
      await expect.poll(async () => {
        const loaded = await prometheus.api<typeof groups extends infer G ? { readonly groups: G } : never>(
          "/api/v1/rules"
        )
        return loaded.groups.flatMap((group) =>
          group.rules.filter(({ health, state }) => health !== "ok" || state === "firing").map(({ name }) => name)
        )
      }).toEqual([])
    })

    it("sees the pool in use", async () => {
      const connections = async (state: string) =>
        (await query(`max(coupon_mysql_pool_connections{state="${state}"})`))[0]?.value[1]
      await expect.poll(async () => Number(await connections("open") ?? 0)).toBeGreaterThan(0)
      // A scrape that a busy machine failed leaves a gap.
      await expect.poll(() => connections("limit")).toBe("10")
    })

    it("sees Redis go, while coupons are still issued, and come back", async () => {
      const { campaignId } = await rpc("CreateCampaign", {
        name: "no gate",
        couponLimit: 100,
        startTime: "2025-06-25T00:00:00Z"
      })
      await rpc("IssueCoupon", { campaignId, userId: 1 })
      await redis.kill()
      await expect.poll(async () => (await query("min(coupon_gate_up)"))[0]?.value[1]).toBe("0")
      expect((await rpc("IssueCoupon", { campaignId, userId: 2 })).message).toBe("OK")
      await redis.restart()
      await expect.poll(async () => (await query("min(coupon_gate_up)"))[0]?.value[1]).toBe("1")
    })
  })
})
