import { describe, expect, it } from "vitest"
import { LEASE_MILLIS } from "../../src/webhooks/delivery/Lanes.ts"
import { deferral, loadFor, startFor } from "../e2e/scenario.ts"
import { makeEndpoint, readLog, webhookSettings } from "../faults/events/EventReaders.ts"
import { deliveryViolations, missing } from "../faults/events/eventViolations.ts"
import { startReceiver } from "../faults/events/Receivers.ts"
import { inLongProfile } from "../support/profile.ts"
import { availableDatabases, databaseOn, query, startRedis } from "../support/servers.ts"

const defer = deferral()

const COUPONS = 200

/** Takeover and delivery take about 10 s; a busy machine may need more for its 200 requests. */
const patience = { timeout: 90_000 }

/** The statements of leases are tried on each kind in test/ports/webhooks.sql.test.ts. */
const kinds = inLongProfile(availableDatabases(), availableDatabases().slice(-1))

describe.each(kinds)("two instances on %s", (kind) => {
  it("deliver all events in order, though one is killed in the middle of a request", async () => {
    const redis = await startRedis()
    defer(redis.stop)
    const database = await databaseOn(kind)
    defer(database.drop)
    const env = { ...webhookSettings, MYSQL_URL: database.url, REDIS_URL: redis.url }
    const receiver = await startReceiver("EACH", 1)
    defer(receiver.stop)
    // Alone, so that it is the one that holds the lease.
    const first = await startFor(defer, env)
    await makeEndpoint(first.url, receiver, [])
    const load = loadFor(defer)
    const campaignId = await load.openCampaign(first.url, COUPONS)
    const users = (from: number) => Array.from({ length: COUPONS / 2 }, (_, k) => ({ campaignId, userId: from + k }))
    await load.claimAll([first.url], users(1), 10)
    await expect.poll(() => receiver.accepted.length, patience).toBeGreaterThan(COUPONS / 4)
    receiver.fail("silent")
    await load.claimAll([first.url], users(COUPONS), 10)
    await expect.poll(() => receiver.treated.silent, patience).toBe(1)
    const second = await startFor(defer, env)
    const cursor = async () => {
      const [row] = await query(
        database.url,
        "SELECT sequence, number, token, owner, CAST(lease_until - TIMESTAMPDIFF(MICROSECOND, '1970-01-01', " +
          "UTC_TIMESTAMP(6)) DIV 1000 AS SIGNED) AS remaining FROM webhook_cursors"
      )
      return row!
    }

    await first.kill()
    const left = await cursor()
    receiver.heal("cut")
    // From here on the second instance waits for nothing but the end of the lease, for which it looks each second.
    expect(Number(left["remaining"])).toBeLessThanOrEqual(LEASE_MILLIS)
    const log = await readLog(database.url, campaignId)
    await expect.poll(() => missing(receiver, campaignId, log, 0), patience).toEqual([])
    expect(deliveryViolations(receiver, campaignId, log, 0)).toEqual([])
    expect(receiver.violations).toEqual([])
    await expect.poll(async () => Number((await cursor())["sequence"]), patience).toBe(log.at(-1)!.sequence)
    expect((await cursor())["owner"]).not.toBe(left["owner"])
    expect(Number((await cursor())["token"])).toBeGreaterThan(Number(left["token"]))
    expect(await second.stop()).toBe(0)
  }, 240_000)
})
