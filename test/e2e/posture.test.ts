import { afterAll, describe, expect, it } from "vitest"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { startInstance } from "../support/Instance.ts"
import { inLongProfile } from "../support/profile.ts"
import { availableDatabases, databaseOn, startRedis } from "../support/servers.ts"
import { deferral, startFor } from "./scenario.ts"

const ADMIN = "bootstrap-key-for-tests-0123456789abcdef"

const post = async (url: string, path: string, body: unknown, key?: string) => {
  const reply = await fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...key === undefined ? {} : { authorization: `Bearer ${key}` } },
    body: JSON.stringify(body)
  })
  return reply.status
}
const create = (url: string, key?: string) =>
  post(url, "/coupon.v1.CouponService/CreateCampaign", {
    name: "x",
    couponLimit: "1",
    startTime: "2025-06-25T00:00:00Z"
  }, key)

/** A real MySQL where there is one. */
const kinds = inLongProfile(availableDatabases(), availableDatabases().slice(-1))
const MISSPELT = inLongProfile(["Production", "prod", "staging"], ["Production"])

describe("an instance that forgot that its deployment is production", () => {
  const directory = temporaryDirectory("posture")
  afterAll(() => removeDirectory(directory))
  const defer = deferral()

  const stores: Readonly<Record<string, () => Promise<Readonly<Record<string, string>>>>> = {
    embedded: async () => ({ DATA_DIR: directory }),
    ...Object.fromEntries(kinds.map((kind) => [kind, async () => {
      const [database, redis] = [await databaseOn(kind), await startRedis()]
      defer(async () => {
        await database.drop()
        await redis.stop()
      })
      return { MYSQL_URL: database.url, REDIS_URL: redis.url }
    }]))
  }

  it.each(Object.entries(stores))("does not open administration: %s", async (name, make) => {
    const env = await make()
    // Before, it is open: nothing else than the ledger's memory closes it below.
    const before = await startInstance(env)
    expect(await create(before.url)).toBe(200)
    await before.stop()

    const production = await startFor(defer, {
      ...env,
      NODE_ENV: "production",
      PUBLIC_ACCESS: "open",
      ADMIN_API_KEY: ADMIN
    })
    // One process owns the embedded ledger.
    if (name === "embedded") await production.stop()
    // Which of them it is decides the settings; what is kept in the ledger is the same for all.
    const forgotten: ReadonlyArray<string> = name === "embedded" ? ["development", ""] : [""]
    for (const NODE_ENV of inLongProfile(["development", "test", ""], forgotten)) {
      const forgetful = await startInstance({ ...env, NODE_ENV })
      try {
        expect(await create(forgetful.url), NODE_ENV).toBe(401)
        expect(await create(forgetful.url, ADMIN), NODE_ENV).toBe(401)
        expect(await post(forgetful.url, "/coupon.v1.CouponService/IssueCoupon", { campaignId: 1, userId: 1 })).not
          .toBe(401)
        expect(forgetful.logs()).toContain("but this ledger has been served in production: administration stays closed")
        expect(forgetful.logs()).not.toContain("ADMINISTRATION IS OPEN")
      } finally {
        await forgetful.stop()
      }
    }
  })

  it.each(MISSPELT)("NODE_ENV=%s is refused at the start", async (NODE_ENV) => {
    const start = startInstance({ NODE_ENV })
    await expect(start).rejects.toThrow(`NODE_ENV: must be development, test or production, and is "${NODE_ENV}"`)
  })
})
