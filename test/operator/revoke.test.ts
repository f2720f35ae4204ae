import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import { coupon } from "./Command.ts"

const BOOTSTRAP = "bootstrap-key-for-tests-0123456789abcdef"

describe("coupon revoke", () => {
  let instance: Instance
  let run: ReturnType<typeof coupon>
  beforeAll(async () => {
    instance = await startInstance({ ADMIN_API_KEY: BOOTSTRAP })
    run = coupon(instance.url, { COUPON_API_KEY: BOOTSTRAP })
  })
  afterAll(() => (instance as Instance | undefined)?.kill())

  const soldOut = async (limit: number): Promise<string> => {
    const made = await run("campaign", "create", "--json", "--name", "여름", "--limit", String(limit))
    const id = String((JSON.parse(made.out) as { readonly campaignId: number }).campaignId)
    for (let user = 1; user <= limit; user++) expect((await run("issue", id, String(user))).code).toBe(0)
    return id
  }

  it("asks for --yes where there is no terminal, and then takes a coupon back for good", async () => {
    const id = await soldOut(1)
    const unconfirmed = await run("revoke", id, "--user", "1")
    expect(unconfirmed).toMatchObject({ code: exitCodes.USAGE.code, out: "" })
    expect(unconfirmed.err).toContain("--yes")
    expect((await run("get", id, "1", "--json")).out).toContain('"state":"ISSUED"')
    const done = await run("revoke", id, "--user", "1", "--reason", "stolen card", "--request-id", "r", "--yes")
    expect(done).toMatchObject({ code: 0, out: expect.stringMatching(/^request +r$/m) as string })
    expect((await run("get", id, "1", "--json")).out).toContain('"state":"REVOKED"')
    expect(await run("revoke", id, "--user", "1", "--request-id", "r", "--yes")).toEqual(done)
    const again = await run("revoke", id, "--user", "1", "--yes")
    expect(again.code).toBe(exitCodes.PRECONDITION.code)
    expect(again.err).toContain("COUPON_REVOKED")
    expect((await run("issue", id, "2")).err).toContain("COUPON_SOLD_OUT")
    const log = await run("log", "--campaign", id)
    expect(log.out).toContain("coupon.revoke")
  })

  it("shows campaigns without slots that were returned, and takes limits likewise", async () => {
    const id = await soldOut(2)
    expect((await run("revoke", id, "--user", "1", "--return-slot", "--yes")).code).toBe(0)
    expect((await run("campaign", "get", id)).out).toMatch(/^issued +1 of 2, and 1 whose slot was returned$/m)
    const [row] = (await run("campaign", "list")).out.split("\n").filter((line) => line.trim().startsWith(`${id} `))
    expect(row).toMatch(/OPEN +1 +2 /)
    expect((await run("issue", id, "3")).code).toBe(0)
    expect((await run("issue", id, "4")).err).toContain("COUPON_SOLD_OUT")
    expect((await run("campaign", "update", id, "--limit", "3")).out)
      .toMatch(/^issued +2 of 3, and 1 whose slot was returned$/m)
    expect(JSON.parse((await run("campaign", "get", "--json", id)).out)).toMatchObject({
      couponLimit: 4, currentCoupon: 3, returned: 1, remaining: 1
    })
    const verified = await run("verify", id)
    expect(verified.code, verified.out).toBe(0)
  })

  it("is for operators", async () => {
    const id = await soldOut(1)
    for (const role of ["ISSUER", "REDEEMER", "VIEWER"]) {
      const key = (await run("keys", "create", "--name", role, "--role", role)).out.trim()
      const refused = await coupon(instance.url, { COUPON_API_KEY: key })("revoke", id, "--user", "1", "--yes")
      expect([role, refused.code]).toEqual([role, exitCodes.ACCESS.code])
    }
    const key = (await run("keys", "create", "--name", "op", "--role", "OPERATOR")).out.trim()
    const done = await coupon(instance.url, { COUPON_API_KEY: key })("revoke", id, "--user", "1", "--yes")
    expect(done.code, done.err).toBe(0)
  })
})
