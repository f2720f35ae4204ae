import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startInstance, type Instance } from "../support/Instance.ts"
import { availableDatabases, databaseOn, startRedis, type RedisServer } from "../support/servers.ts"
import { attribute, startOtlpReceiver, type OtlpReceiver, type ReceivedSpan } from "./OtlpReceiver.ts"

const TRACE = "0af7651916cd43dd8448eb211c80319c"
const CALLER = "b7ad6b7169203331"
const SERVER = 2
const PRODUCER = 4
const CONSUMER = 5

const call = async (instance: Instance, rpc: string, message: object, headers: Record<string, string> = {}) => {
  const reply = await fetch(`${instance.url}/coupon.v1.CouponService/${rpc}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(message)
  })
  return { status: reply.status, body: await reply.json() as Record<string, unknown> }
}

const campaignOn = async (instance: Instance): Promise<number> => {
  const { body } = await call(instance, "CreateCampaign", {
    name: "traced",
    couponLimit: 100,
    startTime: "2025-06-25T00:00:00Z"
  })
  return body["campaignId"] as number
}

describe("OTLP", () => {
  let receiver: OtlpReceiver
  let redis: RedisServer
  let database: Awaited<ReturnType<typeof databaseOn>>
  beforeAll(async () => {
    receiver = await startOtlpReceiver()
    // Reservations of campaign 1 belong to an instance with an empty Redis.
    redis = await startRedis()
    database = await databaseOn(availableDatabases()[0]!)
  })
  afterAll(async () => {
    await receiver.close()
    await redis.stop()
    await database.drop()
  })

  it("carries the caller's trace to the ledger, and the batch's through the outbox to a relay", async () => {
    const env = {
      MYSQL_URL: database.url,
      REDIS_URL: redis.url,
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_HEADERS: "x-team=coupons%20and%20more",
      // Nothing by chance: what is traced is what the caller marked.
      OTEL_TRACES_SAMPLER_ARG: "0",
      RELAY_INTERVAL: "10ms"
    }
    const [one, other] = await Promise.all([startInstance(env), startInstance(env)])
    const campaignId = await campaignOn(one)
    const untraced = await call(one, "IssueCoupon", { campaignId, userId: 1 })
    const declined = await call(one, "IssueCoupon", { campaignId, userId: 2 }, {
      traceparent: `00-${"1".repeat(32)}-${CALLER}-00`
    })
    const traced = await call(one, "IssueCoupon", { campaignId, userId: 3 }, {
      traceparent: `00-${TRACE}-${CALLER}-01`
    })
    const again = await call(one, "IssueCoupon", { campaignId, userId: 3 }, {
      traceparent: `00-${"2".repeat(32)}-${CALLER}-01`
    })
    expect([untraced.status, declined.status, traced.status, again.status]).toEqual([200, 200, 200, 409])
    // The relay has settled the event once the backlog is gone; what is traced is exported at the latest when the
    // instances stop.
    await expect.poll(async () =>
      /coupon_outbox_events_total\{phase="settled"\} (\d+)/.exec(await (await fetch(`${one.url}/metrics`)).text())?.[1]
      + " " +
      /coupon_outbox_events_total\{phase="settled"\} (\d+)/.exec(await (await fetch(`${other.url}/metrics`)).text())
        ?.[1]
    )
      .toSatisfy((both: string) => both.split(" ").map(Number).reduce((a, b) => a + b, 0) >= 3)
    expect(await Promise.all([one.stop(), other.stop()])).toEqual([0, 0])

    const named = (name: string): ReadonlyArray<ReceivedSpan> => receiver.spans.filter((span) => span.name === name)
    const [claim, ...moreClaims] = named("IssueCoupon").filter(({ traceId }) => traceId === TRACE)
    expect(moreClaims).toEqual([])
    expect(claim).toMatchObject({ kind: SERVER, parentSpanId: CALLER })
    expect([attribute(claim!, "coupon.outcome"), attribute(claim!, "coupon.campaign_id")]).toEqual(["OK", campaignId])
    // Of the caller's trace, in order: the claim and its steps.
    const inTrace = receiver.spans.filter(({ traceId }) => traceId === TRACE)
    expect(inTrace.map(({ name }) => name).sort()).toEqual(["IssueCoupon", "gate.reserve", "ledger.commit"])
    for (const step of inTrace) if (step !== claim) expect(step.parentSpanId).toBe(claim!.spanId)
    for (const span of receiver.spans) {
      expect(BigInt(span.endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(span.startTimeUnixNano))
    }

    // The batch's own trace: linked to and fro.
    const commit = inTrace.find(({ name }) => name === "ledger.commit")!
    const [batch, ...moreBatches] = named("ledger.batch")
    expect(moreBatches).toEqual([])
    expect(batch).toMatchObject({ kind: PRODUCER, traceId: attribute(commit, "coupon.batch_id") })
    expect(batch!.parentSpanId).toBeUndefined()
    expect(commit.links).toMatchObject([{ traceId: batch!.traceId, spanId: batch!.spanId }])
    expect(batch!.links).toMatchObject([{ traceId: TRACE, spanId: claim!.spanId }])

    // Whichever instance relayed it knew its parent by the event's id alone.
    const published = named("outbox.publish").filter(({ traceId }) => traceId === batch!.traceId)
    expect(published.length).toBeGreaterThanOrEqual(1)
    for (const span of published) expect(span).toMatchObject({ kind: CONSUMER, parentSpanId: batch!.spanId })

    // A refusal is an answer, and its trace says which. Nothing else was traced: not the requests that were not
    // sampled, no agent's polls.
    const refused = named("IssueCoupon").find(({ traceId }) => traceId === "2".repeat(32))!
    expect(attribute(refused, "coupon.outcome")).toBe("CouponAlreadyClaimed")
    const traces = new Set(receiver.spans.map(({ traceId }) => traceId).filter((traceId) => !traceId.endsWith("ffff")))
    expect([...traces].sort()).toEqual([TRACE, "2".repeat(32)].sort())

    // Metrics came too, and both carry the headers that were asked for.
    expect(receiver.metrics.find(({ name }) => name === "coupon_requests")?.sum?.isMonotonic).toBe(true)
    const batches = receiver.metrics.filter(({ name }) => name === "coupon_ledger_batch_size")
    expect(Math.max(...batches.map(({ histogram }) => histogram!.dataPoints[0]!.count))).toBe(3)
    for (const headers of receiver.headers) expect(headers["x-team"]).toBe("coupons and more")
  })

  it("traces by chance where the caller does not say, and serves on without a collector", async () => {
    const before = receiver.spans.length
    const instance = await startInstance({
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_TRACES_SAMPLER_ARG: "1",
      TRACES_PER_SECOND: "1"
    })
    const campaignId = await campaignOn(instance)
    for (let userId = 1; userId <= 50; userId++) {
      expect((await call(instance, "IssueCoupon", { campaignId, userId })).status).toBe(200)
    }
    expect(await instance.stop()).toBe(0)
    const roots = receiver.spans.slice(before).filter(({ kind }) => kind === SERVER)
    expect(roots.length).toBeGreaterThanOrEqual(1)
    // The budget bounds what sampling asks for: one a second.
    expect(roots.length).toBeLessThan(51)

    const alone = await startInstance({
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9",
      OTEL_TRACES_SAMPLER_ARG: "1"
    })
    const second = await campaignOn(alone)
    expect((await call(alone, "IssueCoupon", { campaignId: second, userId: 1 })).status).toBe(200)
    expect(await alone.stop()).toBe(0)
  })
})
