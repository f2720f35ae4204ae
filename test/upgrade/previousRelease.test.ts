import { execFileSync } from "node:child_process"
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest"
import { checkInvariants } from "../invariants/invariants.ts"
import { newcomers } from "../e2e/load.ts"
import { clock, deferral, fillUp, impatient, loadFor, since } from "../e2e/scenario.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { nodeProgram, startInstance, type Instance } from "../support/Instance.ts"
import { inLongProfile } from "../support/profile.ts"
import { availableDatabases, databaseOn, query, startRedis, type DatabaseKind } from "../support/servers.ts"
import { build, unavailable } from "./previousRelease.ts"

if (unavailable !== undefined) console.warn(`skipped: ${unavailable}`)

/** Whether a test can be had; one that cannot is counted as skipped, with the reason. */
const needsPrevious = (context: TestContext) => context.skip(unavailable !== undefined, unavailable)

describe("the previous release, on the schema of this one", () => {
  const defer = deferral()
  const directory = temporaryDirectory("previous")
  let previous: ReturnType<typeof build>
  beforeAll(() => {
    if (unavailable === undefined) previous = build(directory)
  })
  afterAll(() => removeDirectory(directory))

  /** Starts an instance of either version that ends with the test. */
  const start = async (version: "previous" | "this", env: Readonly<Record<string, string>>): Promise<Instance> => {
    const instance = await startInstance(
      { ...impatient, ...env },
      version === "this" ? {} : { program: previous("main") }
    )
    defer(() => instance.kill())
    return instance
  }

  const scene = () => {
    const load = loadFor(defer)
    const serving = new Set<Instance>()
    const urls = () => [...serving].map(({ url }) => url)
    /** Waits until each instance that serves has issued that many more. */
    const moreOk = async (count: number) => {
      const from = clock()
      await expect.poll(() => {
        const issued = since(load.history, from).filter(({ outcome }) => outcome === "OK")
        return Math.min(...urls().map((url) => issued.filter(({ instance }) => instance === url).length))
      }).toBeGreaterThanOrEqual(count)
    }
    return { load, serving, urls, moreOk }
  }

  /** Raises a campaign's limit through one instance. */
  const raise = async ({ url }: Instance, campaignId: number, couponLimit: number) => {
    const reply = await fetch(`${url}/coupon.v1.CouponService/UpdateCampaign`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ campaignId, couponLimit })
    })
    expect({ status: reply.status, body: await reply.json() }).toMatchObject({ status: 200 })
    return { campaignId, couponLimit, at: clock() }
  }

  const suite = (kind: DatabaseKind) => {
    describe(`in ${kind}, with Redis`, () => {
      const freshDatabase = async () => {
        const { drop, url } = await databaseOn(kind)
        defer(drop)
        return url
      }

      it("serves beside it under load, restarts after a crash, and serves alone after a roll-back", async (context) => {
        needsPrevious(context)
        const redis = await startRedis()
        defer(redis.stop)
        const databaseUrl = await freshDatabase()
        const env = { MYSQL_URL: databaseUrl, REDIS_URL: redis.url }
        const { load, moreOk, serving, urls } = scene()
        const old = await start("previous", env)
        serving.add(old)
        const campaignIds = [await load.openCampaign(old.url, 3_000), await load.openCampaign(old.url, 200)]
        const running = load.keepClaiming(urls, newcomers(campaignIds, 1), 20)
        defer(running.stop)
        await moreOk(50)

        // The upgrade: the first new instance migrates while the old one issues.
        const current = await start("this", env)
        serving.add(current)
        await moreOk(50)
        // It takes over the gate that the old one feeds: the keys stay, and no claim finds it cold.
        expect(current.logs()).toContain("took over a gate without an owner")
        expect(current.logs()).not.toMatch(/rebuilt the gate|disagrees|belong to another/)
        const metrics = await (await fetch(`${current.url}/metrics`)).text()
        expect(metrics).toMatch(/^coupon_gate_answers_total\{answer="Cold"\} 0$/m)
        const ids = (await query(databaseUrl, "SELECT id FROM schema_migrations")).map(({ id }) => Number(id))
        expect(Math.min(...ids)).toBeLessThan(0)

        // The old one dies in the middle of it, and is started again.
        serving.delete(old)
        await old.kill()
        const again = await start("previous", env)
        serving.add(again)
        await moreOk(50)
        expect(
          execFileSync(nodeProgram, [...previous("migrate")], {
            env: { ...env, PATH: process.env["PATH"] },
            encoding: "utf8"
          })
        )
          .toBe("the schema is current\n")

        // Rolled back: the new one leaves, and others of the old version come.
        serving.delete(current)
        expect(await current.stop()).toBe(0)
        serving.add(await start("previous", env))
        await moreOk(50)
        await running.stop()
        await fillUp(load, urls, campaignIds)
        await checkInvariants({ databaseUrl, redisUrl: redis.url }, load.history, { logsMayLag: true })

        // And upgraded again: what the old ones issued and settled is in the logs.
        await start("this", env)
        await checkInvariants({ databaseUrl, redisUrl: redis.url }, load.history)
      })

      it("and it see each other's changes of a campaign", async (context) => {
        needsPrevious(context)
        const redis = await startRedis()
        defer(redis.stop)
        const databaseUrl = await freshDatabase()
        // The previous one has its events in the gate, whatever the setting says.
        const env = { MYSQL_URL: databaseUrl, REDIS_URL: redis.url, EVENT_STREAM: "off" }
        const { load } = scene()
        const old = await start("previous", env)
        const campaignId = await load.openCampaign(old.url, 1)
        const current = await start("this", env)
        let limit = 1
        for (const [changer, claimer] of [[current, old], [old, current]] as const) {
          expect(await load.claim(changer.url, { campaignId, userId: limit })).toMatchObject({ outcome: "OK" })
          expect(await load.claim(claimer.url, { campaignId, userId: 100 + limit })).toMatchObject({
            outcome: "COUPON_SOLD_OUT"
          })
          await raise(changer, campaignId, ++limit)
          expect(await load.claim(claimer.url, { campaignId, userId: limit })).toMatchObject({ outcome: "OK" })
          expect(await load.claim(changer.url, { campaignId, userId: limit })).toMatchObject({
            outcome: "COUPON_ALREADY_CLAIMED"
          })
          await raise(claimer, campaignId, ++limit)
        }
        // The gate has events of the previous one, which knows no setting against them.
        await checkInvariants({ databaseUrl }, undefined)
      })
    })
  }
  // Both kinds have the same migrations, and the previous one sends both the same statements.
  inLongProfile(availableDatabases(), availableDatabases().slice(-1)).forEach(suite)

  it("in the embedded file, takes turns with it", async (context) => {
    needsPrevious(context)
    const dataDir = temporaryDirectory("embedded")
    defer(() => removeDirectory(dataDir))
    const { load, moreOk, serving, urls } = scene()
    let campaignIds: ReadonlyArray<number> = []
    for (const [turn, version] of (["previous", "this", "previous", "this"] as const).entries()) {
      const instance = await start(version, { DATA_DIR: dataDir })
      if (turn === 0) campaignIds = [await load.openCampaign(instance.url, 1_000)]
      serving.add(instance)
      const running = load.keepClaiming(urls, newcomers(campaignIds, 1 + load.history.length), 20)
      defer(running.stop)
      await moreOk(50)
      await running.stop()
      if (turn === 3) await fillUp(load, urls, campaignIds)
      serving.delete(instance)
      expect(await instance.stop()).toBe(0)
      await checkInvariants({ dataDir }, load.history, { logsMayLag: version === "previous" })
    }
  })
})
