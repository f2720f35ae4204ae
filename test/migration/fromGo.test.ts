import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { Redis } from "ioredis"
import { describe, expect, it } from "vitest"
import { blocksOf, read, root } from "../readme/blocks.ts"
import { deferral, loadFor, startFor } from "../e2e/scenario.ts"
import { checkInvariants } from "../invariants/invariants.ts"
import { bundled, nodeProgram } from "../support/Instance.ts"
import { inLongProfile } from "../support/profile.ts"
import { availableDatabases, databaseOn, query, startRedis, type DatabaseKind } from "../support/servers.ts"
import { addTask, codeOf, fill } from "./goSystem.ts"

const run = promisify(execFile)

/** The commands of the tutorial, in its order. */
const commands = blocksOf(read("docs/tutorial/from-go.md")).filter(({ info }) => info === "sh run")
  .map(({ text }) => text)

const kinds = availableDatabases()
/** Both kinds get the same statements: where there are two, one has the whole way, and the other the rest. */
const [wholeKinds, otherKinds] = inLongProfile([kinds, kinds], [kinds.slice(-1), kinds.slice(0, 1)])

describe("from the service in Go to this one", () => {
  const defer = deferral()

  const scene = async (kind: DatabaseKind) => {
    const [oldRedis, redis, old, database] = await Promise.all([
      startRedis(),
      startRedis(),
      databaseOn(kind),
      databaseOn(kind)
    ])
    for (const { stop } of [oldRedis, redis]) defer(stop)
    for (const { drop } of [old, database]) defer(drop)
    await fill(old.url, oldRedis.url)
    const env = {
      OLD_MYSQL_URL: old.url,
      OLD_REDIS_URL: oldRedis.url,
      MYSQL_URL: database.url,
      REDIS_URL: redis.url,
      PATH: process.env["PATH"]
    }
    /** A command of the tutorial, or the script with options. */
    const shell = async (command: string) =>
      run("bash", ["-euc", command], { cwd: root, env: { ...env, NODE_COMPILE_CACHE: `${root}/.cache/compile` } })
        .then(
          ({ stdout }) => ({ code: 0, out: stdout }),
          (error: { code: number; stdout: string; stderr: string }) => ({
            code: error.code,
            out: error.stdout + error.stderr
          })
        )
    const migrate = (...options: ReadonlyArray<string>) =>
      shell([nodeProgram, "scripts/go/main.ts", ...options].join(" "))
    /** What `npm run migrate` does. */
    const makeSchema = async () =>
      expect(await shell(`${nodeProgram} ${bundled("migrate")}`)).toMatchObject({ code: 0 })
    return { database, env, makeSchema, migrate, old, oldRedis, redis, shell }
  }

  it.each(wholeKinds)("copies what the tutorial says, on %s, and goes on where it stopped", async (kind) => {
    const { database, old, oldRedis, redis, shell } = await scene(kind)
    const before = await query(old.url, "CHECKSUM TABLE campaigns, coupons")
    expect(commands).toHaveLength(4)
    for (const command of commands) expect(await shell(command)).toMatchObject({ code: 0 })
    expect(await query(old.url, "CHECKSUM TABLE campaigns, coupons")).toEqual(before)

    const instance = await startFor(defer, { MYSQL_URL: database.url, REDIS_URL: redis.url })
    const load = loadFor(defer)
    const claim = (campaignId: number, userId: number) => load.claim(instance.url, { campaignId, userId })
    expect(await claim(1, 1)).toMatchObject({ outcome: "COUPON_ALREADY_CLAIMED", code: codeOf(0) })
    expect(await claim(1, 9_999)).toMatchObject({ outcome: "COUPON_SOLD_OUT" })
    expect(await claim(3, 1)).toMatchObject({ outcome: "COUPON_ALREADY_CLAIMED", code: codeOf(1) })
    expect(await claim(4, 1)).toMatchObject({ outcome: "CAMPAIGN_NOT_STARTED" })
    const answer = await fetch(`${instance.url}/coupon.v1.CouponService/GetCoupon`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ campaignId: 3, userId: 2 })
    })
    expect(await answer.json()).toMatchObject({ coupon: { number: 2, issuedAt: "2025-09-01T00:00:03.500Z" } })
    // The next coupon of campaign 3 is its 6,001st, and it sells exactly what is left.
    await load.claimAll(
      [instance.url],
      Array.from({ length: 2_100 }, (_, k) => ({ campaignId: 3, userId: 100_001 + k })),
      50
    )
    const [row] = await query(database.url, "SELECT COUNT(*) AS coupons FROM coupons WHERE campaign_id = 3")
    expect(Number(row!["coupons"])).toBe(8_000)
    await checkInvariants({ databaseUrl: database.url, redisUrl: redis.url }, undefined)
    expect(await oldRedis.command("EXISTS", "cache:coupon:issued")).toBe(":1")
  })

  it.each(otherKinds)("says, on %s, what was promised and not kept, and copies no promise", async (kind) => {
    const { makeSchema, migrate, oldRedis } = await scene(kind)
    await addTask(oldRedis.url, "archived", { campaignId: 3, userId: 777_001 })
    const redis = new Redis(oldRedis.url)
    await redis.hset("cache:coupon:issued", "campaign:3:user:777002", codeOf(9_000))
    await redis.hset("cache:coupon:issued", "campaign:3:user:1", codeOf(9_001))
    await makeSchema()
    const found = await migrate("--dry-run")
    expect(found).toMatchObject({ code: 0 })
    expect(found.out).toContain("never stored; these users can claim again: 777001 in campaign 3")
    expect(found.out).toContain("in the cache without a coupon, who can claim again: 777002 in campaign 3")
    expect(found.out).toContain("another code than the table, which counts: 1 in campaign 3")
    expect(found.out).toContain("campaign 3: Redis counted 6010, there are 6000 coupons; 10 slots are free again")

    await addTask(oldRedis.url, "pending", { campaignId: 3, userId: 777_003 })
    expect(await migrate()).toMatchObject({ code: 1, out: expect.stringContaining("1 claims wait in Asynq") as string })
    redis.disconnect()
  })

  it.each(otherKinds)("stops at what the ledger, on %s, cannot take, unless it is said what to do", async (kind) => {
    const { database, makeSchema, migrate, old } = await scene(kind)
    await query(
      old.url,
      "UPDATE campaigns SET coupon_limit = 290 WHERE id = 1",
      `INSERT INTO coupons (campaign_id, user_id, code, created_at) VALUES (3, 0, '${codeOf(9_999)}', NULL)`
    )
    const stopped = await migrate()
    expect(stopped.code).toBe(1)
    expect(stopped.out).toContain("campaign 1 has issued 300 coupons, and its limit is 290; --raise-limits")
    expect((await migrate("--raise-limits")).out).toContain("0 in campaign 3; --leave-out copies the others")
    expect(await migrate("--raise-limits", "--leave-out")).toMatchObject({
      code: 2,
      out: expect.stringContaining("run npm run migrate first") as string
    })
    await makeSchema()
    expect(await migrate("--raise-limits", "--leave-out")).toMatchObject({ code: 0 })
    const [row] = await query(database.url, "SELECT coupon_limit AS high FROM campaigns WHERE id = 1")
    expect(Number(row!["high"])).toBe(300)
    expect(await migrate("--raise-limits", "--leave-out")).toMatchObject({
      code: 2,
      out: expect.stringContaining("only an empty ledger can be copied to") as string
    })
  })

  it.each(otherKinds)("goes on, on %s, after it was cut off, and its check finds what is wrong", async (kind) => {
    const { database, makeSchema, migrate } = await scene(kind)
    await makeSchema()
    // As if it had died after some pages: coupons without a campaign.
    await query(database.url, "INSERT INTO coupons (campaign_id, id, user_id, code, issued_at) " +
      `VALUES (1, 1, 1, '${codeOf(0)}', '2025-09-01 00:00:00.500')`)
    expect(await migrate()).toMatchObject({ code: 0 })
    expect(await migrate("--check")).toMatchObject({ code: 0 })
    await query(
      database.url,
      `UPDATE coupons SET code = '${codeOf(9_998)}' WHERE campaign_id = 3 AND id = 5500`,
      "UPDATE campaigns SET coupon_limit = 11 WHERE id = 4",
      "DELETE FROM coupons WHERE campaign_id = 1 AND id = 300"
    )
    const checked = await migrate("--check")
    expect(checked.code).toBe(1)
    for (const line of ["campaign 3: coupon 5500", "campaign 4", "campaign 1: coupon 300"]) {
      expect(checked.out).toContain(`differs: ${line} differs`)
    }
    expect(checked.out).toContain("6300 coupons were to be copied, 6299 are here")
  })
})
