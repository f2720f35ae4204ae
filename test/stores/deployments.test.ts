import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Redis } from "ioredis"
import { makeLoad, tally, type LoadGenerator } from "../e2e/load.ts"
import { deferral, impatient, loadFor, startFor } from "../e2e/scenario.ts"
import { checkInvariants } from "../invariants/invariants.ts"
import { type Instance, startInstance } from "../support/Instance.ts"
import { availableDatabases, databaseOn, gateKey, query, type RedisServer, startRedis } from "../support/servers.ts"

const kind = availableDatabases()[0]!

const defer = deferral()

/** On a slow machine too, the test has to find out what became of the coupons. */
const calm = { ...impatient, LATENCY_TARGET: "1s", AUDIT_INTERVAL: "300 millis" }

const freshDatabase = async () => {
  const database = await databaseOn(kind)
  defer(database.drop)
  return database.url
}

const freshRedis = async (...args: ReadonlyArray<string>) => {
  const redis = await startRedis({ args })
  defer(redis.stop)
  return redis
}

const keysIn = async (url: string): Promise<ReadonlyArray<string>> => {
  const client = new Redis(url)
  try {
    // The board of the instances is no campaign's.
    return (await client.keys("*")).filter((key) => !key.includes("{instances}")).sort()
  } finally {
    client.disconnect()
  }
}

/** Users from `first` to `last`, each once, and few at a time: the test is about coupons, not about load. */
const claimAll = async (load: LoadGenerator, url: string, campaignId: number, first: number, last: number) => {
  const wishes = Array.from({ length: last - first + 1 }, (_, k) => ({ campaignId, userId: first + k }))
  const from = load.history.length
  await load.claimAll([url], wishes, 10)
  return tally(load.history.slice(from))
}

const settled = (databaseUrl: string) =>
  expect.poll(async () => query(databaseUrl, "SELECT * FROM outbox WHERE kind <> 'VOID'"), { timeout: 20_000 }).toEqual(
    []
  )

/**
 * Two deployments, each with a ledger of its own, in one Redis. The first one's campaign 1 is sold out to users 1 to
 * 50.
 */
const twoDeployments = async (env: Readonly<Record<string, string>> = {}) => {
  const redis = await freshRedis()
  const [staging, production] = [await freshDatabase(), await freshDatabase()]
  const start = (databaseUrl: string) =>
    startFor(defer, { ...calm, ...env, MYSQL_URL: databaseUrl, REDIS_URL: redis.url })
  const [one, two] = await Promise.all([start(staging), start(production)])
  const [load, others] = [loadFor(defer), loadFor(defer)]
  expect(await load.openCampaign(one.url, 50)).toBe(1)
  expect(await claimAll(load, one.url, 1, 1, 50)).toEqual({ OK: 50 })
  expect(await claimAll(load, one.url, 1, 51, 60)).toEqual({ COUPON_SOLD_OUT: 10 })
  await settled(staging)
  const keys = await keysIn(redis.url)
  expect(await others.openCampaign(two.url, 300)).toBe(1)
  return { redis, staging, production, one, two, load, others, keys }
}

describe("two deployments on one Redis", () => {
  it("know nothing of each other", async () => {
    const { keys, load, one, others, production, redis, staging, two } = await twoDeployments()
    expect(await claimAll(others, two.url, 1, 1, 150)).toEqual({ OK: 150 })
    expect(await claimAll(load, one.url, 1, 61, 90)).toEqual({ COUPON_SOLD_OUT: 30 })
    expect(await claimAll(others, two.url, 1, 151, 310)).toMatchObject({ OK: 150, COUPON_SOLD_OUT: 10 })
    await settled(production)
    expect(keys.every((key) => /^coupon:[0-9a-f]{16}:\{c1\}:[mipe]$/.test(key))).toBe(true)
    expect((await keysIn(redis.url)).filter((key) => !keys.includes(key))).toEqual(
      expect.arrayContaining([await gateKey(production, 1, "m")])
    )
    for (const { logs } of [one, two]) expect(logs()).not.toMatch(/disagrees|belong to another|no owner/)
    await checkInvariants({ databaseUrl: staging, redisUrl: redis.url }, load.history)
    await checkInvariants({ databaseUrl: production, redisUrl: redis.url }, others.history)
  })

  it("do not share keys where both have the same prefix: one goes without a gate and logs it", async () => {
    const { keys, load, one, others, production, redis, staging, two } = await twoDeployments({
      REDIS_KEY_PREFIX: "shop:",
      COLD_WAIT: "200ms"
    })
    expect(keys).toEqual(["shop:{c1}:e", "shop:{c1}:i", "shop:{c1}:m"])
    expect(await claimAll(others, two.url, 1, 1, 150)).toEqual({ OK: 150 })
    expect(await claimAll(others, two.url, 1, 151, 310)).toEqual({ OK: 150, COUPON_SOLD_OUT: 10 })
    expect(await claimAll(others, two.url, 1, 1, 5)).toEqual({ COUPON_ALREADY_CLAIMED: 5 })
    expect(await claimAll(load, one.url, 1, 41, 70)).toEqual({ COUPON_ALREADY_CLAIMED: 10, COUPON_SOLD_OUT: 20 })
    // Its events wait for nothing, its campaigns of other numbers have gates, and the other one's keys hold what they
    // held.
    await settled(production)
    expect(await others.openCampaign(two.url, 20)).toBe(2)
    expect(await claimAll(others, two.url, 2, 1, 30)).toEqual({ OK: 20, COUPON_SOLD_OUT: 10 })
    await settled(production)
    expect(await redis.command("SCARD", "shop:{c2}:i")).toBe(":21")
    expect(await redis.command("SCARD", "shop:{c1}:i")).toBe(":51")
    expect(two.logs().match(/belong to another deployment/g)).toHaveLength(1)
    expect(one.logs()).not.toMatch(/disagrees|belong to another|no owner/)
    await expect.poll(async () => await (await fetch(`${two.url}/metrics`)).text()).toMatch(
      /^coupon_audits_total\{verdict="Foreign"\} [1-9]/m
    )
    for (const databaseUrl of [staging, production]) {
      await checkInvariants({ databaseUrl }, (databaseUrl === staging ? load : others).history)
    }
  })
})

describe("a new ledger beside the Redis of a former one", () => {
  it("begins anew", async () => {
    const redis = await freshRedis()
    const [former, fresh] = [await freshDatabase(), await freshDatabase()]
    const load = loadFor(defer)
    const one = await startFor(defer, { ...calm, MYSQL_URL: former, REDIS_URL: redis.url })
    // As an instance of the version before has it: names without a prefix, and no owner.
    await query(former, "UPDATE deployment SET redis_key_prefix = ''")
    await one.stop()
    const again = await startFor(defer, { ...calm, MYSQL_URL: former, REDIS_URL: redis.url })
    const campaignId = await load.openCampaign(again.url, 10)
    expect(await claimAll(load, again.url, campaignId, 1, 10)).toEqual({ OK: 10 })
    expect(await claimAll(load, again.url, campaignId, 11, 20)).toEqual({ COUPON_SOLD_OUT: 10 })
    await settled(former)
    await again.stop()
    const keys = await keysIn(redis.url)
    expect(keys).toContain("{c1}:m")
    await redis.command("HDEL", "{c1}:m", "deployment")

    const others = loadFor(defer)
    const two = await startFor(defer, { ...calm, MYSQL_URL: fresh, REDIS_URL: redis.url })
    expect(await others.openCampaign(two.url, 10)).toBe(campaignId)
    expect(await claimAll(others, two.url, campaignId, 5, 14)).toEqual({ OK: 10 })
    expect(await claimAll(others, two.url, campaignId, 1, 4)).toEqual({ COUPON_SOLD_OUT: 4 })
    await settled(fresh)
    expect(two.logs()).not.toMatch(/disagrees/)
    await checkInvariants({ databaseUrl: fresh, redisUrl: redis.url }, others.history)

    // The former one comes back, and finds what it left.
    const back = await startFor(defer, { ...calm, MYSQL_URL: former, REDIS_URL: redis.url })
    expect(await claimAll(load, back.url, campaignId, 1, 12)).toEqual({
      COUPON_ALREADY_CLAIMED: 10,
      COUPON_SOLD_OUT: 2
    })
    expect(back.logs()).toContain("took over a gate without an owner")
    expect(back.logs()).not.toMatch(/rebuilt the gate|disagrees/)
  })
})

describe("a Redis that answers what is no answer", () => {
  it("counts as down: claims go on, and the log says it once", async () => {
    const redis = await freshRedis("--rename-command", "EVALSHA", "")
    const databaseUrl = await freshDatabase()
    const instance = await startFor(defer, { ...calm, MYSQL_URL: databaseUrl, REDIS_URL: redis.url })
    const load = loadFor(defer)
    const campaignId = await load.openCampaign(instance.url, 30)
    for (let k = 0; k < 4; k++) {
      expect(await claimAll(load, instance.url, campaignId, 10 * k + 1, 10 * k + 10)).toEqual(
        k < 3 ? { OK: 10 } : { COUPON_SOLD_OUT: 10 }
      )
    }
    expect(await claimAll(load, instance.url, campaignId, 1, 5)).toEqual({ COUPON_ALREADY_CLAIMED: 5 })
    expect(instance.logs().match(/Redis answers with an error[^\n]*unknown command/g)).toHaveLength(1)
  })
})

describe("a key of a campaign that has another type", () => {
  let redis: RedisServer
  let database: Awaited<ReturnType<typeof databaseOn>>
  let instance: Instance
  let load: LoadGenerator
  beforeAll(async () => {
    ;[redis, database] = await Promise.all([startRedis(), databaseOn(kind)])
    instance = await startInstance({ ...calm, MYSQL_URL: database.url, REDIS_URL: redis.url })
    load = makeLoad()
  })
  afterAll(async () => {
    ;(load as LoadGenerator | undefined)?.close()
    await (instance as Instance | undefined)?.kill()
    await redis.stop()
    await database.drop()
  })

  it.each(["m", "i", "p", "e"])("counts as a gate that is down, and claims go on: key %s", async (part) => {
    const databaseUrl = database.url
    const [campaignId, healthy] = [await load.openCampaign(instance.url, 40), await load.openCampaign(instance.url, 40)]
    expect(await claimAll(load, instance.url, campaignId, 1, 10)).toEqual({ OK: 10 })
    await settled(databaseUrl)
    const before = instance.logs().length
    await redis.command("SET", await gateKey(databaseUrl, campaignId, part), "of another program")
    expect(await claimAll(load, instance.url, campaignId, 6, 20)).toEqual({ OK: 10, COUPON_ALREADY_CLAIMED: 5 })
    expect(await claimAll(load, instance.url, healthy, 1, 40)).toEqual({ OK: 40 })
    await settled(databaseUrl)
    await expect.poll(() => instance.logs().slice(before)).toContain("the gate disagrees with the ledger: Broken")
    await expect.poll(async () => redis.command("SCARD", await gateKey(databaseUrl, campaignId, "i"))).toBe(":21")
    expect(await claimAll(load, instance.url, campaignId, 21, 45)).toEqual({ OK: 20, COUPON_SOLD_OUT: 5 })
    await settled(databaseUrl)
    await checkInvariants({ databaseUrl, redisUrl: redis.url }, load.history)
  })
})
