import { spawn } from "node:child_process"
import { createClient } from "@libsql/client"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { deferral, impatient, loadFor, startFor } from "../e2e/scenario.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { bundle, nodeProgram, startInstance } from "../support/Instance.ts"
import { inLongProfile } from "../support/profile.ts"
import { availableDatabases, type DatabaseKind, databaseOn, gateKey, query, startRedis } from "../support/servers.ts"

/** Runs a program with these settings alone. */
const runWith = (env: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number | null; readonly text: string }>((resolve, reject) => {
    const child = spawn(nodeProgram, args, {
      env: { PATH: process.env["PATH"], NODE_COMPILE_CACHE: ".cache/compile", ...impatient, ...env }
    })
    let text = ""
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk))
    }
    child.once("error", reject)
    child.once("close", (code) => resolve({ code, text }))
  })

/** The verification as the image has it, which starts in a third of the time. */
const verify = (env: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) =>
  runWith(env, bundle().at(-1)!.replace(/main\.js$/, "verify.js"), ...args)

/** As `expect.poll`, which only tests may use. */
const until = (holds: () => Promise<boolean>) => vi.waitUntil(holds, { timeout: 60_000, interval: 20 })

/** A call of the public API that succeeds, unless `refused` is what it has to answer. */
const call = async (url: string, method: string, body: object, refused?: string): Promise<Record<string, unknown>> => {
  const reply = await fetch(`${url}/coupon.v1.CouponService/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body)
  })
  const answer = await reply.json() as Record<string, unknown>
  expect([reply.status === 200, answer["message"]], method)
    .toEqual(refused === undefined ? [true, answer["message"]] : [false, refused])
  return answer
}

/**
 * A deployment in which everything has happened that the verification looks at, and which has ended: three coupons of
 * campaign `first`, some of them redeemed and revoked, one of `second`, whose slot is free again, and two of `short`,
 * one of which has expired.
 */
const deployment = async (kind: DatabaseKind, defer: (release: () => unknown) => void) => {
  const redis = await startRedis()
  defer(redis.stop)
  const database = await databaseOn(kind)
  defer(database.drop)
  const sql = (text: string) => query(database.url, text)
  const env = { MYSQL_URL: database.url, REDIS_URL: redis.url }
  const instance = await startInstance({ ...impatient, ...env })
  defer(instance.kill)
  const { url } = instance
  const startTime = "2025-06-25T00:00:00Z"
  const open = async (settings: object): Promise<number> =>
    Number((await call(url, "CreateCampaign", { name: "c", startTime, ...settings }))["campaignId"])
  const [first, second] = [await open({ couponLimit: 10 }), await open({ couponLimit: 1 })]
  for (const [campaignId, userId] of [[first, 1], [first, 2], [first, 3], [second, 1]]) {
    await call(url, "IssueCoupon", { campaignId, userId })
  }
  const settled = () =>
    until(async () => (await sql("SELECT * FROM outbox WHERE kind <> 'VOID'")).length === 0)
  await settled()
  const serving = await verify(env)

  const of = (userId: number, requestId: string) => ({ campaignId: first, userId, requestId })
  await call(url, "RedeemCoupon", of(1, "a"))
  await call(url, "UndoRedemption", of(1, "b"))
  await call(url, "RedeemCoupon", of(1, "c"))
  await call(url, "RedeemCoupon", of(2, "d"))
  await call(url, "RevokeCoupon", of(3, "e"))
  await call(url, "RevokeCoupon", { campaignId: second, userId: 1, requestId: "a", returnSlot: true })

  const short = await open({ couponLimit: 5, couponValidity: { after: "PT2S" } })
  for (const userId of [1, 2]) await call(url, "IssueCoupon", { campaignId: short, userId })
  await call(url, "RedeemCoupon", { campaignId: short, userId: 1, requestId: "one" })
  // One request, which is refused once the time has passed, and stays refused.
  const state = async () =>
    ((await call(url, "GetCoupon", { campaignId: short, userId: 2 }))["coupon"] as Record<string, unknown>)["state"]
  await until(async () => await state() === "COUPON_STATE_EXPIRED")
  await call(url, "RedeemCoupon", { campaignId: short, userId: 2, requestId: "two" }, "COUPON_EXPIRED")
  await call(url, "UpdateCampaign", { campaignId: short, couponValidity: { after: "P1D" } })
  await settled()
  // Until it has its place, a change of an act leaves no trace.
  const acts = async (table: string) => Number((await sql(`SELECT COUNT(*) AS n FROM ${table}`))[0]!["n"])
  await until(async () => await acts("admin_audit_chain") === await acts("admin_audit"))
  await instance.stop()
  return {
    env,
    first,
    second,
    short,
    redis,
    serving,
    sql,
    key: (part: string) => gateKey(database.url, first, part),
    /** Verifies with these tables changed, and undoes the changes. */
    changed: async (tables: ReadonlyArray<string>, check: () => Promise<void>) => {
      for (const table of tables) await sql(`CREATE TABLE kept_${table} AS SELECT * FROM ${table}`)
      try {
        await check()
      } finally {
        for (const table of tables) {
          await sql(`DELETE FROM ${table}`)
          await sql(`INSERT INTO ${table} SELECT * FROM kept_${table}`)
          await sql(`DROP TABLE kept_${table}`)
        }
      }
    }
  }
}

// The statements are the same on both; a real MySQL where there is one.
for (const kind of inLongProfile(availableDatabases(), availableDatabases().slice(-1))) {
  describe(`the verification of a deployment on ${kind} and Redis`, () => {
    const releases: Array<() => unknown> = []
    // Each test leaves it as it found it.
    let made: Awaited<ReturnType<typeof deployment>>
    beforeAll(async () => {
      made = await deployment(kind, (release) => void releases.unshift(release))
    })
    afterAll(async () => {
      for (const release of releases) await release()
    })
    it("finds nothing in a healthy one, while it serves", () => {
      const { code, text } = made.serving
      expect(text).toMatch(/^ +1 +10 +3 +3 +hydrated +3 +0 +0 +ok$/m)
      expect(text).toContain("2 campaigns, every invariant holds")
      expect(text).toContain("audit log: 2 acts, the chain holds")
      expect(code).toBe(0)
    })

    it("finds a ghost in the gate (G1), and repairs it without touching the ledger", async () => {
      const { env, first, key, redis, sql } = made
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
      const { env, first, key, redis } = made
      await redis.command("SREM", await key("i"), "2")
      expect(await verify(env)).toMatchObject({
        code: 1,
        text: expect.stringContaining(`G2 campaign ${first}: the gate knows 2 holders of 3`)
      })
      expect(await verify(env, "--repair")).toMatchObject({ code: 0 })
      expect(await redis.command("SISMEMBER", await key("i"), "2")).toBe(":1")
    })

    it("finds a counter that was tampered with (I2), and does not repair it", async () => {
      const { changed, env, first, sql } = made
      await changed(["campaigns"], async () => {
        await sql(`UPDATE campaigns SET current_coupon = 2 WHERE id = ${first}`)
        const { code, text } = await verify(env, "--repair")
        expect(text).toContain(`I2 campaign ${first}: current_coupon is 2, there are 3 coupons`)
        expect(code).toBe(1)
        expect(await sql(`SELECT current_coupon FROM campaigns WHERE id = ${first}`)).toEqual([{ current_coupon: 2 }])
      })
    })

    it("finds an act of the audit log that was changed, and one that is gone", async () => {
      const { changed, env, first, sql } = made
      const creation = `campaign_id = ${first} AND action = 'campaign.create'`
      await changed(["admin_audit"], async () => {
        await sql(`UPDATE admin_audit SET actor = 'another' WHERE ${creation}`)
        const found = await verify(env)
        expect(found.text).toContain("every invariant holds")
        expect(found.text).toContain("audit log, place 1: the act is not the one that got this place")
        expect(found.text).toContain("audit log: 1 flaw")
        expect(found.code).toBe(1)
        await sql(`DELETE FROM admin_audit WHERE ${creation}`)
        const gone = await verify(env, "--repair")
        expect(gone.text).toContain("audit log, place 1: the act that had this place is gone")
        expect(gone.code).toBe(1)
      })
    })

    it("finds an event that is gone (E2), and coupons that are in no range (E1)", async () => {
      const { changed, env, first, second, sql } = made
      await changed(["campaign_events"], async () => {
        await sql(`DELETE FROM campaign_events WHERE campaign_id = ${first} AND sequence = 1`)
        await sql(`UPDATE campaign_events SET first_id = 2, last_id = 2 WHERE campaign_id = ${second} AND first_id = 1`)
        const { code, text } = await verify(env)
        expect(text).toMatch(new RegExp(`E2 campaign ${first}: \\d+ events, numbered from 1 to \\d`))
        expect(text).toContain(`E1 campaign ${second}: the first range begins with coupon 2`)
        expect(text).toContain(`E1 campaign ${second}: the last range ends with coupon 2, the log's head is at 1`)
        expect(code).toBe(1)
      })
    })

    it("finds redemptions that contradict their states, the log or the limit (R1, R2, R4, R5)", async () => {
      const { changed, env, first, second, sql } = made
      const finds = async (...violations: ReadonlyArray<string>) => {
        const { code, text } = await verify(env)
        for (const violation of violations) expect(text).toContain(violation)
        expect(code).toBe(1)
      }
      await changed(["campaigns", "coupon_states", "redemptions"], async () => {
        await sql(`UPDATE redemptions SET action = 'REDEEM' WHERE campaign_id = ${first} AND sequence = 2`)
        await sql(`UPDATE campaigns SET coupon_limit = 1 WHERE id = ${second}`)
        await finds(
          `R1 campaign ${first}: 1 coupons are redeemed more than once`,
          `R5 campaign ${second}: the limit is 1 with 1 returned, the last change made it 2 with 1`
        )
        await sql(`UPDATE redemptions SET action = 'UNDO' WHERE campaign_id = ${first} AND sequence = 2`)

        await sql(`UPDATE coupon_states SET state = 'REVOKED' WHERE campaign_id = ${first} AND coupon_id = 2`)
        await sql(`UPDATE campaigns SET coupon_limit = 2, returned = 2 WHERE id = ${second}`)
        await finds(
          `R4 campaign ${first}: 1 coupons have a state`,
          `R5 campaign ${second}: returned is 2, 1 revocations have returned their slot`
        )
        await sql(`DELETE FROM coupon_states WHERE campaign_id = ${first} AND coupon_id = 2`)
        await finds(`R4 campaign ${first}: 1 coupons have a state`)
        await sql(`DELETE FROM redemptions WHERE campaign_id = ${first} AND sequence = 4`)
        await finds(`R4 campaign ${first}: 4 acts are numbered up to 5`)

        await sql("ALTER TABLE redemptions DROP PRIMARY KEY, ADD KEY redemptions_request (campaign_id, request_id)")
        try {
          await sql(`UPDATE redemptions SET request_id = 'a' WHERE campaign_id = ${first} AND sequence = 2`)
          await finds(`R2 campaign ${first}: 4 answers were given to 3 requests`)
        } finally {
          await sql(`UPDATE redemptions SET request_id = 'b' WHERE campaign_id = ${first} AND sequence = 2`)
          await sql(
            "ALTER TABLE redemptions DROP KEY redemptions_request, ADD PRIMARY KEY (campaign_id, request_id)"
          )
        }
      })
    })

    it("finds coupons whose user is neither one nor erased (U1)", async () => {
      const { changed, env, first, sql } = made
      await changed(["coupons"], async () => {
        await sql(`UPDATE coupons SET user_id = -2 WHERE campaign_id = ${first} AND id = 2`)
        expect((await verify(env)).text).toContain("every invariant holds")
        await sql(`UPDATE coupons SET user_id = -9 WHERE campaign_id = ${first} AND id = 2`)
        const { code, text } = await verify(env)
        expect(text).toContain(`U1 campaign ${first}: 1 coupons have users that are neither users nor erased`)
        expect(code).toBe(1)
      })
    })

    it("finds redemptions and refusals that the coupons' expiries do not allow (R6)", async () => {
      const { changed, env, short, sql } = made
      await changed(["redemptions", "coupon_validities"], async () => {
        await sql(`UPDATE redemptions SET at = at + INTERVAL 1 HOUR
WHERE campaign_id = ${short} AND outcome = 'DONE'`)
        await sql(`UPDATE redemptions SET at = at - INTERVAL 1 HOUR
WHERE campaign_id = ${short} AND outcome = 'EXPIRED'`)
        await sql(`UPDATE coupon_validities SET first_id = 9 WHERE campaign_id = ${short} AND version = 2`)
        const { code, text } = await verify(env)
        const r6 = `R6 campaign ${short}: 1`
        expect(text).toContain(`${r6} requests to redeem were answered as if their coupons had not expired`)
        expect(text).toContain(`${r6} requests to redeem were refused as expired before their coupons were`)
        expect(text).toContain(`${r6} validities are not in the order of their coupons`)
        expect(code).toBe(1)
      })
    })

    it("finds a reservation and an event that no agent handles (I9)", async () => {
      const { changed, env, first, key, redis, sql } = made
      await changed(["outbox"], async () => {
        await redis.command("HSET", await key("p"), "7", "1000000:dead")
        await sql(`INSERT INTO outbox VALUES (x'${"0".repeat(32)}', 'ISSUED', ${first}, 3, 3, '2026-01-01')`)
        const { code, text } = await verify(env)
        expect(text).toMatch(new RegExp(`I9 campaign ${first}: of 1 reservations the oldest is [\\d.]+ s old`))
        expect(text).toMatch(/I9: of 1 outbox events the oldest is [\d.]+ s old/)
        expect(code).toBe(1)
        await redis.command("HDEL", await key("p"), "7")
      })
    })

    it("finds nothing once all of that is undone", async () => {
      const { code, text } = await verify(made.env)
      expect(text).toContain("3 campaigns, every invariant holds")
      expect(text).toMatch(/audit log: \d+ acts, the chain holds/)
      expect(code).toBe(0)
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
    // What `npm run verify` runs.
    const help = { code: 0, text: expect.stringContaining("--repair") }
    expect(await runWith({}, "src/verify.ts", "--help")).toMatchObject(help)
    expect(await verify({}, "--fix")).toMatchObject({
      code: 2,
      text: expect.stringContaining("unknown argument --fix")
    })
  })
})
