import { spawn } from "node:child_process"
import { createClient } from "@libsql/client"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { deferral, impatient, loadFor, startFor } from "../e2e/scenario.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { nodeProgram } from "../support/Instance.ts"
import { availableDatabases, databaseOn, gateKey, query, startRedis, type RedisServer } from "../support/servers.ts"

/** Runs `npm run verify` with these settings alone. */
const verify = (env: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number | null; readonly text: string }>((resolve, reject) => {
    const child = spawn(nodeProgram, ["src/verify.ts", ...args], {
      env: { PATH: process.env["PATH"], ...impatient, ...env }
    })
    let text = ""
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk))
    }
    child.once("error", reject)
    child.once("close", (code) => resolve({ code, text }))
  })

for (const kind of availableDatabases()) {
  describe(`the verification of a deployment on ${kind} and Redis`, () => {
    const defer = deferral()
    let redis: RedisServer
    beforeAll(async () => {
      redis = await startRedis()
    })
    afterAll(() => (redis as RedisServer | undefined)?.stop())

    /** Two campaigns, of which three and one coupon are handed out and relayed. */
    const deployment = async () => {
      await redis.flushAll()
      const database = await databaseOn(kind)
      defer(database.drop)
      const env = { MYSQL_URL: database.url, REDIS_URL: redis.url }
      const instance = await startFor(defer, env)
      const load = loadFor(defer)
      const first = await load.openCampaign(instance.url, 10)
      const second = await load.openCampaign(instance.url, 1)
      for (const [campaignId, userId] of [[first, 1], [first, 2], [first, 3], [second, 1]] as const) {
        expect(await load.claim(instance.url, { campaignId, userId })).toMatchObject({ outcome: "OK" })
      }
      await expect.poll(async () => (await query(database.url, "SELECT * FROM outbox WHERE kind <> 'VOID'")).length)
        .toBe(0)
      return {
        env,
        instance,
        first,
        second,
        sql: (text: string) => query(database.url, text),
        key: (part: string) => gateKey(database.url, first, part)
      }
    }

    it("finds nothing in a healthy one, while it serves", async () => {
      const { env } = await deployment()
      const { code, text } = await verify(env)
      expect(text).toMatch(/^ +1 +10 +3 +3 +hydrated +3 +0 +0 +ok$/m)
      expect(text).toContain("2 campaigns, every invariant holds")
      expect(text).toContain("audit log: 2 acts, the chain holds")
      expect(code).toBe(0)
    })

    it("finds a ghost in the gate (G1), and repairs it without touching the ledger", async () => {
      const { env, first, instance, key, sql } = await deployment()
      await instance.stop()
      await redis.command("SADD", await key("i"), "999")
      const found = await verify(env)
      expect(found.text).toContain(`G1 campaign ${first}: the gate knows 4 holders, the ledger 3`)
      expect(found.code).toBe(1)
      const before = await sql("SELECT * FROM coupons")
      const repaired = await verify(env, "--repair")
      expect(repaired.text).toMatch(new RegExp(`campaign ${first}: (gate rebuilt|repaired meanwhile)`))
      expect(repaired.text).toContain("every invariant holds")
      expect(repaired.code).toBe(0)
      expect(await redis.command("SISMEMBER", await key("i"), "999")).toBe(":0")
      expect(await redis.command("SCARD", await key("i"))).toBe(":4")
      expect(await sql("SELECT * FROM coupons")).toEqual(before)
    })

    it("finds a lost confirmation (G2), and repairs it", async () => {
      const { env, first, instance, key } = await deployment()
      await instance.stop()
      await redis.command("SREM", await key("i"), "2")
      expect(await verify(env)).toMatchObject({
        code: 1,
        text: expect.stringContaining(`G2 campaign ${first}: the gate knows 2 holders of 3`)
      })
      expect(await verify(env, "--repair")).toMatchObject({ code: 0 })
      expect(await redis.command("SISMEMBER", await key("i"), "2")).toBe(":1")
    })

    it("finds a counter that was tampered with (I2), and does not repair it", async () => {
      const { env, first, instance, sql } = await deployment()
      await instance.stop()
      await sql(`UPDATE campaigns SET current_coupon = 2 WHERE id = ${first}`)
      const { code, text } = await verify(env, "--repair")
      expect(text).toContain(`I2 campaign ${first}: current_coupon is 2, there are 3 coupons`)
      expect(code).toBe(1)
      expect(await sql(`SELECT current_coupon FROM campaigns WHERE id = ${first}`)).toEqual([{ current_coupon: 2 }])
    })

    it("finds an act of the audit log that was changed, and one that is gone", async () => {
      const { env, first, instance, sql } = await deployment()
      // Until it has its place, a change of an act leaves no trace.
      await expect.poll(async () => (await sql("SELECT * FROM admin_audit_chain")).length).toBe(2)
      await instance.stop()
      await sql(`UPDATE admin_audit SET actor = 'another' WHERE campaign_id = ${first}`)
      const changed = await verify(env)
      expect(changed.text).toContain("every invariant holds")
      expect(changed.text).toContain("audit log, place 1: the act is not the one that got this place")
      expect(changed.text).toContain("audit log: 1 flaw")
      expect(changed.code).toBe(1)
      await sql(`DELETE FROM admin_audit WHERE campaign_id = ${first}`)
      const gone = await verify(env, "--repair")
      expect(gone.text).toContain("audit log, place 1: the act that had this place is gone")
      expect(gone.code).toBe(1)
    })

    it("finds an event that is gone (E2), and coupons that are in no range (E1)", async () => {
      const { env, first, instance, second, sql } = await deployment()
      await instance.stop()
      await sql(`DELETE FROM campaign_events WHERE campaign_id = ${first} AND sequence = 1`)
      await sql(`UPDATE campaign_events SET first_id = 2, last_id = 2 WHERE campaign_id = ${second} AND first_id = 1`)
      const { code, text } = await verify(env)
      expect(text).toMatch(new RegExp(`E2 campaign ${first}: \\d events, numbered from 1 to \\d`))
      expect(text).toContain(`E1 campaign ${second}: the first range begins with coupon 2`)
      expect(text).toContain(`E1 campaign ${second}: the last range ends with coupon 2, the log's head is at 1`)
      expect(code).toBe(1)
    })

    it("finds redemptions that contradict their states, the log or the limit (R1, R2, R4, R5)", async () => {
      const { env, first, instance, second, sql } = await deployment()
      const ask = async (method: string, body: Record<string, unknown>) => {
        const reply = await fetch(`${instance.url}/coupon.v1.CouponService/${method}`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body)
        })
        expect(reply.status, await reply.text()).toBe(200)
      }
      const on = (userId: number, requestId: string) => ({ campaignId: first, userId, requestId })
      await ask("RedeemCoupon", on(1, "a"))
      await ask("UndoRedemption", on(1, "b"))
      await ask("RedeemCoupon", on(1, "c"))
      await ask("RedeemCoupon", on(2, "d"))
      await ask("RevokeCoupon", on(3, "e"))
      await ask("RevokeCoupon", { campaignId: second, userId: 1, requestId: "a", returnSlot: true })
      await expect.poll(async () => (await sql("SELECT * FROM outbox WHERE kind <> 'VOID'")).length).toBe(0)
      const healthy = await verify(env)
      expect(healthy.text).toContain("every invariant holds")
      expect(healthy.code).toBe(0)
      await instance.stop()

      await sql(`UPDATE redemptions SET action = 'REDEEM' WHERE campaign_id = ${first} AND sequence = 2`)
      expect((await verify(env)).text).toContain(`R1 campaign ${first}: 1 coupons are redeemed more than once`)
      await sql(`UPDATE redemptions SET action = 'UNDO' WHERE campaign_id = ${first} AND sequence = 2`)

      await sql(`UPDATE coupon_states SET state = 'REVOKED' WHERE campaign_id = ${first} AND coupon_id = 2`)
      expect((await verify(env)).text).toContain(`R4 campaign ${first}: 1 coupons have a state`)
      await sql(`DELETE FROM coupon_states WHERE campaign_id = ${first} AND coupon_id = 2`)
      expect((await verify(env)).text).toContain(`R4 campaign ${first}: 1 coupons have a state`)
      await sql(`DELETE FROM redemptions WHERE campaign_id = ${first} AND sequence = 4`)
      expect((await verify(env)).text).toContain(`R4 campaign ${first}: 4 acts are numbered up to 5`)

      await sql("ALTER TABLE redemptions DROP PRIMARY KEY, ADD KEY redemptions_request (campaign_id, request_id)")
      await sql(`UPDATE redemptions SET request_id = 'a' WHERE campaign_id = ${first} AND sequence = 2`)
      expect((await verify(env)).text).toContain(`R2 campaign ${first}: 4 answers were given to 3 requests`)

      await sql(`UPDATE campaigns SET coupon_limit = 1 WHERE id = ${second}`)
      expect((await verify(env)).text)
        .toContain(`R5 campaign ${second}: the limit is 1 with 1 returned, the last change made it 2 with 1`)
      await sql(`UPDATE campaigns SET coupon_limit = 2, returned = 2 WHERE id = ${second}`)
      const returned = await verify(env)
      expect(returned.text).toContain(`R5 campaign ${second}: returned is 2, 1 revocations have returned their slot`)
      expect(returned.code).toBe(1)
    })

    it("finds redemptions and refusals that the coupons' expiries do not allow (R6)", async () => {
      const { env, instance, sql } = await deployment()
      const call = async (method: string, body: object) => {
        const reply = await fetch(`${instance.url}/coupon.v1.CouponService/${method}`, {
          method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body)
        })
        return await reply.json() as Record<string, unknown>
      }
      const couponValidity = { after: "PT2S" }
      const settings = { name: "short", couponLimit: 5, startTime: "2025-06-25T00:00:00Z", couponValidity }
      const campaignId = Number((await call("CreateCampaign", settings))["campaignId"])
      for (const userId of [1, 2]) await call("IssueCoupon", { campaignId, userId })
      expect(await call("RedeemCoupon", { campaignId, userId: 1, requestId: "one" })).toHaveProperty("redemption")
      // One request, which is refused once the time has passed, and stays refused.
      const state = async () =>
        ((await call("GetCoupon", { campaignId, userId: 2 }))["coupon"] as Record<string, unknown>)["state"]
      await expect.poll(state, { timeout: 20_000 }).toBe("COUPON_STATE_EXPIRED")
      expect(await call("RedeemCoupon", { campaignId, userId: 2, requestId: "two" }))
        .toMatchObject({ message: "COUPON_EXPIRED" })
      await call("UpdateCampaign", { campaignId, couponValidity: { after: "P1D" } })
      await expect.poll(async () => (await query(env.MYSQL_URL, "SELECT * FROM outbox WHERE kind <> 'VOID'")).length)
        .toBe(0)
      await instance.stop()
      const sound = await verify(env)
      expect(sound.text).toContain("every invariant holds")
      await sql(`UPDATE redemptions SET at = at + INTERVAL 1 HOUR
WHERE campaign_id = ${campaignId} AND outcome = 'DONE'`)
      await sql(`UPDATE redemptions SET at = at - INTERVAL 1 HOUR
WHERE campaign_id = ${campaignId} AND outcome = 'EXPIRED'`)
      await sql(`UPDATE coupon_validities SET first_id = 9 WHERE campaign_id = ${campaignId} AND version = 2`)
      const { code, text } = await verify(env)
      const r6 = `R6 campaign ${campaignId}: 1`
      expect(text).toContain(`${r6} requests to redeem were answered as if their coupons had not expired`)
      expect(text).toContain(`${r6} requests to redeem were refused as expired before their coupons were`)
      expect(text).toContain(`${r6} validities are not in the order of their coupons`)
      expect(code).toBe(1)
    })

    it("finds a reservation and an event that no agent handles (I9)", async () => {
      const { env, first, instance, key, sql } = await deployment()
      await instance.stop()
      await redis.command("HSET", await key("p"), "7", "1000000:dead")
      await sql(`INSERT INTO outbox VALUES (x'${"0".repeat(32)}', 'ISSUED', ${first}, 3, 3, '2026-01-01')`)
      const { code, text } = await verify(env)
      expect(text).toMatch(new RegExp(`I9 campaign ${first}: of 1 reservations the oldest is [\\d.]+ s old`))
      expect(text).toMatch(/I9: of 1 outbox events the oldest is [\d.]+ s old/)
      expect(code).toBe(1)
    })
  })
}

describe("the verification of the embedded stores", () => {
  const defer = deferral()

  it("refuses while the service runs, and checks the ledger once it has ended", async () => {
    const dataDir = temporaryDirectory("audit")
    defer(() => removeDirectory(dataDir))
    const env = { DATA_DIR: dataDir }
    const instance = await startFor(defer, env)
    const load = loadFor(defer)
    const campaignId = await load.openCampaign(instance.url, 2)
    await load.claim(instance.url, { campaignId, userId: 1 })
    expect(await verify(env)).toMatchObject({ code: 2, text: expect.stringContaining("is in use by another process") })
    await instance.stop()
    const { code, text } = await verify(env)
    expect(text).toMatch(/^ +1 +2 +1 +1 +- /m)
    expect(text).toContain("1 campaign, every invariant holds")
    expect(text).toContain("audit log: 1 act, the chain holds")
    expect(code).toBe(0)
    const file = createClient({ url: `file:${dataDir}/coupon.db` })
    await file.execute("UPDATE admin_audit SET after_state = '{}'")
    file.close()
    expect(await verify(env)).toMatchObject({
      code: 1,
      text: expect.stringContaining("audit log, place 1: the act is not the one that got this place")
    })
  })

  it("explains itself, and does not guess what an unknown argument means", async () => {
    expect(await verify({}, "--help")).toMatchObject({ code: 0, text: expect.stringContaining("--repair") })
    expect(await verify({}, "--fix")).toMatchObject({
      code: 2,
      text: expect.stringContaining("unknown argument --fix")
    })
  })
})
