import { Redis } from "ioredis"
import { describe, expect, it } from "vitest"
import { availableDatabases, databaseOn } from "../support/servers.ts"
import { deferral, fillUp, loadFor, patient, since, startFor, clock } from "../e2e/scenario.ts"
import { newcomers, tally, type LoadGenerator } from "../e2e/load.ts"
import { checkInvariants } from "../invariants/invariants.ts"
import { eventually, startRedisCluster, startSentinels } from "./topologies.ts"

const kind = availableDatabases()[0]!

const defer = deferral()

const freshDatabase = async () => {
  const database = await databaseOn(kind)
  defer(database.drop)
  return database.url
}

/** More than a test hands out, however long a failover takes. */
const ENDLESS = 1_000_000

/** Who claim at a time, as long as a test goes on: enough that some are under way in each instance at any moment. */
const USERS = 12

/** Campaigns to be filled in the end, on several nodes of a cluster; some of their coupons are given away at once. */
const openSmall = async (load: LoadGenerator, url: string): Promise<ReadonlyArray<number>> => {
  const campaignIds: Array<number> = []
  for (let k = 0; k < 4; k++) campaignIds.push(await load.openCampaign(url, 40))
  await load.claimAll(
    [url],
    campaignIds.flatMap((campaignId) => Array.from({ length: 20 }, (_, user) => ({ campaignId, userId: user + 1 }))),
    20
  )
  return campaignIds
}

/** Waits for so many coupons more. */
const moreOk = async (load: LoadGenerator, count: number) => {
  const before = tally(load.history)["OK"] ?? 0
  await eventually(`${count} coupons more`, () => (tally(load.history)["OK"] ?? 0) - before, (more) => more >= count)
}

describe("Redis behind sentinels", () => {
  it("is followed to the replica that they promote, and a tail that it lost is found", async () => {
    const databaseUrl = await freshDatabase()
    const redis = await startSentinels()
    defer(redis.stop)
    const instances = await Promise.all(
      [1, 2].map(() => startFor(defer, { MYSQL_URL: databaseUrl, REDIS_URL: redis.servingUrl, ...patient }))
    )
    const urls = () => instances.map(({ url }) => url)
    const load = loadFor(defer)
    const campaignIds = [await load.openCampaign(urls()[0]!, ENDLESS), await load.openCampaign(urls()[1]!, ENDLESS)]
    const small = await openSmall(load, urls()[0]!)
    const users = load.keepClaiming(urls, newcomers(campaignIds, 1), USERS)
    defer(users.stop)
    await moreOk(load, 80)

    // What the primary confirms from now on reaches no replica.
    const [primary, ...replicas] = redis.servers
    for (const replica of replicas) replica.pause()
    await primary!.command("CLIENT", "KILL", "TYPE", "replica")
    await moreOk(load, 100)
    const killedAt = clock()
    await primary!.kill()
    for (const replica of replicas) replica.resume()
    await eventually("another primary", redis.primaryPort, (port) => port !== primary!.port)
    await moreOk(load, 100)
    for (const { logs } of instances) {
      await eventually("connected again", logs, (text) =>
        text.includes("reached Redis again"))
    }
    // The old primary comes back with nothing, and as a replica.
    await primary!.restart()
    await moreOk(load, 80)
    await users.stop()

    // The gate was away, not wrong: claims rejected meanwhile were answered with Retry-After.
    const outcomes = Object.keys(tally(since(load.history, killedAt)))
    expect(["OK", "OVERLOADED", "UNAVAILABLE", "DEADLINE_EXCEEDED"]).toEqual(expect.arrayContaining(outcomes))
    expect(instances.some(({ logs }) => logs().includes("the gate disagrees with the ledger: Lost"))).toBe(true)
    await fillUp(load, urls, small)
    await checkInvariants({ databaseUrl, redisUrl: redis.url }, load.history)
  })
})

/** The slot of a campaign's keys, by Redis itself. */
const slotOf = async (url: string, campaignId: number): Promise<number> => {
  const client = new Redis(url)
  try {
    // Whatever precedes the tag in braces does not count.
    return Number(await client.cluster("KEYSLOT", `{c${campaignId}}`))
  } finally {
    client.disconnect()
  }
}

const roleOf = async (url: string): Promise<string> => {
  const client = new Redis(url)
  try {
    return (await client.role())[0] as string
  } finally {
    client.disconnect()
  }
}

describe("a Redis cluster", () => {
  it("goes on issuing while a slot moves, while a node has lost its scripts, and while a node is down", async () => {
    const databaseUrl = await freshDatabase()
    const redis = await startRedisCluster()
    defer(redis.stop)
    const instances = await Promise.all(
      [1, 2].map(() => startFor(defer, { MYSQL_URL: databaseUrl, REDIS_URL: redis.servingUrl, ...patient }))
    )
    const urls = () => instances.map(({ url }) => url)
    const load = loadFor(defer)
    const campaignIds: Array<number> = []
    for (let k = 0; k < 4; k++) campaignIds.push(await load.openCampaign(urls()[k % 2]!, ENDLESS))
    const small = await openSmall(load, urls()[0]!)
    const users = load.keepClaiming(urls, newcomers(campaignIds, 1), USERS)
    defer(users.stop)
    await moreOk(load, 100)

    // There and back, with the script unknown at the target the second time.
    const slot = await slotOf(redis.nodes[0]!.url, campaignIds[0]!)
    const owner = await redis.ownerOf(slot)
    const other = redis.nodes.find((node) => node !== owner)!
    await redis.moveSlot(slot, other)
    expect((await redis.ownerOf(slot)).port).toBe(other.port)
    await moreOk(load, 100)
    for (const node of redis.nodes) await node.command("SCRIPT", "FLUSH")
    await redis.moveSlot(slot, owner)
    await moreOk(load, 100)

    // Its campaigns go to the ledger alone, the others do not notice; it comes back without its memory.
    const victim = await redis.ownerOf(await slotOf(redis.nodes[0]!.url, campaignIds[1]!))
    await victim.kill()
    await moreOk(load, 100)
    await victim.restart()
    await redis.inOrder()
    await moreOk(load, 100)
    await users.stop()

    const outcomes = Object.keys(tally(load.history))
    expect(["OK", "OVERLOADED", "UNAVAILABLE", "DEADLINE_EXCEEDED"]).toEqual(expect.arrayContaining(outcomes))
    await fillUp(load, urls, small)
    await checkInvariants({ databaseUrl, redisUrl: redis.url }, load.history)
  })

  it("is followed to a replica that it promotes, and a tail that it lost is found", async () => {
    const databaseUrl = await freshDatabase()
    const redis = await startRedisCluster({ replicas: true })
    defer(redis.stop)
    const instance = await startFor(defer, { MYSQL_URL: databaseUrl, REDIS_URL: redis.servingUrl, ...patient })
    const urls = () => [instance.url]
    const load = loadFor(defer)
    const campaignIds: Array<number> = []
    for (let k = 0; k < 3; k++) campaignIds.push(await load.openCampaign(instance.url, ENDLESS))
    const small = await openSmall(load, urls()[0]!)
    const users = load.keepClaiming(urls, newcomers(campaignIds, 1), USERS)
    defer(users.stop)
    await moreOk(load, 80)

    const victim = await redis.ownerOf(await slotOf(redis.nodes[0]!.url, campaignIds[0]!))
    const replica = redis.replicas[redis.nodes.indexOf(victim)]!
    replica.pause()
    await victim.command("CLIENT", "KILL", "TYPE", "replica")
    await moreOk(load, 100)
    const killedAt = clock()
    await victim.kill()
    replica.resume()
    await eventually("a promoted replica", () => roleOf(replica.url), (role) => role === "master")
    await eventually(
      "a rebuilt gate",
      instance.logs,
      (text) => text.includes("the gate disagrees with the ledger: Lost")
    )
    await moreOk(load, 100)
    await users.stop()

    const outcomes = Object.keys(tally(since(load.history, killedAt)))
    expect(["OK", "OVERLOADED", "UNAVAILABLE", "DEADLINE_EXCEEDED"]).toEqual(expect.arrayContaining(outcomes))
    await fillUp(load, urls, small)
    await checkInvariants({ databaseUrl, redisUrl: `redis+cluster://127.0.0.1:${replica.port}` }, load.history)
  })
})
