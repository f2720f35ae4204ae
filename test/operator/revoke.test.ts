import * as net from "node:net"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
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
    expect(again.err).toMatch(/^COUPON_REVOKED: at 2\d{3}-\S+Z$/m)
    expect((await run("issue", id, "2")).err).toContain("COUPON_SOLD_OUT")
    const log = await run("log", "--campaign", id)
    expect(log.out).toContain("coupon.revoke")
  })

  it("has one rule of request ids with create, redeem, undo and imports", async () => {
    const id = await soldOut(1)
    const file = fileURLToPath(import.meta.url)
    const commands = [
      ["revoke", id, "--user", "1", "--yes"], ["redeem", id, "--user", "1"], ["undo", id, "--user", "1"],
      ["campaign", "create", "--name", "n", "--limit", "1"], ["codes", "import", id, file]
    ]
    for (const command of commands) {
      for (const wrong of ["", "x".repeat(65)]) {
        expect(await run(...command, "--request-id", wrong), command[0]!).toMatchObject({
          code: exitCodes.USAGE.code,
          err: expect.stringContaining("--request-id must be 1 to 64 characters") as string
        })
      }
    }
    const widest = "\u{1f39f}".repeat(64)
    expect((await run("redeem", id, "--user", "1", "--request-id", widest)).code).toBe(0)
    expect((await run("campaign", "create", "--name", "n", "--limit", "1", "--request-id", widest)).code).toBe(0)
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

  it("is named with its coupon and reason among the campaign's events, as other acts are", async () => {
    const id = await soldOut(3)
    await run("redeem", id, "--user", "2", "--terminal", "till-7")
    await run("undo", id, "--user", "2", "--reason", "wrong order")
    await run("revoke", id, "--user", "3", "--yes")
    const acts = async () =>
      (await run("events", id)).out.split("\n").filter((line) => /coupon\.re/.test(line))
        .map((line) => line.replace(/^ *\d+ {2}\S+Z +/, "").replace(/ +/, " "))
    await expect.poll(acts, { timeout: 20_000 }).toEqual([
      "coupon.redeemed coupon 2, till-7",
      "coupon.redemption_undone coupon 2, wrong order",
      "coupon.revoked coupon 3"
    ])
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

describe("coupon redeem", () => {
  let instance: Instance
  let run: ReturnType<typeof coupon>
  beforeAll(async () => {
    instance = await startInstance()
    run = coupon(instance.url)
  })
  afterAll(() => (instance as Instance | undefined)?.kill())

  const issued = async (): Promise<string> => {
    const made = await run("campaign", "create", "--json", "--name", "r", "--limit", "1")
    const id = String((JSON.parse(made.out) as { readonly campaignId: number }).campaignId)
    expect((await run("issue", id, "1")).code).toBe(0)
    return id
  }

  /** An address at which so many of the first answers are lost. */
  const losing = async (answers: number) => {
    let lost = answers
    const proxy = net.createServer((socket) => {
      const upstream = net.connect(instance.port, "127.0.0.1")
      for (const one of [socket, upstream]) {
        one.on("error", () => {}).on("close", () => (socket.destroy(), upstream.destroy()))
      }
      socket.pipe(upstream)
      upstream.on("data", (chunk: Buffer) => lost-- > 0 ? socket.destroy() : socket.write(chunk))
    })
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
    return { close: () => proxy.close(), url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` }
  }

  it("asks again by the same request id until it has an answer", async () => {
    const id = await issued()
    const { close, url } = await losing(2)
    const done = await coupon(url)("redeem", id, "--user", "1", "--json")
    expect(done).toMatchObject({ code: 0, err: "" })
    expect(JSON.parse(done.out)).toMatchObject({ coupon: { state: "REDEEMED" }, redemption: { sequence: 1 } })
    close()
  })

  it("says by which request id to ask again if it gets none, and that one has the answer", async () => {
    const id = await issued()
    const { close, url } = await losing(Infinity)
    const open = await coupon(url)("redeem", id, "--user", "1", "--terminal", "till-7")
    expect(open).toMatchObject({ code: exitCodes.UNKNOWN.code, out: "" })
    const [, requestId] = /repeat it with --request-id (\S+)$/m.exec(open.err) ?? []
    expect(await run("redeem", id, "--user", "1", "--request-id", requestId!)).toMatchObject({ code: 0 })
    const other = await run("redeem", id, "--user", "1")
    expect(other.code).toBe(exitCodes.PRECONDITION.code)
    expect(other.err).toMatch(/^COUPON_REDEEMED: at 2\d{3}-\S+Z, till-7$/m)
    close()
  })
})
