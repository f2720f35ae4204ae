import * as Http from "node:http"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startInstance, type Instance } from "../support/Instance.ts"
import { inLongProfile } from "../support/profile.ts"
import {
  privateDatabases,
  startDatabase,
  startRedis,
  type DatabaseServer,
  type RedisServer
} from "../support/servers.ts"

interface Line {
  readonly message: string
  readonly logLevel: string
  readonly annotations: Readonly<Record<string, unknown>>
  readonly traceId?: string
}

const REQUESTS = inLongProfile(5_000, 1_500)
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

describe("the log while MySQL is away", () => {
  let database: DatabaseServer
  let redis: RedisServer
  let instance: Instance
  const agent = new Http.Agent({ keepAlive: true, maxSockets: 64 })
  beforeAll(async () => {
    ;[database, redis] = await Promise.all([startDatabase(privateDatabases()[0]!), startRedis()])
    instance = await startInstance({ MYSQL_URL: database.url, REDIS_URL: redis.url })
  })
  afterAll(async () => {
    agent.destroy()
    await (instance as Instance | undefined)?.stop()
    await Promise.all([(database as DatabaseServer | undefined)?.stop(), (redis as RedisServer | undefined)?.stop()])
  })

  const call = (rpc: string, message: object) =>
    new Promise<{ readonly status: number; readonly body: string }>((resolve, reject) => {
      const body = JSON.stringify(message)
      const request = Http.request(`${instance.url}/coupon.v1.CouponService/${rpc}`, {
        agent,
        method: "POST",
        headers: {
          "content-type": "application/json",
          "content-length": Buffer.byteLength(body),
          traceparent: `00-${TRACE}-00f067aa0ba902b7-00`
        }
      }, (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk)).on(
          "end",
          () => resolve({ status: response.statusCode!, body: text })
        )
      })
      request.once("error", reject)
      request.end(body)
    })

  const lines = () => instance.logs().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Line)

  it("stays short, counts what it leaves out, and names the callers' trace and no password", async () => {
    const { campaignId } = JSON.parse(
      (await call("CreateCampaign", { name: "outage", couponLimit: 100_000, startTime: "2025-06-25T00:00:00Z" })).body
    )
    expect((await call("IssueCoupon", { campaignId, userId: 1 })).status).toBe(200)
    const before = lines().length
    await database.kill()
    const claims = Array.from({ length: REQUESTS }, (_, k) => call("IssueCoupon", { campaignId, userId: 2 + k }))
    const replies = await Promise.all(claims)
    const unavailable = replies.filter(({ body }) => body.includes('"UNAVAILABLE"')).length
    // All but the batch that was under way: none is shed, and none waits for the server to come back.
    expect(replies.filter(({ body }) => body.includes('"OVERLOADED"')).length).toBe(0)
    expect(unavailable).toBeGreaterThan(REQUESTS - 200)
    const warnings = () =>
      lines().slice(before).filter(({ message }) => message === "a request was answered with UNAVAILABLE")
    const counted = () =>
      warnings().reduce((sum, { annotations }) => sum + 1 + Number(annotations["suppressed"] ?? 0), 0)
    // Every one of them is logged or counted, the last ones too.
    await expect.poll(counted).toBe(unavailable)
    for (const line of warnings()) expect(line.traceId).toBe(TRACE)
    expect(lines().length - before).toBeLessThan(REQUESTS / 10)
    expect(instance.logs()).not.toContain("coupon:coupon@")
    await database.restart()
    await expect.poll(async () => (await call("IssueCoupon", { campaignId, userId: 1_000_000 })).body)
      .toMatch(/"OK"|ALREADY/)
    // The outage itself is one line, and its end another; no agent repeats it, and nothing of it needs a stack.
    await expect.poll(() => lines().some(({ message }) => /^MySQL at \S+ is back after \d+ s$/.test(message)))
      .toBe(true)
    const since = lines().slice(before)
    expect(since.filter(({ message }) => /^lost MySQL at 127\.0\.0\.1:\d+: \S+$/.test(message)).length).toBe(1)
    expect(since.filter(({ message }) => message.includes(" is back after ")).length).toBe(1)
    expect(since.filter(({ message }) => /will keep trying|works again/.test(message))).toEqual([])
    expect(JSON.stringify(since)).not.toMatch(/ at .*\.[jt]s:\d+/)
  }, 120_000)
})
