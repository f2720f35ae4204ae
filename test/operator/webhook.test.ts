import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { Webhook } from "standardwebhooks"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import { webhookTable } from "../../src/cli/watching/WatchTables.ts"
import type { Overview } from "../../src/contract/Overview.ts"
import { type Instance, startInstance } from "../support/Instance.ts"
import { coupon, startCommand } from "./Command.ts"

interface Received {
  readonly headers: http.IncomingHttpHeaders
  readonly text: string
}

it("doctor and the console's advice say that webhooks are off while enabled ones wait", async () => {
  const DATA_DIR = mkdtempSync(Path.join(tmpdir(), "coupon-off-"))
  const network = { WEBHOOK_ALLOW_HTTP: "on", WEBHOOK_ALLOWED_NETWORKS: "127.0.0.0/8" }
  try {
    const on = await startInstance({ DATA_DIR, SECRETS_KEY: `k1:${randomBytes(32).toString("base64")}`, ...network })
    expect((await coupon(on.url)("doctor")).out).not.toContain("webhooks")
    for (const port of [9, 10]) await coupon(on.url)("webhook", "create", `http://127.0.0.1:${port}`)
    const [, disabled] = JSON.parse((await coupon(on.url)("webhook", "list", "--json")).out) as Array<{ id: string }>
    await coupon(on.url)("webhook", "update", disabled!.id, "--disable")
    await on.kill()

    const off = await startInstance({ DATA_DIR })
    expect(await coupon(off.url)("doctor")).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^WARN {2}webhooks: .*SECRETS_KEY is not set.* no events: 1$/m) as string
    })
    await off.kill()
  } finally {
    rmSync(DATA_DIR, { recursive: true, force: true })
  }
})

describe("webhooks by the command", () => {
  let instance: Instance
  let server: http.Server
  let hook: string
  let status = 204
  const received: Array<Received> = []
  beforeAll(async () => {
    server = http.createServer((request, response) => {
      let text = ""
      request.setEncoding("utf8").on("data", (chunk: string) => (text += chunk)).on("end", () => {
        received.push({ headers: request.headers, text })
        response.writeHead(status).end()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    hook = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
    instance = await startInstance({
      SECRETS_KEY: `k1:${randomBytes(32).toString("base64")}`,
      WEBHOOK_ALLOW_HTTP: "on",
      WEBHOOK_ALLOWED_NETWORKS: "127.0.0.0/8"
    })
  })
  afterAll(async () => {
    server.close()
    await (instance as Instance | undefined)?.kill()
  })

  const run = (...args: ReadonlyArray<string>) => coupon(instance.url)(...args)
  const json = async (...args: ReadonlyArray<string>) => {
    const { code, err, out } = await run(...args, "--json")
    expect(code, err).toBe(0)
    return JSON.parse(out) as Record<string, never>
  }
  const verified = (secret: string, { headers, text }: Received) =>
    new Webhook(secret).verify(text, headers as Record<string, string>)

  it("makes one, tries it, and delivers to it", async () => {
    const made = await run("webhook", "create", hook, "--mode", "each", "--types", "coupon.issued")
    expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^whsec_\S+\n$/) })
    const secret = made.out.trim()
    const [{ id }] = await json("webhook", "list") as unknown as [{ readonly id: string }]

    received.length = 0
    expect(await run("webhook", "trigger", "coupon.issued", "--webhook", id)).toMatchObject({ code: 0, err: "" })
    expect(verified(secret, received[0]!)).toMatchObject({ type: "coupon.issued", data: { test: true } })
    status = 500
    const refused = await run("webhook", "trigger", "coupon.issued", "--webhook", id)
    expect(refused).toMatchObject({ code: exitCodes.UNSOUND.code, err: expect.stringContaining("500") })
    status = 204

    received.length = 0
    const campaign = await json("campaign", "create", "--name", "sale", "--limit", "5")
    const campaignId = String(campaign["campaignId"])
    const { out: code } = await run("issue", campaignId, "7")
    await expect.poll(() => received.length).toBe(1)
    expect(verified(secret, received[0]!)).toMatchObject({ data: { userId: "7", code: code.trim(), number: 1 } })

    const rotated = await run("webhook", "rotate-secret", id, "--overlap", "1h")
    expect(rotated.out.trim()).not.toBe(secret)
    const isBy = (valid: string, one: Received) => {
      try {
        return verified(valid, one) !== undefined
      } catch {
        return false
      }
    }
    // What is sent in the second after it was rotated may be signed as before.
    await expect.poll(async () => {
      expect(await run("webhook", "replay", id, "--campaign", campaignId)).toMatchObject({ code: 0 })
      return received.slice(1).some((one) => [secret, rotated.out.trim()].every((valid) => isBy(valid, one)))
    }, { interval: 200 }).toBe(true)

    expect(await json("webhook", "update", id, "--disable", "--campaigns", campaignId)).toMatchObject({
      status: "DISABLED",
      campaignIds: [Number(campaignId)]
    })
    expect((await run("webhook", "get", id)).out).toContain("disabled")
    expect((await run("webhook", "attempts", id)).out).toContain("delivered")
    expect((await run("webhook", "parked", id)).out).toBe("nothing is set aside\n")
    expect(await run("webhook", "retry", id)).toMatchObject({ code: exitCodes.USAGE.code })
    expect(await json("webhook", "retry", id, "--all")).toMatchObject({ count: 0 })
    for (const [unknown, what] of [[["7", "7"], "one of"], [["7", "8"], "2 of"]] as const) {
      const { code, err, out } = await run("webhook", "retry", id, ...unknown)
      expect([code, out]).toEqual([exitCodes.NOT_FOUND.code, ""])
      expect(err).toMatch(new RegExp(`not set aside ${what} these deliveries\n.*coupon webhook parked`))
    }
    expect(await run("webhook", "update", id, "--enable", "--expected-version", "999")).toMatchObject({
      code: exitCodes.PRECONDITION.code,
      err: expect.stringContaining("coupon webhook get") as string
    })
    expect(await run("webhook", "delete", id)).toMatchObject({ code: 0 })
    expect(await run("webhook", "get", id)).toMatchObject({
      code: exitCodes.NOT_FOUND.code,
      err: expect.stringContaining("coupon webhook list") as string
    })
  })

  it("retry sends what is set aside, and fails for what is not", async () => {
    await run("webhook", "create", hook, "--types", "coupon.issued", "--on-failure", "park", "--max-attempts", "1")
    const [{ id }] = await json("webhook", "list") as unknown as [{ readonly id: string }]
    const campaignId = String((await json("campaign", "create", "--name", "parked", "--limit", "9"))["campaignId"])
    const parked = async () => await json("webhook", "parked", id) as unknown as ReadonlyArray<{ readonly id: string }>
    status = 500
    try {
      await run("issue", campaignId, "1")
      await expect.poll(async () => (await parked()).length, { timeout: 20_000 }).toBe(1)
    } finally {
      status = 204
    }
    const [delivery] = await parked()
    expect(await run("webhook", "retry", id, delivery!.id, "999999")).toMatchObject({
      code: exitCodes.NOT_FOUND.code,
      out: "1 is sent again\n",
      err: expect.stringContaining("one of these deliveries") as string
    })
    await expect.poll(async () => (await parked()).length, { timeout: 20_000 }).toBe(0)
    expect(await run("webhook", "delete", id)).toMatchObject({ code: 0 })
  })

  it("watch shows what a webhook has not taken", async () => {
    await run("webhook", "create", hook, "--types", "coupon.issued")
    const [{ id }] = await json("webhook", "list") as unknown as [{ readonly id: string }]
    const line = async () => (await run("watch", "--count", "1")).out
    const campaignId = String((await json("campaign", "create", "--name", "late", "--limit", "9"))["campaignId"])
    status = 500
    try {
      for (const user of ["1", "2"]) await run("issue", campaignId, user)
      await expect.poll(line, { timeout: 20_000 }).toMatch(/ webhooks=[1-9]\d* late=\S+ agents=/)
      const webhooks = async () =>
        (JSON.parse((await run("watch", "--count", "1", "--json")).out) as Overview).webhooks
      // A backlog shows before its first attempt has failed.
      await expect.poll(webhooks, { timeout: 20_000 }).toEqual([
        { id, host: new URL(hook).host, state: "FAILING", backlog: expect.any(Number), lagMillis: expect.any(Number) }
      ])
      expect(webhookTable((await webhooks())!)).toMatch(
        new RegExp(`^webhook +host +state +backlog +oldest\n${id} +127\\.0\\.0\\.1:\\d+ +failing +[1-9]\\d* +\\d`)
      )
    } finally {
      status = 204
    }
    await run("webhook", "update", id, "--disable")
    await run("webhook", "update", id, "--enable")
    await expect.poll(line, { timeout: 20_000 }).toMatch(/ webhooks=0 agents=/)
    expect(await run("webhook", "delete", id)).toMatchObject({ code: 0 })
  })

  it("listen sends what happens to an endpoint without a public address", async () => {
    const campaignId = String((await json("campaign", "create", "--name", "mine", "--limit", "9"))["campaignId"])
    await run("issue", campaignId, "1")
    received.length = 0
    const secret = `whsec_${randomBytes(32).toString("base64")}`
    const listening = startCommand(
      ["listen", "--forward-to", hook, "--campaign", campaignId, "--after", "0", "--secret", secret],
      { COUPON_URL: instance.url }
    )
    const events = () =>
      received.flatMap((one) => verified(secret, one) as ReadonlyArray<{ type: string; data: { number?: number } }>)
    await expect.poll(() => events().length, { timeout: 20_000 }).toBe(2)
    // A receiver that fails ends nothing.
    status = 500
    await run("issue", campaignId, "2")
    await expect.poll(() => events().length, { timeout: 20_000 }).toBe(3)
    status = 204
    await run("issue", campaignId, "3")
    await expect.poll(() => events().length, { timeout: 20_000 }).toBe(4)
    expect(events().map(({ data, type }) => [type, data.number])).toEqual([
      ["campaign.created", undefined],
      ["coupon.issued", 1],
      ["coupon.issued", 2],
      ["coupon.issued", 3]
    ])
    listening.kill("SIGINT")
    const { code, out } = await listening.ended
    expect(code).toBe(exitCodes.INTERRUPTED.code)
    expect(out).toMatch(/coupon\.issued +1 in msg_\S+: 500 Internal Server Error/)
  })

  it("listen sends the events as the log has them, also those that a watch sends as one", async () => {
    const campaignId = String((await json("campaign", "create", "--name", "exact", "--limit", "9"))["campaignId"])
    const logged = async () => {
      const { out } = await run("events", campaignId, "--json")
      return out.trim().split("\n").map((line) => JSON.parse(line) as { sequence: number; lastNumber?: number })
    }
    // Each in a range of its own.
    for (let user = 1; user <= 3; user++) {
      await run("issue", campaignId, String(user))
      await expect.poll(async () => (await logged()).at(-1)?.lastNumber).toBe(user)
    }
    expect(await logged()).toHaveLength(4)
    const secret = `whsec_${randomBytes(32).toString("base64")}`
    for (const [mode, expected] of [["batch", ["1", "2-1", "3-2", "4-3"]], ["range", ["1", "2", "3", "4"]]] as const) {
      received.length = 0
      const listening = startCommand(
        ["listen", "--forward-to", hook, "--campaign", campaignId, "--after", "0", "--mode", mode, "--secret", secret],
        { COUPON_URL: instance.url }
      )
      const idsOf = (one: Received) => (verified(secret, one) as ReadonlyArray<{ id: string }>).map(({ id }) => id)
      const ids = () => received.flatMap(idsOf)
      await expect.poll(() => ids().length, { timeout: 20_000 }).toBe(expected.length)
      expect(ids()).toEqual(expected.map((id) => `${campaignId}-${id}`))
      // The coupons were a single event of the watch.
      expect(received).toHaveLength(2)
      listening.kill("SIGINT")
      await listening.ended
    }
  })

  it("listen refuses what is no URL and no secret", async () => {
    const bad = (...args: ReadonlyArray<string>) => run("listen", "--campaign", "1", ...args)
    expect(await bad("--forward-to", "localhost")).toMatchObject({ code: exitCodes.USAGE.code })
    expect(await bad("--forward-to", hook, "--secret", "whsec_x")).toMatchObject({ code: exitCodes.USAGE.code })
  })
})
