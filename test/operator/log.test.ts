import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import { coupon, startCommand } from "./Command.ts"

const BOOTSTRAP = "the-first-key-of-all-0123456789abcdef"

interface Act {
  readonly sequence?: number
  readonly hash?: string
  readonly actor: string
  readonly action: string
  readonly after: Readonly<Record<string, unknown>>
  readonly keyId: string | null
  readonly role: string | null
  readonly address: string | null
  readonly requestId: string | null
  readonly reason: string | null
  readonly outcome: string | null
}

describe("coupon log", () => {
  let instance: Instance
  const as = (key: string) => coupon(instance.url, { COUPON_API_KEY: key })
  beforeAll(async () => {
    instance = await startInstance({ ADMIN_API_KEY: BOOTSTRAP })
  })
  afterAll(() => (instance as Instance | undefined)?.kill())

  const lines = (out: string) => out.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Act)
  const acts = async () => JSON.parse((await as(BOOTSTRAP)("log", "--json")).out) as ReadonlyArray<Act>

  it("has who acted, from where, by which request, with which outcome: also of what was refused", async () => {
    const admin = as(BOOTSTRAP)
    const made = await admin("keys", "create", "--name", "viewer", "--role", "VIEWER", "--json")
    const { id, secret } = JSON.parse(made.out) as { readonly id: string; readonly secret: string }
    const created = await admin("campaign", "create", "--name", "c", "--limit", "5", "--json")
    const { campaignId } = JSON.parse(created.out) as { readonly campaignId: number }
    expect(await as(secret)("campaign", "pause", String(campaignId))).toMatchObject({ code: exitCodes.ACCESS.code })
    expect(await as(secret)("keys", "list")).toMatchObject({ code: exitCodes.ACCESS.code })
    const unknown = `cpn_0123456789abcdef_${"A".repeat(43)}`
    expect(await as(unknown)("rebuild", String(campaignId))).toMatchObject({ code: exitCodes.ACCESS.code })
    // Allowed, and not possible.
    expect(await admin("campaign", "pause", "999999")).toMatchObject({ code: exitCodes.NOT_FOUND.code })
    expect(await admin("keys", "revoke", "unknown")).toMatchObject({ code: exitCodes.NOT_FOUND.code })

    await expect.poll(async () => (await acts()).filter(({ outcome }) => outcome === "REFUSED").length).toBe(5)
    const all = await acts()
    const from = { address: "127.0.0.1", requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string }
    const refused = (call: string, reason: string) =>
      all.find(({ after, outcome }) => outcome === "REFUSED" && after["call"] === call && after["reason"] === reason)
    const viewer = { actor: "viewer", keyId: id, role: "VIEWER", action: "act.refuse", ...from }
    expect(refused("PauseCampaign", "role")).toMatchObject(viewer)
    expect(refused("ListKeys", "role")).toMatchObject(viewer)
    expect(refused("operator plane", "unknown_key")).toMatchObject({
      actor: "unauthenticated", keyId: "0123456789abcdef", ...from
    })
    const ours = { actor: "bootstrap", keyId: null, role: "ADMIN", ...from }
    expect(refused("PauseCampaign", "RecordNotFound")).toMatchObject(ours)
    expect(refused("RevokeKey", "NotFound")).toMatchObject(ours)
    for (const action of ["key.create", "campaign.create"]) {
      expect(all.find((act) => act.action === action)).toMatchObject({ ...ours, outcome: "DONE" })
    }
    expect(new Set(all.map(({ requestId }) => requestId)).size).toBe(all.length)
    expect(JSON.stringify(all)).not.toContain("A".repeat(43))
    expect(JSON.stringify(all)).not.toContain(secret)
  })

  it("lists the acts of one name, of one kind and of a time", async () => {
    const admin = as(BOOTSTRAP)
    const listed = async (...args: ReadonlyArray<string>) => {
      const { out } = await admin("log", "--json", ...args)
      return JSON.parse(out) as ReadonlyArray<{ readonly actor: string; readonly action: string }>
    }
    expect(new Set((await listed("--who", "viewer")).map(({ actor }) => actor))).toEqual(new Set(["viewer"]))
    expect(new Set((await listed("--what", "key")).map(({ action }) => action))).toEqual(new Set(["key.create"]))
    expect(await listed("--until", "2020-01-01T00:00:00Z")).toEqual([])
    expect(await listed("--since", "2020-01-01T00:00:00Z")).not.toEqual([])
    expect(await admin("log", "--since", "yesterday")).toMatchObject({ code: exitCodes.USAGE.code })
    expect(await admin("log", "--verify", "--who", "x")).toMatchObject({ code: exitCodes.USAGE.code })
  })

  it("has why: of each act that was given a reason, done or refused", async () => {
    const admin = as(BOOTSTRAP)
    const why = (k: number) => `요청 ${k}: 100% "sure"`
    const made = JSON.parse(
      (await admin("keys", "create", "--name", "why", "--role", "VIEWER", "--reason", why(1), "--json")).out
    ) as { readonly id: string; readonly secret: string }
    const created = await admin("campaign", "create", "--name", "w", "--limit", "5", "--reason", why(2), "--json")
    const { campaignId } = JSON.parse(created.out) as { readonly campaignId: number }
    const id = String(campaignId)
    expect(await admin("campaign", "update", id, "--limit", "6", "--reason", why(3))).toMatchObject({ code: 0 })
    expect(await admin("rebuild", id, "--reason", why(4))).toMatchObject({ code: 0 })
    expect(await admin("issue", id, "1")).toMatchObject({ code: 0 })
    expect(await admin("revoke", id, "--user", "1", "--yes", "--reason", why(5))).toMatchObject({ code: 0 })
    expect(await admin("keys", "limit", made.id, "--networks", "127.0.0.1", "--reason", why(6))).toMatchObject({
      code: 0
    })
    expect(await as(made.secret)("campaign", "end", id, "--yes", "--reason", why(7))).toMatchObject({
      code: exitCodes.ACCESS.code
    })
    expect(await as(`cpn_0123456789abcdef_${"B".repeat(43)}`)("backup", "--to", "-", "--reason", why(8)))
      .toMatchObject({ code: exitCodes.ACCESS.code })
    expect(await admin("keys", "revoke", "unknown", "--reason", why(9))).toMatchObject({
      code: exitCodes.NOT_FOUND.code
    })
    await expect.poll(async () => (await acts()).filter(({ reason }) => reason !== null).length).toBe(9)
    const found = new Map((await acts()).map((act) => [act.reason, act]))
    const actions = ["key.create", "campaign.create", "campaign.update", "gate.rebuild", "coupon.revoke", "key.limit",
      "act.refuse", "act.refuse", "act.refuse"]
    expect(actions.map((_, k) => found.get(why(k + 1))?.action)).toEqual(actions)
    expect((await admin("log", "--limit", "20")).out).toContain(why(1))
    expect((await admin("campaign", "timeline", id)).out).toContain(why(2))
  })

  it("proves that it is whole, and that it holds what was kept elsewhere", async () => {
    const admin = as(BOOTSTRAP)
    const checked = await admin("log", "--verify")
    expect(checked.code).toBe(0)
    const [, sequence, hash] = /keep this elsewhere: (\d+):([0-9a-f]{64})/.exec(checked.out) ?? []
    expect(Number(sequence)).toBeGreaterThanOrEqual(7)
    // The log of the instance has the same.
    await expect.poll(() => instance.logs()).toContain(hash)
    expect(await admin("log", "--verify", "--expect", `${sequence!}:${hash!}`)).toMatchObject({ code: 0 })
    const other = await admin("log", "--verify", "--expect", `3:${hash!}`)
    expect(other).toMatchObject({ code: exitCodes.UNSOUND.code })
    expect(other.out).toContain("place 3: the copy that was given has another act here")
    expect(await admin("log", "--verify", "--expect", "x")).toMatchObject({ code: exitCodes.USAGE.code })
    expect(await admin("log", "--verify", "--export")).toMatchObject({ code: exitCodes.USAGE.code })
  })

  it("is exported whole, the oldest first", async () => {
    const { code, out } = await as(BOOTSTRAP)("log", "--export")
    expect(code).toBe(0)
    const rows = lines(out)
    expect(rows.map(({ sequence }) => sequence)).toEqual(rows.map((_, index) => index + 1))
    expect(rows.length).toBe((await acts()).length)
    expect(rows.every(({ hash }) => /^[0-9a-f]{64}$/.test(hash!))).toBe(true)
  })

  it("can be followed: each act comes once, in its order", async () => {
    const env = { COUPON_URL: instance.url, COUPON_API_KEY: BOOTSTRAP }
    const command = startCommand(["log", "--follow", "--limit", "2", "--json"], env)
    try {
      await expect.poll(() => lines(command.out()).length, { timeout: 30_000 }).toBe(2)
      for (let k = 0; k < 3; k++) await as(BOOTSTRAP)("campaign", "create", "--name", `f${k}`, "--limit", "1")
      await expect.poll(() => lines(command.out()).length, { timeout: 30_000 }).toBe(5)
      const seen = lines(command.out())
      expect(seen.slice(2).map(({ after }) => after["name"])).toEqual(["f0", "f1", "f2"])
      expect(new Set(seen.map(({ sequence }) => sequence)).size).toBe(5)
    } finally {
      command.kill("SIGINT")
      await command.ended
    }
  })

  it("is not filled by strangers: what is refused beyond a few is summed up", async () => {
    const before = (await acts()).length
    const pause = (k: number) =>
      fetch(`${instance.url}/coupon.v1.CouponService/PauseCampaign`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer guess-${k}` },
        body: '{"campaignId":1}'
      })
    for (let k = 0; k < 200; k++) expect([401, 429]).toContain((await pause(k)).status)
    const metrics = async () =>
      (await fetch(`${instance.url}/metrics`, { headers: { authorization: `Bearer ${BOOTSTRAP}` } })).text()
    expect(await metrics()).toMatch(/^coupon_refused_acts_total\{record="summed"\} 1[67]\d$/m)
    await expect.poll(async () => (await acts()).length).toBeLessThanOrEqual(50)
    expect((await acts()).length - before).toBeLessThanOrEqual(31)
  })
})
