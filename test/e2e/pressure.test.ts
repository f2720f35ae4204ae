import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { makeClients, makeHttp } from "../contract/clients.ts"
import { checkInvariants } from "../invariants/invariants.ts"
import { startProxy } from "../support/FaultProxy.ts"
import { foreignSession, holdingRow } from "../support/foreignSession.ts"
import { isGroupCommit } from "../support/groupCommit.ts"
import { query, startDatabase, startRedis, privateDatabases, type DatabaseServer } from "../support/servers.ts"
import { codeInLedger, deferral, freshDatabase, loadFor, patient, startFor } from "./scenario.ts"
import { tally } from "./load.ts"

const [kind] = privateDatabases()

/** A distributed service: what clients receive while the ledger is slow, and what an operator's change does. */
describe("under pressure", () => {
  const defer = deferral()
  let server: DatabaseServer
  beforeAll(async () => {
    server = await startDatabase(kind!)
  })
  afterAll(() => (server as DatabaseServer | undefined)?.stop())

  const start = async (env: Readonly<Record<string, string>> = {}) => {
    const [redis, databaseUrl, proxy] = await Promise.all([
      startRedis(),
      freshDatabase(server.url),
      startProxy(server.port)
    ])
    defer(redis.stop)
    defer(proxy.stop)
    const instance = await startFor(defer, {
      MYSQL_URL: proxy.url(databaseUrl),
      REDIS_URL: redis.url,
      ...patient,
      ...env
    })
    const load = loadFor(defer)
    const check = () => checkInvariants({ databaseUrl, redisUrl: redis.url }, load.history)
    return { check, databaseUrl, redisUrl: redis.url, http: makeHttp([instance.url]), instance, load, proxy }
  }

  const bounds = [{ ISSUE_QUEUE_LIMIT: "2" }, { MAX_IN_FLIGHT: "2" }]
  it.each(bounds)("with %j the third claim is shed at once, and nothing is taken", async (env) => {
    const { check, databaseUrl, http, instance, load, proxy } = await start(env)
    const campaignId = await load.openCampaign(instance.url, 10)
    const holding = proxy.holdRequests(isGroupCommit)
    const first = load.claim(instance.url, { campaignId, userId: 1 })
    const held = await holding
    const second = load.claim(instance.url, { campaignId, userId: 2 })
    // It is on a connection of its own: only once it has arrived does the next one come after it.
    await expect.poll(async () => (await http.request("/metrics")).text).toMatch(/^coupon_requests_in_flight 2$/m)
    const reply = await http.post("IssueCoupon", { campaignId, userId: 3 })
    expect([reply.status, reply.headers.get("retry-after"), reply.text])
      .toEqual([429, "1", JSON.stringify({ code: "resource_exhausted", message: "OVERLOADED" })])
    held.release()
    expect(tally([await first, await second])).toEqual({ OK: 2 })
    expect(await load.insist(() => [instance.url], { campaignId, userId: 4 })).toMatchObject({ outcome: "OK" })
    expect(await codeInLedger(databaseUrl, { campaignId, userId: 3 })).toBeUndefined()
    await check()
  })

  it("second clicks that time out behind a held row are answered once, and MAX_IN_FLIGHT still holds", async () => {
    const limit = 10
    const { check, databaseUrl, http, instance, load } = await start({
      MAX_IN_FLIGHT: String(limit),
      LATENCY_TARGET: "1 second"
    })
    const campaignId = await load.openCampaign(instance.url, 1_000)
    const inFlight = async () =>
      Number(/^coupon_requests_in_flight (\S+)$/m.exec((await http.request("/metrics")).text)![1])
    expect(await load.claim(instance.url, { campaignId, userId: 1 })).toMatchObject({ outcome: "OK" })
    // Of the whole limit one client has eight ninths: the ninth place is the last.
    const share = Math.floor((8 * limit) / 9) + 1
    await foreignSession(databaseUrl, async (foreign) => {
      for (let round = 0; round < 5; round++) {
        const userId = 10 + round
        for (const statement of holdingRow(campaignId)) await foreign.query(statement)
        const first = load.claim(instance.url, { campaignId, userId })
        await expect.poll(inFlight).toBe(1)
        const seconds = await Promise.all(
          Array.from({ length: share - 1 }, () => load.claim(instance.url, { campaignId, userId, timeoutMillis: 50 }))
        )
        expect(tally(seconds)).toEqual({ DEADLINE_EXCEEDED: share - 1 })
        await foreign.query("ROLLBACK")
        expect(await first).toMatchObject({ outcome: "OK" })
        await expect.poll(inFlight).toBe(0)
      }
      // As many as before are let in while the row is held; the rest is shed.
      for (const statement of holdingRow(campaignId)) await foreign.query(statement)
      const all = Array.from({ length: 60 }, (_, k) => load.claim(instance.url, { campaignId, userId: 1_000 + k }))
      // Each of the 60 is either in or shed by now.
      await expect.poll(async () => (await http.request("/metrics")).text)
        .toMatch(new RegExp(`^coupon_requests_total\\{rpc="IssueCoupon",outcome="OVERLOADED"\\} ${60 - share}$`, "m"))
      expect(await inFlight()).toBe(share)
      await foreign.query("ROLLBACK")
      expect(tally(await Promise.all(all))).toEqual({ OK: share, OVERLOADED: 60 - share })
      await expect.poll(inFlight).toBe(0)
    })
    await check()
  })

  it("a caller's own timeout ends in DEADLINE_EXCEEDED, and the coupon that came later is the user's", async () => {
    const { check, databaseUrl, http, instance, load, proxy } = await start()
    const campaignId = await load.openCampaign(instance.url, 10)
    const holding = proxy.holdRequests(isGroupCommit)
    const claimed = http.post("IssueCoupon", { campaignId, userId: 1 }, { "connect-timeout-ms": "1000" })
    const held = await holding
    const reply = await claimed
    expect([reply.status, reply.json()]).toEqual([504, { code: "deadline_exceeded", message: "DEADLINE_EXCEEDED" }])
    held.release()
    expect(await load.insist(() => [instance.url], { campaignId, userId: 1 }))
      .toMatchObject({
        outcome: "COUPON_ALREADY_CLAIMED",
        code: await codeInLedger(databaseUrl, { campaignId, userId: 1 })
      })
    await check()
  })

  it("a caller who leaves loses nothing: the claim runs to its end", async () => {
    const { check, databaseUrl, instance, load, proxy } = await start()
    const campaignId = await load.openCampaign(instance.url, 10)
    const holding = proxy.holdRequests(isGroupCommit)
    const caller = new AbortController()
    const left = fetch(`${instance.url}/coupon.v1.CouponService/IssueCoupon`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ campaignId, userId: 1 }),
      signal: caller.signal
    })
    const held = await holding
    caller.abort()
    await expect(left).rejects.toThrow()
    held.release()
    await expect.poll(() => codeInLedger(databaseUrl, { campaignId, userId: 1 })).toBeDefined()
    expect(await load.insist(() => [instance.url], { campaignId, userId: 1 })).toMatchObject({
      outcome: "COUPON_ALREADY_CLAIMED"
    })
    await check()
  })

  it("SIGTERM lets gRPC calls that were admitted finish", async () => {
    const { databaseUrl, instance, load, proxy, redisUrl } = await start()
    const campaignId = await load.openCampaign(instance.url, 10)
    const clients = makeClients("gRPC", [instance.url])
    defer(clients.close)
    const holding = proxy.holdRequests(isGroupCommit)
    const claimed = clients.next().issueCoupon({ campaignId, userId: 1n })
    const held = await holding
    const stopped = instance.stop()
    await expect.poll(() => instance.logs()).toContain("stopping")
    held.release()
    expect(await claimed).toMatchObject({
      message: "OK",
      code: await codeInLedger(databaseUrl, { campaignId, userId: 1 })
    })
    expect(await stopped).toBe(0)
    // Not the load generator's claim, so only the state is checked: nothing is left for another instance to settle.
    await checkInvariants({ databaseUrl, redisUrl }, undefined)
  })

  it("pausing, resuming and ending in the ledger applies to all users; holders still get their coupon", async () => {
    const { check, databaseUrl, instance, load } = await start()
    const campaignId = await load.openCampaign(instance.url, 10)
    let userId = 1
    const outcome = async (user = userId++) =>
      (await load.insist(() => [instance.url], { campaignId, userId: user })).outcome
    expect(await outcome()).toBe("OK")
    // As docs/internals/protocol.md ("Changing a campaign") has it: the row, a new version, an outbox row and the row
    // of the audit log in one transaction.
    const become = (status: string) =>
      query(
        databaseUrl,
        "START TRANSACTION",
        "SET @change = UNHEX(REPLACE(UUID(), '-', ''))",
        `UPDATE campaigns SET status = '${status}', version = version + 1 WHERE id = ${campaignId}`,
        "INSERT INTO outbox (batch_id, kind, campaign_id, first_id, last_id, created_at) " +
          "SELECT @change, 'CHANGED', id, version, current_coupon, UTC_TIMESTAMP(6) FROM campaigns " +
          `WHERE id = ${campaignId}`,
        "INSERT INTO admin_audit (change_id, at, actor, action, campaign_id, before_state, after_state) " +
          `SELECT @change, UTC_TIMESTAMP(6), 'by hand', 'campaign.change', id, '{}',
            JSON_OBJECT('status', status, 'version', version) FROM campaigns WHERE id = ${campaignId}`,
        "COMMIT"
      )
    await become("PAUSED")
    // Strict: from the commit on, whether or not the gate has heard of it.
    expect(await outcome()).toBe("CAMPAIGN_PAUSED")
    expect(await outcome(1)).toBe("COUPON_ALREADY_CLAIMED")
    await become("ACTIVE")
    await expect.poll(() => outcome()).toBe("OK")
    await become("ENDED")
    expect(await outcome()).toBe("CAMPAIGN_ENDED")
    expect(await outcome(1)).toBe("COUPON_ALREADY_CLAIMED")
    await check()
  })
})
