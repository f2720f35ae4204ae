import { describe, expect, it } from "vitest"
import { checkInvariants } from "../invariants/invariants.ts"
import { startProxy } from "../support/FaultProxy.ts"
import { availableDatabases, databaseOn, privateDatabases, startDatabase, startRedis } from "../support/servers.ts"
import { tally } from "./load.ts"
import { deferral, loadFor, startFor } from "./scenario.ts"

const [kind] = privateDatabases()

describe("starting", () => {
  const defer = deferral()

  const ask = async (url: string) => {
    const reply = await fetch(`${url}/coupon.v1.CouponService/IssueCoupon`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ campaignId: 1, userId: 1 })
    })
    return { status: reply.status, retryAfter: reply.headers.get("retry-after"), body: await reply.json() as unknown }
  }
  const unavailable = {
    status: 503,
    retryAfter: expect.stringMatching(/^[1-9]\d*$/),
    body: { code: "unavailable", message: "UNAVAILABLE" }
  }
  const status = async (url: string) => (await fetch(url)).status

  it("without its stores, it says which one it waits for, answers UNAVAILABLE, and recovers by itself", async () => {
    const [database, redis] = await Promise.all([startDatabase(kind!), startRedis()])
    defer(database.stop)
    defer(redis.stop)
    await Promise.all([database.kill(), redis.kill()])
    const instance = await startFor(defer, { MYSQL_URL: database.url, REDIS_URL: redis.url }, { ready: false })
    await expect.poll(() => instance.logs()).toContain(`waiting for MySQL at 127.0.0.1:${database.port}`)
    await expect.poll(() => instance.logs()).toMatch(
      new RegExp(`(waiting for|cannot reach) Redis at 127.0.0.1:${redis.port}`)
    )
    expect(await ask(instance.url)).toEqual(unavailable)
    expect([await status(`${instance.url}/livez`), await status(`${instance.url}/readyz`)]).toEqual([200, 503])
    const waitingFor = async () => {
      const reply = await fetch(`${instance.url}/readyz`)
      return (await reply.json() as { readonly waitingFor: Array<string> }).waitingFor.sort()
    }
    expect(await waitingFor()).toEqual([`MySQL at 127.0.0.1:${database.port}`, `Redis at 127.0.0.1:${redis.port}`])

    await redis.restart()
    await expect.poll(waitingFor).toEqual([`MySQL at 127.0.0.1:${database.port}`])
    expect(await ask(instance.url)).toEqual(unavailable)

    await database.restart()
    await expect.poll(() => status(`${instance.url}/readyz`)).toBe(200)
    expect((await ask(instance.url)).body).toEqual({ code: "not_found", message: "RECORD_NOT_FOUND" })
    const load = loadFor(defer)
    const campaignId = await load.openCampaign(instance.url, 5)
    expect(await load.claim(instance.url, { campaignId, userId: 1 })).toMatchObject({ outcome: "OK" })
    expect(instance.logs()).not.toContain(":coupon@")
    await checkInvariants({ databaseUrl: database.url, redisUrl: redis.url }, load.history)
  })

  it("waits for a ledger, too, that goes away after it was reached and before the API keys were read", async () => {
    const [database, redis] = await Promise.all([databaseOn(availableDatabases()[0]!), startRedis()])
    defer(database.drop)
    defer(redis.stop)
    const proxy = await startProxy(Number(new URL(database.url).port))
    defer(proxy.stop)
    const reading = proxy.holdRequests((bytes) => bytes.includes("JOIN api_keys"))
    const instance = await startFor(defer, { MYSQL_URL: proxy.url(database.url), REDIS_URL: redis.url }, {
      ready: false
    })
    const held = await reading
    proxy.refuse()
    proxy.cut()
    held.drop()
    await expect.poll(() => instance.logs()).toContain("waiting for the API keys in the ledger: ")
    expect(await (await fetch(`${instance.url}/readyz`)).json()).toMatchObject({
      waitingFor: ["the API keys in the ledger"]
    })
    expect(await ask(instance.url)).toEqual(unavailable)

    proxy.accept()
    await expect.poll(() => status(`${instance.url}/readyz`)).toBe(200)
    expect(instance.logs()).toContain("ADMINISTRATION IS OPEN")
    expect((await ask(instance.url)).body).toEqual({ code: "not_found", message: "RECORD_NOT_FOUND" })
  })

  it("of several instances on an empty database migrates it once, and all of them serve", async () => {
    const [database, redis] = await Promise.all([databaseOn(availableDatabases()[0]!), startRedis()])
    defer(database.drop)
    defer(redis.stop)
    const env = { MYSQL_URL: database.url, REDIS_URL: redis.url }
    const instances = await Promise.all([1, 2, 3].map(() => startFor(defer, env)))
    const load = loadFor(defer)
    const campaignId = await load.openCampaign(instances[0]!.url, 5)
    const attempts = await Promise.all(instances.map(({ url }, k) => load.claim(url, { campaignId, userId: k + 1 })))
    expect(tally(attempts)).toEqual({ OK: 3 })
    await checkInvariants({ databaseUrl: database.url, redisUrl: redis.url }, load.history)
  })
})
