import { randomBytes } from "node:crypto"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { newcomers, tally, type LoadGenerator } from "../e2e/load.ts"
import { clock, codeInLedger, deferral, fillUp, loadFor, since, startFor } from "../e2e/scenario.ts"
import { startEventReaders, webhookSettings } from "../faults/events/EventReaders.ts"
import { checkInvariants } from "../invariants/invariants.ts"
import { startProxy } from "../support/FaultProxy.ts"
import { isGroupCommit } from "../support/groupCommit.ts"
import { query, startRedis } from "../support/privateServers.ts"
import { groupMissing, startGroup, type Member, type MySqlGroup } from "./mysqlGroup.ts"
import { eventually, silence } from "./topologies.ts"

/** What clients may receive while the primary is away. */
const PATIENT = ["OK", "OVERLOADED", "UNAVAILABLE", "OUTCOME_UNKNOWN", "DEADLINE_EXCEEDED", "COUPON_ALREADY_CLAIMED"]

const suite = () => {
  let group: MySqlGroup
  beforeAll(async () => {
    group = await startGroup()
  }, 300_000)
  afterAll(() => (group as MySqlGroup | undefined)?.stop())

  const defer = deferral()

  /**
   * Two instances and users who never stop, on a database of the group, with webhooks and watches; ends with all
   * invariants checked at the primary.
   */
  const scene = async () => {
    const name = `coupon_${randomBytes(4).toString("hex")}`
    await query((await group.primary()).server.url, `CREATE DATABASE ${name}`)
    const redis = await startRedis()
    defer(redis.stop)
    const env = {
      ...webhookSettings,
      MYSQL_URL: group.url(name),
      REDIS_URL: redis.url,
      MYSQL_REPLY_TIMEOUT: "2 seconds"
    }
    const instances = await Promise.all([1, 2].map(() => startFor(defer, env)))
    const urls = () => instances.map(({ url }) => url)
    const load = loadFor(defer)
    const campaignIds = [await load.openCampaign(urls()[0]!, 1_000_000), await load.openCampaign(urls()[1]!, 1_000_000)]
    const databaseUrl = ({ server }: Member) => server.url.replace(/coupon$/, name)
    const primaryUrl = async () => databaseUrl(await group.primary())
    const readers = await startEventReaders({ databaseUrl: primaryUrl, urls }, campaignIds, [], 1)
    defer(readers.stop)
    const users = load.keepClaiming(urls, newcomers(campaignIds, 1), 30)
    defer(users.stop)
    return {
      load,
      name,
      databaseUrl,
      env,
      /** Waits for so many claims that are asked for from now on and answered OK. */
      moreOk: (count: number) => {
        const from = clock()
        return eventually(
          `${count} coupons more`,
          () => tally(since(load.history, from))["OK"] ?? 0,
          (ok) => ok >= count,
          60_000
        )
      },
      logs: () => instances.map(({ logs }) => logs()).join(""),
      conclude: async () => {
        await users.stop()
        // Webhooks and watches have lost nothing and skipped nothing.
        expect(await readers.violations(60_000)).toEqual([])
        const small = await load.openCampaign(urls()[0]!, 50)
        await fillUp(load, urls, [small])
        await checkInvariants({ databaseUrl: await primaryUrl(), redisUrl: redis.url }, load.history)
        const outcomes = Object.keys(tally(load.history)).filter((outcome) => outcome !== "COUPON_SOLD_OUT")
        expect(PATIENT).toEqual(expect.arrayContaining(outcomes))
      }
    }
  }

  const report = (what: string, load: LoadGenerator, from: number) => {
    const outcomes = JSON.stringify(tally(since(load.history, from)))
    console.log(`${what}: ${silence(load.history, from)} ms without a coupon; answers ${outcomes}`)
  }

  describe("MySQL Group Replication", () => {
    it("is followed when its primary is killed under load; a server outside the group gets no write", async () => {
      const { conclude, load, moreOk } = await scene()
      await moreOk(300)
      const victim = await group.primary()
      const killedAt = clock()
      await victim.server.kill()
      // It takes writes, sees no group, and is at an address that the service has just written to.
      await victim.server.restart()
      await eventually("another primary", group.primary, (member) => member !== victim, 60_000)
      await moreOk(300)
      report("primary killed", load, killedAt)
      expect(await group.isSubset(victim)).toBe(true)
      await group.join(victim)
      await moreOk(300)
      await conclude()
    })

    it("is followed when another primary is chosen in good order", async () => {
      const { conclude, load, moreOk } = await scene()
      await moreOk(300)
      const before = await group.primary()
      const heir = group.members.find((member) => member !== before)!
      const at = clock()
      await query(before.server.url, `SELECT group_replication_set_as_primary('${heir.uuid}')`)
      await moreOk(500)
      report("primary moved", load, at)
      expect((await group.primary()).uuid).toBe(heir.uuid)
      await conclude()
    })

    it("is followed when the primary freezes; what that server still does when it wakes has no effect", async () => {
      const { conclude, load, moreOk } = await scene()
      await moreOk(300)
      const victim = await group.primary()
      const at = clock()
      victim.server.pause()
      await eventually("another primary", group.primary, (member) => member !== victim, 60_000)
      await moreOk(300)
      report("primary frozen", load, at)
      victim.server.resume()
      await moreOk(300)
      expect(await group.isSubset(victim)).toBe(true)
      await group.join(victim)
      await conclude()
    })

    it("is not believed in a minority: a primary that is cut off answers no batch in doubt", async () => {
      const { conclude, load, logs, moreOk } = await scene()
      await moreOk(300)
      const victim = await group.primary()
      const others = group.members.filter((member) => member !== victim)
      const at = clock()
      for (const { server } of others) server.pause()
      // Its commits wait for a majority, and the service for its answers: no claim gets a definite answer.
      await eventually("a commit in doubt", logs, (text) => text.includes("a commit is in doubt"))
      const OWN =
        "SELECT member_state AS state FROM performance_schema.replication_group_members WHERE member_id = @@server_uuid"
      await eventually(
        "the primary that gives up",
        () => query(victim.server.url, OWN),
        ([row]) => row?.["state"] === "ERROR",
        60_000
      )
      for (const { server } of others) server.resume()
      await eventually("another primary", group.primary, (member) => member !== victim, 60_000)
      await moreOk(300)
      report("primary in a minority", load, at)
      await eventually("an answer to every doubt", logs, (text) =>
        text.split("a commit is in doubt").length === text.split("the commit in doubt is resolved").length)
      expect(await group.isSubset(victim)).toBe(true)
      await group.join(victim)
      await conclude()
    })

    it("resolves a commit whose reply died with its primary at the next one", async () => {
      const { conclude, databaseUrl, env, load, moreOk, name } = await scene()
      await moreOk(100)
      const proxies = await Promise.all(group.members.map(({ server }) => startProxy(server.port)))
      for (const proxy of proxies) defer(proxy.stop)
      const behind = `mysql://coupon:coupon@${proxies.map(({ port }) => `127.0.0.1:${port}`).join(",")}/${name}`
      const instance = await startFor(defer, { ...env, MYSQL_URL: behind })
      const campaignId = await load.openCampaign(instance.url, 10)
      const victim = await group.primary()
      const holding = proxies[group.members.indexOf(victim)]!.holdReplies(isGroupCommit)
      const claimed = load.claim(instance.url, { campaignId, userId: 1 })
      const held = await holding
      await eventually(
        "a commit",
        () => codeInLedger(databaseUrl(victim), { campaignId, userId: 1 }),
        (code) => code !== undefined
      )
      await victim.server.kill()
      held.drop()
      await claimed
      const again = await load.insist(() => [instance.url], { campaignId, userId: 1 })
      expect(["OK", "COUPON_ALREADY_CLAIMED"]).toContain(again.outcome)
      expect(await codeInLedger(databaseUrl(await group.primary()), { campaignId, userId: 1 })).toBe(again.code)
      await victim.server.restart()
      await group.join(victim)
      await conclude()
    })
  })
}

const missing = groupMissing()
if (missing === undefined) suite()
else describe("MySQL Group Replication", () => it.skip(missing, () => {}))
