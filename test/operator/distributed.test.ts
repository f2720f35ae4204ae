import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import { inLongProfile } from "../support/profile.ts"
import { availableDatabases, databaseOn, gateKey, startRedis, type RedisServer } from "../support/servers.ts"
import { coupon } from "./Command.ts"

/** Nothing here depends on the kind of database. */
const kinds = inLongProfile(availableDatabases(), availableDatabases().slice(0, 1))

for (const kind of kinds) {
  describe(`coupon on ${kind} and Redis`, () => {
    let redis: RedisServer
    let database: Awaited<ReturnType<typeof databaseOn>>
    let instance: Instance
    let run: ReturnType<typeof coupon>
    beforeAll(async () => {
      redis = await startRedis()
      database = await databaseOn(kind)
      // A reconciler that hardly ever looks leaves to the operator what is wrong with a gate.
      instance = await startInstance({
        MYSQL_URL: database.url,
        REDIS_URL: redis.url,
        AUDIT_INTERVAL: "1m",
        HYDRATE_PAGE_SIZE: "2"
      })
      run = coupon(instance.url)
    })
    afterAll(async () => {
      await (instance as Instance | undefined)?.kill()
      await (redis as RedisServer | undefined)?.stop()
      await (database as typeof database | undefined)?.drop()
    })

    const soldTo = async (users: ReadonlyArray<string>): Promise<string> => {
      const { out } = await run("campaign", "create", "--json", "--name", "a", "--limit", "100")
      const id = String((JSON.parse(out) as { readonly campaignId: number }).campaignId)
      for (const user of users) expect(await run("issue", id, user)).toMatchObject({ code: 0 })
      await expect.poll(async () => (await run("verify", id)).out).toMatch(
        new RegExp(` hydrated +${users.length} +0 +0 +ok$`, "m")
      )
      return id
    }

    it("finds a gate that knows too much, and has it rebuilt from scratch", async () => {
      const id = await soldTo(["1", "2", "3"])
      await redis.command("SADD", await gateKey(database.url, id, "i"), "999")
      const found = await run("verify", id)
      expect(found.out).toContain(`G1 campaign ${id}: the gate knows 4 holders, the ledger 3`)
      expect(found).toMatchObject({
        code: exitCodes.UNSOUND.code,
        err: expect.stringContaining("coupon rebuild") as string
      })
      // What is in the live set stays there, unless it is discarded.
      expect((await run("rebuild", id)).code).toBe(0)
      expect((await run("verify", id)).code).toBe(exitCodes.UNSOUND.code)
      expect((await run("rebuild", id, "--discard", "--yes")).out).toMatch(/is complete: 3 holders/)
      expect((await run("verify", id)).code).toBe(0)
    })

    it("rebuilds a gate that has lost everything, telling page by page how far it is", async () => {
      const id = await soldTo(["1", "2", "3", "4", "5"])
      await redis.flushAll()
      expect((await run("verify", id)).out).toMatch(new RegExp(`^ +${id} +100 +5 +5 +cold +0 +0 +0 +ok$`, "m"))
      const { code, out } = await run("rebuild", id, "--json")
      expect(code).toBe(0)
      const events = out.trim().split("\n").map((line) => JSON.parse(line) as { readonly _tag: string })
      expect(events[0]).toMatchObject({ _tag: "Started", coupons: 5 })
      expect(events).toContainEqual({ _tag: "Progress", coupons: 2, of: 5 })
      expect(events.at(-1)).toMatchObject({ _tag: "Done", coupons: 5 })
      expect(await run("issue", id, "5")).toMatchObject({ code: exitCodes.PRECONDITION.code })
    })

    it("records, logs and counts each phase once over all instances", async () => {
      const settings = { MYSQL_URL: database.url, REDIS_URL: redis.url }
      const others = await Promise.all([startInstance(settings), startInstance(settings)])
      try {
        const runs = [instance, ...others].map(({ url }) => coupon(url))
        const start = new Date(Date.now() + 2_000).toISOString()
        const { out } = await run("campaign", "create", "--json", "--name", "phases", "--limit", "3", "--start", start)
        const id = String((JSON.parse(out) as { readonly campaignId: number }).campaignId)
        const phaseNow = async (phase: string) =>
          await expect.poll(async () =>
            (JSON.parse((await run("campaign", "history", id, "--json")).out) as ReadonlyArray<
              { readonly phase: string }
            >)[0]?.phase
          ).toBe(phase)
        await phaseNow("OPEN")
        for (const [k, one] of runs.entries()) expect(await one("issue", id, String(k + 1))).toMatchObject({ code: 0 })
        await phaseNow("SOLD_OUT")
        await runs[1]!("campaign", "update", id, "--limit", "4")
        await runs[2]!("campaign", "pause", id)
        await runs[1]!("campaign", "end", id, "--yes")
        const expected = ["SCHEDULED", "OPEN", "SOLD_OUT", "OPEN", "PAUSED", "ENDED"].map((phase, k) =>
          `${k + 1} ${phase}`
        )
        const { out: shown } = await run("campaign", "history", id, "--json")
        const events = JSON.parse(shown) as ReadonlyArray<
          { readonly sequence: number; readonly phase: string; readonly at: string }
        >
        expect(events.toReversed().map(({ phase, sequence }) => `${sequence} ${phase}`)).toEqual(expected)
        expect(Date.parse(events.at(-2)!.at)).toBe(Date.parse(start))
        await Promise.all(others.map((other) => other.stop()))
        const lines = [instance, ...others].flatMap((one) => one.logs().split("\n")).flatMap((line) => {
          const { annotations } = line.startsWith("{")
            ? JSON.parse(line) as { annotations?: Record<string, unknown> }
            : {}
          return annotations?.["phase"] !== undefined && String(annotations["campaignId"]) === id
            ? [`${annotations["event"]} ${annotations["phase"]}`]
            : []
        })
        expect(lines.sort()).toEqual(expected)
      } finally {
        await Promise.all(others.map((other) => other.stop()))
      }
    })

    it("shows no password of a store, and says what doctor sees of them", async () => {
      const { out } = await run("settings", "--json")
      const settings = JSON.parse(out) as ReadonlyArray<{ readonly name: string; readonly value: string }>
      expect(settings.filter(({ name }) => name === "MYSQL_URL" || name === "REDIS_URL").map(({ value }) => value))
        .toEqual(["***", "***"])
      expect(out).not.toContain(new URL(database.url).host)
      const { code, out: shown } = await run("doctor")
      expect(shown).toMatch(/^ok {4}ledger clock: /m)
      expect(shown).toMatch(/^ok {4}gate clock: /m)
      expect(code).toBe(0)
    })

    it("warns of a Redis that would throw holders away", async () => {
      const warning = /^WARN {2}settings: Redis's maxmemory_policy is allkeys-lru/m
      expect((await run("doctor")).out).not.toMatch(warning)
      await redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
      try {
        expect(await run("doctor")).toMatchObject({ code: 0, out: expect.stringMatching(warning) as string })
      } finally {
        await redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
      }
    })

    it("says that the gate is away, and works again when it is back", async () => {
      const id = await soldTo(["1"])
      redis.pause()
      try {
        expect(await run("rebuild", id)).toMatchObject({
          code: exitCodes.UNAVAILABLE.code,
          err: expect.stringContaining("the gate does not answer") as string
        })
        await expect.poll(async () => {
          const { campaigns } = JSON.parse((await run("watch", "--json", "--count", "1")).out) as {
            readonly campaigns: ReadonlyArray<{ readonly campaignId: number; readonly gate: string }>
          }
          return campaigns.find(({ campaignId }) => campaignId === Number(id))?.gate
        }).toBe("Unreachable")
        expect(await run("doctor")).toMatchObject({
          code: exitCodes.UNSOUND.code,
          out: expect.stringMatching(/^FAIL {2}gate: /m) as string
        })
      } finally {
        redis.resume()
      }
      await expect.poll(async () => (await run("rebuild", id)).code).toBe(0)
    })
  })
}
