import * as Fs from "node:fs"
import { Redis } from "ioredis"
import { describe, expect, it } from "vitest"
import { deferral, loadFor, startFor } from "../e2e/scenario.ts"
import { availableDatabases, databaseOn, gateKey, query, startRedis } from "../support/servers.ts"
import { aclLines } from "./topologies.ts"

const page = Fs.readFileSync(new URL("../../docs/guides/events.md", import.meta.url), "utf8")

/** Each command of the page, as words, with the placeholders that it has. */
const commands = Array.from(page.matchAll(/^ *```redis\n *(.*)\n *```$/gm), ([, line]) => line!.split(" "))

/** The one command of the page that begins so. */
const command = (...start: ReadonlyArray<string>): ReadonlyArray<string> => {
  const found = commands.filter((words) => start.every((word) => words.includes(word)))
  if (found.length !== 1) throw new Error(`the page has ${found.length} commands with ${start.join(" ")}`)
  return found[0]!
}

const PASSWORD = "secret-of-consumers"
const SERVICE_PASSWORD = "secret-of-the-service"

type Entry = readonly [id: string, fields: ReadonlyArray<string>]

const defer = deferral()

/** The service with the rights that are deployed, a campaign, and consumers that sign in as the user of the page. */
const scene = async () => {
  const redis = await startRedis()
  defer(redis.stop)
  const [, , ...rights] = aclLines(SERVICE_PASSWORD).find(([, name]) => name === "coupon")!
  await redis.command("ACL", "SETUSER", "coupon", ...rights)
  await redis.command(...command("ACL").map((word) => word.replace("PASSWORD", PASSWORD)))
  const database = await databaseOn(availableDatabases()[0]!)
  defer(database.drop)
  const instance = await startFor(defer, {
    MYSQL_URL: database.url,
    REDIS_URL: redis.url.replace("//", `//coupon:${SERVICE_PASSWORD}@`),
    EVENT_STREAM: "redis"
  })
  const load = loadFor(defer)
  const campaignId = await load.openCampaign(instance.url, 100)
  const key = await gateKey(database.url, campaignId, "e")
  const connect = () => {
    // Without INFO, which the user may not call.
    const options = { retryStrategy: null, enableReadyCheck: false }
    const client = new Redis(redis.url.replace("//", `//events:${PASSWORD}@`), options)
    client.on("error", () => {})
    defer(() => client.disconnect())
    return client
  }
  /** Runs a command of the page for this campaign. */
  const run = (client: Redis, words: ReadonlyArray<string>, entry = "") => {
    const [name, ...args] = words.map((word) => word === "KEY" ? key : word === "ENTRY" ? entry : word)
    return client.call(name!, ...args)
  }
  const claim = async (first: number, last: number) => {
    for (let userId = first; userId <= last; userId++) await load.insist(() => [instance.url], { campaignId, userId })
  }
  const ledger = async () =>
    (await query(database.url, `SELECT id, user_id AS user, code FROM coupons WHERE campaign_id = ${campaignId}`)).map(
      (row) => `${row["id"]} ${row["user"]} ${row["code"]}`
    )
  return { redis, load, instance, campaignId, key, connect, run, claim, ledger }
}

const entriesOf = (reply: unknown): ReadonlyArray<Entry> =>
  (reply as ReadonlyArray<readonly [key: string, entries: ReadonlyArray<Entry>]> | null)?.[0]?.[1] ?? []

/** What a consumer does for each coupon, once: that is what it has to remember. */
const worker = (campaignId: number) => {
  const done = new Map<string, string>()
  let repeated = 0
  return {
    done: () => [...done.values()].sort(),
    repeated: () => repeated,
    work: ([, fields]: Entry) => {
      const event = Object.fromEntries(
        Array.from({ length: fields.length / 2 }, (_, k) => [fields[2 * k]!, fields[2 * k + 1]!])
      )
      expect(Object.keys(event)).toEqual(["id", "user", "code", "at"])
      expect(Math.abs(Date.now() - Number(event["at"]))).toBeLessThan(3_600_000)
      const name = `${campaignId} ${event["id"]}`
      if (done.has(name)) repeated++
      else done.set(name, `${event["id"]} ${event["user"]} ${event["code"]}`)
    }
  }
}

const create = command("XGROUP")
const readNew = command("XREADGROUP", ">")
const readOwn = command("XREADGROUP", "0")
const acknowledge = command("XACK")
const takeOver = command("XAUTOCLAIM")

describe("the guide to the event stream", () => {
  it("has a consumer that gets each coupon, also those of one that died, and of a Redis that was lost", async () => {
    const { campaignId, claim, connect, instance, key, ledger, load, redis, run } = await scene()
    const first = connect()
    // Before any coupon: the gate's other keys stay the service's.
    expect(await run(first, create)).toBe("OK")
    await expect(run(first, create)).rejects.toThrow(/^BUSYGROUP/)
    expect(entriesOf(await run(first, readNew))).toEqual([])
    await claim(1, 10)

    // It receives all of them, works on some, acknowledges fewer, and dies.
    const { done, repeated, work } = worker(campaignId)
    const received: Array<Entry> = []
    await expect.poll(async () => received.push(...entriesOf(await run(first, readNew)))).toBeGreaterThanOrEqual(10)
    for (const entry of received.slice(0, 6)) work(entry)
    for (const [id] of received.slice(0, 4)) expect(await run(first, acknowledge, id)).toBe(1)
    first.disconnect()

    // Another one gets none of them, until they are a minute old.
    const second = connect()
    await claim(11, 15)
    const later: Array<Entry> = []
    const named = (words: ReadonlyArray<string>) => words.map((word) => word === "worker-1" ? "worker-2" : word)
    await expect.poll(async () => later.push(...entriesOf(await run(second, named(readNew))))).toBeGreaterThanOrEqual(5)
    for (const entry of later) work(entry)
    for (const [id] of later) await run(second, acknowledge, id)
    expect((await run(second, takeOver) as ReadonlyArray<unknown>)[1]).toEqual([])
    // As Redis counts after that time.
    for (const [id] of received.slice(4)) {
      await redis.command("XCLAIM", key, "billing", "worker-1", "0", id, "IDLE", "60000", "JUSTID")
    }
    const [next, taken] = await run(second, takeOver) as readonly [string, ReadonlyArray<Entry>]
    expect(next).toBe("0-0")
    expect(taken.map(([id]) => id)).toEqual(received.slice(4).map(([id]) => id))
    for (const entry of taken) work(entry)

    // It is started again before it could acknowledge them: they are its own now.
    second.disconnect()
    const again = connect()
    const own = entriesOf(await run(again, named(readOwn)))
    expect(own.map(([id]) => id)).toEqual(taken.map(([id]) => id))
    for (const entry of own) work(entry)
    for (const [id] of own) expect(await run(again, acknowledge, id)).toBe(1)
    expect(done()).toEqual((await ledger()).sort())
    expect(repeated()).toBeGreaterThanOrEqual(2 + own.length)
    expect(await run(again, command("XPENDING"))).toEqual([0, null, null, null])
    const [group] = await run(again, command("XINFO")) as ReadonlyArray<ReadonlyArray<unknown>>
    expect(group![group!.indexOf("lag") + 1]).toBe(0)

    // Redis loses everything. The group is gone, and the rebuild publishes all coupons once more.
    await redis.command("FLUSHALL")
    await expect(run(again, named(readNew))).rejects.toThrow(/^NOGROUP/)
    expect(await run(again, create)).toBe("OK")
    await load.insist(() => [instance.url], { campaignId, userId: 16 })
    const before = repeated()
    await expect.poll(async () => {
      for (const entry of entriesOf(await run(again, named(readNew)))) work(entry)
      return done()
    }).toEqual((await ledger()).sort())
    await expect.poll(async () => {
      for (const entry of entriesOf(await run(again, named(readNew)))) work(entry)
      return repeated() - before
    }).toBeGreaterThanOrEqual(15)
  }, 60_000)

  it("has a user that may read streams, and nothing else", async () => {
    const { claim, connect, key, redis } = await scene()
    await claim(1, 3)
    // The relay comes after the answer.
    await expect.poll(() => redis.command("EXISTS", key)).toBe(":1")
    const other = (part: string) => key.replace(/e$/, part)
    const client = connect()
    const refused: ReadonlyArray<ReadonlyArray<string>> = [
      ["XADD", key, "*", "id", "1"],
      ["XDEL", key, "1-1"],
      ["XTRIM", key, "MAXLEN", "0"],
      ["DEL", key],
      ["UNLINK", key],
      ["XGROUP", "DESTROY", key, "billing"],
      ["XGROUP", "SETID", key, "billing", "0"],
      ["XGROUP", "CREATE", other("m"), "billing", "0"],
      ["XGROUP", "CREATE", "another:stream", "billing", "0", "MKSTREAM"],
      ["SMEMBERS", other("i")],
      ["HGETALL", other("m")],
      ["HGETALL", other("p")],
      ["KEYS", "*"],
      ["FLUSHALL"],
      ["CONFIG", "GET", "*"],
      ["EVAL", "return redis.call('DEL', KEYS[1])", "1", key]
    ]
    for (const [name, ...args] of refused) {
      await expect(client.call(name!, ...args), [name, ...args].join(" ")).rejects.toThrow(/NOPERM|no permissions/)
    }
    expect(await redis.command("EXISTS", key)).toBe(":1")
  }, 60_000)
})
