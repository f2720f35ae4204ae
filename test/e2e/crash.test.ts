import * as MySql from "mysql2/promise"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { checkInvariants } from "../invariants/invariants.ts"
import { startProxy } from "../support/FaultProxy.ts"
import { isGroupCommit } from "../support/groupCommit.ts"
import { inLongProfile } from "../support/profile.ts"
import {
  gateKey,
  privateDatabases,
  startDatabase,
  startRedis,
  type DatabaseKind,
  type DatabaseServer,
  type PrivateServer,
  type RedisServer
} from "../support/servers.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import { makeLoad, newcomers, tally, type LoadGenerator } from "./load.ts"
import {
  clock,
  codeInLedger,
  deferral,
  fillUp,
  freshDatabase,
  impatient,
  loadFor,
  patient,
  since,
  startFor
} from "./scenario.ts"

/** What happens in a crash must be the same on either server. */
const suite = (kind: DatabaseKind): void => {
  describe(`a crash, on ${kind} and Redis`, () => {
    const defer = deferral()
    let server: DatabaseServer
    // What all tests share but those that take Redis or the database away: an instance that nothing happens to, and
    // everything that clients received.
    let redis: RedisServer
    let databaseUrl: string
    let witness: Instance
    let load: LoadGenerator
    beforeAll(async () => {
      ;[server, redis] = await Promise.all([startDatabase(kind), startRedis()])
      databaseUrl = await freshDatabase(server.url)
      witness = await startInstance({ ...impatient, MYSQL_URL: databaseUrl, REDIS_URL: redis.url })
      load = makeLoad()
    })
    afterAll(async () => {
      ;(load as LoadGenerator | undefined)?.close()
      await (witness as Instance | undefined)?.kill()
      await Promise.all([redis, server].map((one: PrivateServer | undefined) => one?.stop()))
    })

    const stores = async () => {
      const own = await startRedis()
      defer(own.stop)
      return { redis: own, databaseUrl: await freshDatabase(server.url), redisUrl: own.url }
    }

    /** The witness, and a victim with settings of its own, which reaches its database through a proxy. */
    const pair = async (env: Readonly<Record<string, string>> = {}) => {
      const proxy = await startProxy(server.port)
      defer(proxy.stop)
      const victim = await startFor(defer, { MYSQL_URL: proxy.url(databaseUrl), REDIS_URL: redis.url, ...env })
      /** Fills the campaign through these instances and checks everything. */
      const conclude = async (campaignId: number, urls = [witness.url]) => {
        await fillUp(load, () => urls, [campaignId], 5)
        await checkInvariants({ databaseUrl, redisUrl: redis.url }, load.history)
      }
      return { proxy, victim, conclude }
    }

    /** Two instances under the load of ever new users on two campaigns, which are filled and checked at the end. */
    const crowd = async () => {
      const { databaseUrl, redis, redisUrl } = await stores()
      const env = { MYSQL_URL: databaseUrl, REDIS_URL: redisUrl }
      const instances = await Promise.all([startFor(defer, env), startFor(defer, env)])
      const urls = () => instances.map(({ url }) => url)
      const load = loadFor(defer)
      const campaignIds = await Promise.all([
        load.openCampaign(urls()[0]!, 1_000),
        load.openCampaign(urls()[1]!, 700)
      ])
      const running = load.keepClaiming(urls, newcomers(campaignIds, 1), 12)
      defer(running.stop)
      /** Waits for that many OK that were asked for from now on. */
      const moreOk = async (count: number) => {
        const from = clock()
        await expect.poll(() => since(load.history, from).filter(({ outcome }) => outcome === "OK").length)
          .toBeGreaterThanOrEqual(count)
      }
      const conclude = async () => {
        await running.stop()
        await fillUp(load, urls, campaignIds)
        await checkInvariants({ databaseUrl, redisUrl }, load.history)
      }
      return { redis, instances, load, moreOk, conclude }
    }

    it("of an instance between reserve and commit loses neither the user's coupon nor a slot", async () => {
      const { conclude, proxy, victim } = await pair(patient)
      const campaignId = await load.openCampaign(witness.url, 4)
      const holding = proxy.holdRequests(isGroupCommit)
      const first = load.claim(victim.url, { campaignId, userId: 1 })
      const held = await holding
      // Behind a batch that is under way, two more have a slot and no transaction yet; one of them never asks again.
      const behind = [
        load.claim(victim.url, { campaignId, userId: 2 }),
        load.claim(victim.url, { campaignId, userId: 3 })
      ]
      await expect.poll(async () => redis.command("HLEN", await gateKey(databaseUrl, campaignId, "p"))).toBe(":3")
      await victim.kill()
      held.drop()
      expect(tally([await first, ...await Promise.all(behind)])).toEqual({ NO_ANSWER: 3 })
      for (const userId of [1, 2]) {
        expect(await load.insist(() => [witness.url], { campaignId, userId })).toMatchObject({ outcome: "OK" })
      }
      await conclude(campaignId)
    })

    it("of an instance between commit and reply leaves the user with the coupon that was committed", async () => {
      const { conclude, proxy, victim } = await pair(patient)
      const campaignId = await load.openCampaign(witness.url, 3)
      const wish = { campaignId, userId: 1 }
      const holding = proxy.holdReplies(isGroupCommit)
      const lost = load.claim(victim.url, wish)
      const held = await holding
      // The first bytes of the reply may come before the commit.
      await expect.poll(() => codeInLedger(databaseUrl, wish)).toBeDefined()
      await victim.kill()
      held.drop()
      expect(await lost).toMatchObject({ outcome: "NO_ANSWER" })
      expect(await load.insist(() => [witness.url], wish))
        .toMatchObject({ outcome: "COUPON_ALREADY_CLAIMED", code: await codeInLedger(databaseUrl, wish) })
      await conclude(campaignId)
    })

    it.each(["cut", "silent"])("of the connection (%s) after the commit ends in OK", async (how) => {
      // Time enough to ask what became of it.
      const settings = { REQUEST_TIMEOUT: "8s", RESERVATION_TIMEOUT: "10s" }
      const { conclude, proxy, victim } = await pair(settings)
      const campaignId = await load.openCampaign(witness.url, 3)
      const wish = { campaignId, userId: 1 }
      const holding = proxy.holdReplies(isGroupCommit)
      const claimed = load.claim(victim.url, wish)
      const held = await holding
      await expect.poll(() => codeInLedger(databaseUrl, wish)).toBeDefined()
      if (how === "cut") held.drop()
      expect(await claimed).toMatchObject({ outcome: "OK", code: await codeInLedger(databaseUrl, wish) })
      if (how === "silent") held.release()
      await conclude(campaignId, [victim.url, witness.url])
    })

    it("of the connection before the commit ends in UNAVAILABLE, and what arrives too late is void", async () => {
      const { conclude, proxy, victim } = await pair(patient)
      const campaignId = await load.openCampaign(witness.url, 3)
      const wish = { campaignId, userId: 1 }
      const holding = proxy.holdRequests(isGroupCommit)
      const claimed = load.claim(victim.url, wish)
      const held = await holding
      held.drop()
      expect(await claimed).toMatchObject({ outcome: "UNAVAILABLE" })

      // The network delivers the dead connection's batch after all: one packet, whose text follows a header of a few
      // bytes.
      expect(held.bytes.readUIntLE(0, 3)).toBe(held.bytes.length - 4)
      const zombie = await MySql.createConnection({ uri: databaseUrl, multipleStatements: true })
      defer(() => zombie.end())
      const text = held.bytes.subarray(held.bytes.indexOf("CALL")).toString()
      await expect(zombie.query(text)).rejects.toMatchObject({ code: "ER_DUP_ENTRY" })
      await zombie.query("ROLLBACK")
      expect(await codeInLedger(databaseUrl, wish)).toBeUndefined()

      expect(await load.insist(() => [victim.url], wish)).toMatchObject({ outcome: "OK" })
      await conclude(campaignId, [victim.url, witness.url])
    })

    it("of the connection while the database stays away ends in OUTCOME_UNKNOWN, and asking again tells", async () => {
      const { conclude, proxy, victim } = await pair({ ...patient, REQUEST_TIMEOUT: "5 seconds" })
      const campaignId = await load.openCampaign(witness.url, 3)
      const wish = { campaignId, userId: 1 }
      const holding = proxy.holdReplies(isGroupCommit)
      const claimed = load.claim(victim.url, wish)
      const held = await holding
      await expect.poll(() => codeInLedger(databaseUrl, wish)).toBeDefined()
      proxy.refuse()
      proxy.cut()
      held.drop()
      expect(await claimed).toMatchObject({ outcome: "OUTCOME_UNKNOWN" })
      proxy.accept()
      expect(await load.insist(() => [victim.url], wish))
        .toMatchObject({ outcome: "COUPON_ALREADY_CLAIMED", code: await codeInLedger(databaseUrl, wish) })
      await conclude(campaignId, [victim.url, witness.url])
    })

    it("that is only a long pause exceeds no limit, though the batch arrives when the campaign is full", async () => {
      const { conclude, proxy, victim } = await pair()
      const campaignId = await load.openCampaign(witness.url, 3)
      const holding = proxy.holdRequests(isGroupCommit)
      const late = load.claim(victim.url, { campaignId, userId: 1 })
      const held = await holding
      victim.pause()
      // Its slot expires, and others take all there are.
      await expect.poll(async () => redis.command("HLEN", await gateKey(databaseUrl, campaignId, "p"))).toBe(":0")
      await fillUp(load, () => [witness.url], [campaignId], 2)
      held.release()
      victim.resume()
      // Which one depends on what it notices first when it wakes: the answer, the silence before it, or its own
      // deadline.
      expect(["COUPON_SOLD_OUT", "UNAVAILABLE", "OUTCOME_UNKNOWN"]).toContain((await late).outcome)
      expect(await codeInLedger(databaseUrl, { campaignId, userId: 1 })).toBeUndefined()
      await conclude(campaignId, [victim.url, witness.url])
    })

    it("is not what SIGTERM is: everything admitted is answered, and the exit code is 0", async () => {
      const { conclude, proxy, victim } = await pair(patient)
      const campaignId = await load.openCampaign(witness.url, 100)
      const holding = proxy.holdRequests(isGroupCommit)
      const claims = Array.from({ length: 60 }, (_, k) => load.claim(victim.url, { campaignId, userId: k + 1 }))
      const held = await holding
      await expect.poll(async () => redis.command("HLEN", await gateKey(databaseUrl, campaignId, "p"))).toBe(":60")
      const stopped = victim.stop()
      await expect.poll(() => victim.logs()).toContain("stopping")
      held.release()
      expect(tally(await Promise.all(claims))).toEqual({ OK: 60 })
      expect(await stopped).toBe(0)
      await conclude(campaignId)
    })

    it("is not what SIGTERM is, also when the database answers no more: the exit code is 0, in time", async () => {
      const settings = { ...patient, MYSQL_REPLY_TIMEOUT: "1 second", SHUTDOWN_TIMEOUT: "4 seconds" }
      const { conclude, proxy, victim } = await pair(settings)
      const campaignId = await load.openCampaign(witness.url, 5)
      const holding = proxy.holdReplies(isGroupCommit)
      const claimed = load.claim(victim.url, { campaignId, userId: 1 })
      const held = await holding
      // What became of the commit cannot be asked either.
      proxy.delay(3_600_000)
      const code = await victim.stop()
      expect(code, victim.logs()).toBe(0)
      expect(victim.logs()).toContain("left with unsettled work")
      expect(await claimed).toMatchObject({ outcome: "NO_ANSWER" })
      held.drop()
      proxy.delay(0)
      await conclude(campaignId)
    })

    it("of Redis's memory (FLUSHALL, three times) under load costs no user anything", async () => {
      const { conclude, load, moreOk, redis } = await crowd()
      for (let time = 0; time < 3; time++) {
        await moreOk(100)
        await redis.flushAll()
      }
      await moreOk(100)
      await conclude()
      expect(tally(load.history)["COUPON_ALREADY_CLAIMED"]).toBeUndefined()
    })

    it("of Redis under load leaves the ledger to decide alone, until an empty Redis comes back", async () => {
      const { conclude, moreOk, redis } = await crowd()
      await moreOk(100)
      await redis.kill()
      await moreOk(100)
      await redis.restart()
      await moreOk(100)
      await conclude()
    })

    it("of the database under load loses no acknowledged coupon, and the service recovers by itself", async () => {
      const { conclude, load, moreOk } = await crowd()
      await moreOk(100)
      const killedAt = clock()
      await server.kill()
      await expect.poll(() => since(load.history, killedAt).some(({ outcome }) => outcome === "UNAVAILABLE")).toBe(true)
      await server.restart()
      await moreOk(100)
      await conclude()
    })
  })
}

// A real MySQL where there is one: it is what production runs on.
for (const kind of inLongProfile(privateDatabases(), privateDatabases().slice(-1))) suite(kind)
