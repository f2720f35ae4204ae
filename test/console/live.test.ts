import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Redis } from "ioredis"
import * as http from "node:http"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as OperatorClient from "../../src/client/OperatorClient.ts"
import type { Live } from "../../src/contract/Live.ts"
import { type SaleCount, saleCounts } from "../../src/domain/sale/SaleSecond.ts"
import { ADMIN } from "../security/Secured.ts"
import { asServingUser, servingUser } from "../stores/topologies.ts"
import { type Instance, startInstance } from "../support/Instance.ts"
import { isLongProfile } from "../support/profile.ts"
import { availableDatabases, databaseOn, type RedisServer, startRedis } from "../support/servers.ts"

const ADMIN_HEADERS = { authorization: `Bearer ${ADMIN}` }

/** An open stream of the live state. */
interface Watching {
  readonly status: number
  /** The next line that fits, or a failure after a minute. */
  readonly until: (fits: (live: Live) => boolean) => Promise<Live>
  readonly ended: Promise<void>
  readonly close: () => void
}

const watch = (
  port: number,
  body: object = {},
  headers: Record<string, string> = ADMIN_HEADERS
): Promise<Watching> =>
  new Promise((resolve, reject) => {
    const sent = http.request({
      port,
      host: "127.0.0.1",
      method: "POST",
      path: "/operator/live",
      agent: false,
      headers: { "content-type": "application/json", ...headers }
    }, (response) => {
      let text = ""
      let seen: ReadonlyArray<Live> = []
      const waiting = new Set<() => void>()
      response.setEncoding("utf8").on("data", (chunk: string) => {
        const lines = `${text}${chunk}`.split("\n")
        text = lines.pop()!
        if (response.statusCode === 200) seen = [...seen, ...lines.map((line) => JSON.parse(line) as Live)]
        for (const look of waiting) look()
      })
      const ended = new Promise<void>((over) => response.once("close", () => over()))
      resolve({
        status: response.statusCode!,
        ended,
        close: () => sent.destroy(),
        until: (fits) =>
          new Promise((found, failed) => {
            const late = setTimeout(() => failed(new Error(`no line fits: ${JSON.stringify(seen.at(-1))}`)), 60_000)
            const look = () => {
              const line = seen.find(fits)
              if (line === undefined) return
              clearTimeout(late)
              waiting.delete(look)
              seen = seen.slice(seen.indexOf(line) + 1)
              found(line)
            }
            waiting.add(look)
            look()
          })
      })
    })
    sent.on("error", reject)
    sent.end(JSON.stringify(body))
  })

const post = async (url: string, rpc: string, body: object) => {
  const reply = await fetch(`${url}/coupon.v1.CouponService/${rpc}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...ADMIN_HEADERS },
    body: JSON.stringify(body)
  })
  return await reply.json() as { readonly campaignId: number }
}

const asked = <A, E>(
  { url }: Instance,
  call: (client: OperatorClient.OperatorClient["Type"]) => Effect.Effect<A, E>
): Promise<A> =>
  Effect.runPromise(Effect.scoped(Effect.flatMap(
    OperatorClient.make({ url, key: Redacted.make(ADMIN), timeoutMillis: 10_000 }),
    call
  )))

const campaign = (name: string) => ({ name, couponLimit: 20, startTime: "2025-06-25T00:00:00Z" })

const nameOf = ({ pid }: Instance) => expect.stringMatching(new RegExp(`:${pid}$`)) as string

/** All that the lines have of a campaign: each second's latest counts, added up. */
const counted = (lines: ReadonlyArray<Live>): Partial<Record<SaleCount, number>> => {
  const seconds = new Map(lines.flatMap(({ sale }) => sale?.seconds ?? []).map((one) => [one[0]!, one]))
  return Object.fromEntries(saleCounts.flatMap((name, k) => {
    const sum = [...seconds.values()].reduce((total, one) => total + one[k + 1]!, 0)
    return sum === 0 ? [] : [[name, sum]]
  }))
}

describe("the live state of one instance", () => {
  let instance: Instance
  beforeAll(async () => {
    instance = await startInstance({ ADMIN_API_KEY: ADMIN })
  })
  afterAll(() => instance.kill())

  it("has the instance, the funnel, the campaign and its latest coupons, again every second", async () => {
    const { campaignId: id } = await post(instance.url, "CreateCampaign", campaign("live"))
    const watching = await watch(instance.port, { campaignId: id })
    const before = await watching.until(() => true)
    expect(before.instances.map(({ instance }) => instance)).toEqual([nameOf(instance)])
    expect([before.alone, before.missing, before.campaign?.issued]).toEqual([false, [], 0])
    for (let userId = 501; userId <= 525; userId++) {
      await post(instance.url, "IssueCoupon", { campaignId: id, userId: String(userId) })
    }
    const live = await watching.until(({ campaign, instances }) =>
      campaign?.issued === 20 && campaign.gate?.issued === 20 && instances[0]!.funnel?.arrived === 25)
    expect(live.campaign).toMatchObject({ campaignId: id, name: "live", status: "ACTIVE", couponLimit: 20 })
    expect(live.campaign!.latest.map(({ number, user }) => [number, user])).toEqual(
      Array.from({ length: 10 }, (_, k) => [20 - k, `…${20 - k < 10 ? "0" : ""}${20 - k}`])
    )
    expect(live.instances[0]!.funnel).toMatchObject({ arrived: 25, admitted: 25, committed: 20, delivered: 20 })
    const next = await watching.until(() => true)
    expect(next.at).toBeGreaterThan(live.at)
    watching.close()
  })

  it("counts each campaign for itself, and shows one who comes later what was before", async () => {
    const [{ campaignId: one }, { campaignId: other }] = [
      await post(instance.url, "CreateCampaign", campaign("one")),
      await post(instance.url, "CreateCampaign", campaign("other"))
    ]
    const early = await watch(instance.port, { campaignId: one })
    const lines = [await early.until(() => true)]
    expect(lines[0]!.sale!.seconds).toEqual([])
    for (let userId = 1; userId <= 24; userId++) {
      await post(instance.url, "IssueCoupon", { campaignId: one, userId: String(userId) })
    }
    for (let turn = 0; turn < 3; turn++) await post(instance.url, "IssueCoupon", { campaignId: other, userId: "7" })
    const whole = { issued: 20, soldOut: 4, reserved: 20, committed: 20, delivered: 20 }
    while (JSON.stringify(counted(lines)) !== JSON.stringify(whole)) lines.push(await early.until(() => true))
    const quiet = await early.until(({ sale }) => sale!.seconds.length === 0)
    expect(quiet.campaign!.backlog).toEqual({ events: 0, oldestAgeMillis: 0 })
    early.close()
    const late = await watch(instance.port, { campaignId: one })
    const first = await late.until(() => true)
    expect(counted([first])).toEqual(whole)
    expect(first.sale!.since).toBeLessThan(first.sale!.seconds[0]![0]! * 1_000 + 1_000)
    late.close()
    const another = await watch(instance.port, { campaignId: other })
    expect(counted([await another.until(() => true)])).toEqual(
      { issued: 1, already: 2, reserved: 1, committed: 1, delivered: 1 }
    )
    another.close()
  })

  it("moves the place of the latest act", async () => {
    const watching = await watch(instance.port)
    const { auditHead, ...rest } = await watching.until(({ auditHead }) => auditHead !== null)
    expect(rest).not.toHaveProperty("campaign")
    await post(instance.url, "CreateCampaign", campaign("another"))
    await watching.until((live) => live.auditHead !== null && live.auditHead > auditHead!)
    watching.close()
  })

  it("has no campaign that is not there", async () => {
    const watching = await watch(instance.port, { campaignId: 999 })
    expect((await watching.until(() => true)).campaign).toBe(null)
    watching.close()
  })

  it("is for VIEWERs, by POST of JSON that says what it wants", async () => {
    expect((await watch(instance.port, {}, {})).status).toBe(401)
    expect((await watch(instance.port, {}, { authorization: "Bearer wrong" })).status).toBe(401)
    expect((await watch(instance.port, {}, { ...ADMIN_HEADERS, "content-type": "text/plain" })).status).toBe(415)
    for (const body of [[1], { campaignId: "1" }, { campaignId: 0 }, { campaignId: 1.5 }, { x: "x".repeat(2_000) }]) {
      const { status } = await watch(instance.port, body)
      expect(status, JSON.stringify(body).slice(0, 40)).toBe(Array.isArray(body) ? 200 : 400)
    }
    expect((await fetch(`${instance.url}/operator/live`)).status).toBe(405)
  })

  it("ends with the rights of its reader, and shows a limited key its campaigns alone", async () => {
    const { campaignId: id } = await post(instance.url, "CreateCampaign", campaign("limited"))
    const { id: keyId, secret } = await asked(instance, (client) =>
      client.CreateKey({ name: "limited", role: "VIEWER", campaigns: [id] }))
    const headers = { authorization: `Bearer ${secret}` }
    expect((await watch(instance.port, { campaignId: id === 1 ? 2 : 1 }, headers)).status).toBe(403)
    const watching = await watch(instance.port, { campaignId: id }, headers)
    await post(instance.url, "IssueCoupon", { campaignId: id, userId: "1" })
    const live = await watching.until(({ instances }) => instances[0]!.campaigns.length > 0)
    expect(live.instances[0]!.campaigns.map(({ campaignId }) => campaignId)).toEqual([id])
    await asked(instance, (client) => client.RevokeKey({ id: keyId }))
    await watching.ended
  })

  it("is bounded for a key and for all", async () => {
    const all = await Promise.all(Array.from({ length: 140 }, () => watch(instance.port)))
    const taken = all.filter(({ status }) => status === 200)
    // Some of the tests before may not have left yet.
    expect(taken.length).toBeGreaterThan(110)
    expect(taken.length).toBeLessThanOrEqual(128)
    expect(all.length - taken.length).toBe(all.filter(({ status }) => status === 429).length)
    await taken.at(-1)!.until(() => true)
    for (const one of all) one.close()
  })

  it("ends when the instance stops", async () => {
    const watching = await watch(instance.port)
    await watching.until(() => true)
    const stopped = instance.stop()
    await watching.ended
    expect(await stopped).toBe(0)
  })
})

const [kind] = availableDatabases()

/** Makes the notices on the board that much older, instead of waiting: those who live post newer ones each second. */
const age = async (redis: RedisServer, millis: number) => {
  const client = new Redis(redis.url)
  try {
    const [board] = await client.keys("*{instances}:*")
    const fields = await client.hgetall(board!)
    for (const [instance, text] of Object.entries(fields)) {
      const notice = JSON.parse(text) as { readonly at: number }
      await client.hset(board!, instance, JSON.stringify({ ...notice, at: notice.at - millis }))
    }
  } finally {
    client.disconnect()
  }
}

describe.runIf(kind !== undefined)("the live state of several instances", () => {
  it("has all of them, and misses one that is gone without leaving", async () => {
    // As the user that is deployed: what its key patterns leave out would be refused.
    const [database, redis] = await Promise.all([databaseOn(kind!), startRedis({ args: servingUser() })])
    const env = { MYSQL_URL: database.url, REDIS_URL: asServingUser(redis.url), ADMIN_API_KEY: ADMIN }
    const one = await startInstance(env)
    const first = await watch(one.port)
    const single = await first.until(() => true)
    expect([single.alone, single.instances.length]).toEqual([false, 1])
    first.close()
    const [two, three] = await Promise.all([startInstance(env), startInstance(env)])
    const instances = [one, two, three]
    // What was counted before there is a reader, at instances that it does not ask.
    const { campaignId: id } = await post(one.url, "CreateCampaign", campaign("sums"))
    for (const [k, { url }] of instances.entries()) {
      for (let userId = 0; userId < 3; userId++) {
        await post(url, "IssueCoupon", { campaignId: id, userId: String(10 * k + userId + 1) })
      }
    }
    const watching = await watch(one.port, { campaignId: id })
    const lines = [await watching.until(() => true)]
    // Each instance posts what it has counted by itself, so the sums reach nine one after the other.
    const all = { issued: 9, reserved: 9, committed: 9, delivered: 9 }
    const isShort = () => Object.keys(all).some((name) => (counted(lines)[name as keyof typeof all] ?? 0) < 9)
    while (isShort()) lines.push(await watching.until(() => true))
    expect(counted(lines)).toEqual(all)
    const live = await watching.until(({ instances }) => instances.length === 3)
    const names = live.instances.map(({ instance }) => instance)
    expect(names[0]).toEqual(nameOf(one))
    expect(names).toEqual(expect.arrayContaining([nameOf(two), nameOf(three)]))
    await two.stop()
    const after = await watching.until(({ instances }) => instances.length === 2)
    expect(after.missing).toEqual([])
    await three.kill()
    if (!isLongProfile) await age(redis, 20_000)
    const missed = await watching.until(({ missing }) => missing.length === 1)
    expect(missed.missing[0]!.instance).toEqual(nameOf(three))
    expect(missed.instances.map(({ instance }) => instance)).toEqual([nameOf(one)])
    await redis.stop()
    expect((await watching.until(({ alone }) => alone)).instances).toHaveLength(1)
    watching.close()
    await one.kill()
    await database.drop()
  })
})
