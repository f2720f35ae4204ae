import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as Arguments from "../../src/cli/Arguments.ts"
import { entries, wordsOf } from "../../src/cli/Guide.ts"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import { VERSION } from "../../src/config/Version.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import { coupon, startCommand } from "./Command.ts"

const root = Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../..")
const read = (file: string) => readFileSync(Path.join(root, file), "utf8")

const CODE = /^[가-힣0-9]{10}\n$/

describe("coupon, on a service that runs", () => {
  let instance: Instance
  let run: ReturnType<typeof coupon>
  beforeAll(async () => {
    instance = await startInstance()
    run = coupon(instance.url)
  })
  afterAll(() => (instance as Instance | undefined)?.kill())

  const open = async (...args: ReadonlyArray<string>): Promise<string> => {
    const { code, out } = await run("campaign", "create", "--json", "--name", "여름", ...args)
    expect(code).toBe(0)
    return String((JSON.parse(out) as { readonly campaignId: number }).campaignId)
  }

  it("opens a campaign, hands its coupons out and shows them", async () => {
    const id = await open("--limit", "2", "--end", "+2h")
    const issued = await run("issue", id, "1")
    expect(issued).toMatchObject({ code: 0, out: expect.stringMatching(CODE) as string, err: "" })
    const held = issued.out.trim()
    expect(await run("get", id, "1", "--json")).toMatchObject({
      code: 0,
      out: expect.stringContaining(`"code":"${held}"`) as string
    })
    // Where a flag comes before the campaign's number, which happens to be a truth value.
    const shown = await run("campaign", "get", "--json", id)
    expect(JSON.parse(shown.out)).toMatchObject({ id: Number(id), name: "여름", couponLimit: 2, currentCoupon: 1 })
    expect((await run("campaign", "get", id)).out).toMatch(/^issued +1 of 2$/m)
    expect((await run("campaign", "get", id, "--codes")).out).toBe(`${held}\n`)
    expect((await run("campaign", "get", id, "--codes", "--json")).out).toBe(`{"code":"${held}"}\n`)
  })

  it("lists what happened to a campaign", async () => {
    const id = await open("--limit", "1")
    await run("issue", id, "1")
    const { out } = await run("campaign", "update", id, "--limit", "2")
    expect(out).not.toBe("")
    await expect.poll(async () => (await run("events", id)).out, { timeout: 20_000 }).toContain("version 2")
    const listed = (await run("events", id)).out.trimEnd().split("\n")
    expect(listed.map((line) => line.replace(/ {2}\S+Z +/, "  ").trim())).toEqual([
      "1  campaign.created   version 1",
      "2  coupon.issued      coupon 1",
      "3  campaign.sold_out  version 1",
      "4  campaign.updated   version 2, couponLimit: 2"
    ])
    const json = (await run("events", id, "--json", "--after", "1")).out.trimEnd().split("\n")
    expect(json.map((line) => (JSON.parse(line) as { readonly type: string }).type))
      .toEqual(["coupon.issued", "campaign.sold_out", "campaign.updated"])
    expect(await run("events", id, "--after", "4")).toMatchObject({ code: 0, out: "" })
    expect(await run("events", "1000000")).toMatchObject({ code: exitCodes.NOT_FOUND.code })
    expect(await run("events", id, "--after=-1")).toMatchObject({ code: exitCodes.USAGE.code })
  })

  it("ends with the code that says why not", async () => {
    const id = await open("--limit", "1")
    const { out } = await run("issue", id, "1")
    const again = await run("issue", id, "1")
    expect(again).toMatchObject({ code: exitCodes.PRECONDITION.code, out: "" })
    expect(again.err).toContain(`COUPON_ALREADY_CLAIMED: user 1 holds ${out.trim()}`)
    const soldOut = await run("issue", id, "9223372036854775807", "--json")
    expect(soldOut.code).toBe(exitCodes.PRECONDITION.code)
    expect(JSON.parse(soldOut.err)).toMatchObject({ error: { code: "COUPON_SOLD_OUT", exitCode: 4 } })
    const later = await open("--limit", "1", "--start", "+1d")
    expect(await run("issue", later, "1")).toMatchObject({
      code: 4,
      err: expect.stringContaining("CAMPAIGN_NOT_STARTED") as string
    })
    expect(await run("get", id, "2")).toMatchObject({ code: exitCodes.NOT_FOUND.code })
    expect(await run("campaign", "get", "1000000")).toMatchObject({ code: exitCodes.NOT_FOUND.code })
    expect(await run("rebuild", "1000000")).toMatchObject({ code: exitCodes.NOT_FOUND.code })
    expect(await run("verify", "1000000")).toMatchObject({ code: exitCodes.NOT_FOUND.code })
  })

  it("changes campaigns, and not those that another operator has changed meanwhile", async () => {
    const id = await open("--limit", "3", "--end", "+1h")
    expect(
      (await run("campaign", "update", id, "--limit", "2", "--name", "겨울", "--no-end", "--expected-version", "1")).out
    )
      .toMatch(/^name +겨울\n(?:.*\n)*issued +0 of 2\n(?:(?!end).*\n)*version +2$/m)
    const late = await run("campaign", "update", id, "--limit", "9", "--expected-version", "1")
    expect(late).toMatchObject({
      code: exitCodes.PRECONDITION.code,
      out: "",
      err: expect.stringContaining("CONFLICT") as string
    })
    const paused = await run("campaign", "pause", id, "--json")
    expect(JSON.parse(paused.out)).toMatchObject({
      id: Number(id),
      status: "PAUSED",
      version: 3,
      couponLimit: 2
    })
    expect(await run("issue", id, "1")).toMatchObject({
      code: 4,
      err: expect.stringMatching(/^CAMPAIGN_PAUSED\n.*resume/) as string
    })
    expect(await run("campaign", "resume", id)).toMatchObject({ code: 0 })
    expect(await run("issue", id, "1")).toMatchObject({ code: 0 })
    expect(await run("campaign", "update", id, "--limit", "0")).toMatchObject({ code: exitCodes.USAGE.code })
    expect(await run("campaign", "end", id, "--yes")).toMatchObject({ code: 0 })
    expect(await run("issue", id, "2")).toMatchObject({
      code: 4,
      err: expect.stringContaining("CAMPAIGN_ENDED") as string
    })

    const listed = await run("campaign", "list", "--status", "ended", "--prefix", "겨", "--json")
    expect(JSON.parse(listed.out)).toMatchObject({
      campaigns: [{ id: Number(id), name: "겨울", currentCoupon: 1 }],
      more: false
    })
    expect((await run("campaign", "list", "--limit", "1")).out).toMatch(/^there are more/m)
    const log = await run("log", "--json", "--campaign", id)
    expect((JSON.parse(log.out) as ReadonlyArray<{ readonly action: string }>).map(({ action }) => action)).toEqual([
      "campaign.end", "campaign.resume", "campaign.pause", "campaign.update", "campaign.create"
    ])
  })

  it("shows what a campaign is now, lists by that, and tells what it has been", async () => {
    const prefix = `phase ${Math.random().toString(36)}`
    const make = async (...args: ReadonlyArray<string>) => {
      const { out } = await run("campaign", "create", "--json", "--limit", "1", "--name", prefix, ...args)
      return (JSON.parse(out) as { readonly campaignId: number }).campaignId
    }
    expect(
      await run(
        "campaign", "create", "--limit", "1", "--name", "x", "--start", "2020-01-01T00:00:00Z", "--end",
        "2021-01-01T00:00:00Z"
      )
    )
      .toMatchObject({ code: exitCodes.USAGE.code, err: expect.stringContaining("allowPastEnd") as string })
    const over = await make("--start", "2020-01-01T00:00:00Z", "--end", "2021-01-01T00:00:00Z", "--allow-past-end")
    const later = await make("--start", "+1d")
    const id = await make()
    await run("issue", String(id), "1")
    expect((await run("campaign", "get", String(id))).out).toMatch(
      /^phase +SOLD_OUT\n(?:.*\n)*opened +\S+Z\nsold out +\S+Z$/m
    )
    const listed = async (...args: ReadonlyArray<string>) =>
      (JSON.parse((await run("campaign", "list", "--json", "--prefix", prefix, ...args)).out) as {
        readonly campaigns: ReadonlyArray<{ readonly id: number }>
      })
        .campaigns.map((one) => one.id)
    expect(await listed("--phase", "ended")).toEqual([over])
    expect(await listed("--status", "ended")).toEqual([over])
    expect(await listed("--phase", "scheduled")).toEqual([later])
    expect(await listed("--phase", "sold-out")).toEqual([id])
    expect(await listed("--status", "active")).toEqual([id, later])
    expect(await run("campaign", "list", "--phase", "open", "--status", "active")).toMatchObject({
      code: exitCodes.USAGE.code
    })
    expect((await run("campaign", "list", "--prefix", prefix)).out).toMatch(/^ +\d+ +phase \S+ +SCHEDULED +0 +1 /m)

    await run("campaign", "update", String(id), "--limit", "2")
    await run("campaign", "pause", String(id))
    await run("campaign", "resume", String(id))
    await run("campaign", "end", String(id), "--yes")
    const phases = ["OPEN", "SOLD_OUT", "OPEN", "PAUSED", "OPEN", "ENDED"]
    const history = async () =>
      JSON.parse((await run("campaign", "history", String(id), "--json")).out) as ReadonlyArray<
        { readonly phase: string }
      >
    expect((await history()).map(({ phase }) => phase).toReversed()).toEqual(phases)
    expect((await run("campaign", "history", String(id), "--limit", "1")).out).toMatch(
      /^event +phase +reached at +noticed at\n +6 +ENDED +\S+Z +\S+Z\n$/
    )
    expect(await run("campaign", "history", "1000000")).toMatchObject({ code: exitCodes.NOT_FOUND.code })
    const entries = async (...more: ReadonlyArray<string>) =>
      (await run("campaign", "timeline", String(id), ...more)).out.split("\n")
        .flatMap((line) => /^\S+Z +(?:\S+ {2,})?(campaign\.\w+|[A-Z_]+)(?: |$)/.exec(line)?.[1] ?? [])
    const acts = ["create", "update", "pause", "resume", "end"].map((act) => `campaign.${act}`)
    const timeline = (await entries()).toReversed()
    expect(timeline.filter((entry) => entry.startsWith("campaign."))).toEqual(acts)
    expect(timeline.filter((entry) => !entry.startsWith("campaign."))).toEqual(phases)
    expect(timeline.slice(-2)).toEqual(["campaign.end", "ENDED"])
    expect(await entries("--limit", "2")).toEqual(["ENDED", "campaign.end"])
    expect(await run("campaign", "timeline", "1000000")).toMatchObject({ code: exitCodes.NOT_FOUND.code })
    const lines = instance.logs().split("\n")
      .filter((line) => line.includes('"phase":') && line.includes(`"campaignId":${id},`))
    expect(lines.map((line) => /"phase":"(\w+)"/.exec(line)![1])).toEqual(phases)
    expect(lines[1]).toContain("a campaign is sold out")
    const metrics = await (await fetch(`${instance.url}/metrics`)).text()
    for (const phase of ["SCHEDULED", "OPEN", "SOLD_OUT", "PAUSED", "ENDED"]) {
      expect(metrics).toMatch(new RegExp(`^coupon_campaign_phases_reached_total\\{.*phase="${phase}".*\\} [1-9]`, "m"))
    }
  })

  const misuse: ReadonlyArray<ReadonlyArray<string>> = [
    ["nonsense"],
    ["issue", "1"],
    ["issue", "1", "0"],
    ["issue", "1", "9223372036854775808"],
    ["campaign", "get", "x"],
    ["campaign", "create", "--name", "a", "--limit", "0"],
    ["campaign", "create", "--name", "a", "--limit", "1", "--start", "tomorrow"],
    ["watch", "--url", "ftp://example.com"],
    ["get", "1", "1", "--timeout", "soon"],
    ["log", "--limit", "0"],
    ["campaign", "update", "1"],
    ["campaign", "update", "1", "--end", "now", "--no-end"]
  ]
  for (const args of misuse) {
    it(`takes ${args.join(" ")} for misuse`, async () => {
      const { code, err } = await run(...args)
      expect(err).not.toBe("")
      expect(code).toBe(exitCodes.USAGE.code)
    })
  }

  it("verifies, rebuilds a gate, and finds both in the log", async () => {
    const id = await open("--limit", "5")
    for (const user of ["1", "2", "3"]) expect(await run("issue", id, user)).toMatchObject({ code: 0 })
    await expect.poll(async () => (await run("verify", id)).out).toMatch(
      new RegExp(`^ +${id} +5 +3 +3 +hydrated +3 +0 +0 +ok$`, "m")
    )
    const former = await run("audit", id)
    expect(former).toEqual(await run("verify", id))
    const all = await run("verify", "--json")
    expect(all.code).toBe(0)
    expect(JSON.parse(all.out.trim().split("\n").at(-1)!)).toMatchObject({ _tag: "Done", violations: [] })

    for (const flag of [[], ["--discard", "--yes"]]) {
      const rebuilt = await run("rebuild", id, "--json", ...flag)
      expect(rebuilt.code).toBe(0)
      const events = rebuilt.out.trim().split("\n").map((line) => JSON.parse(line) as { readonly _tag: string })
      expect(events[0]).toEqual({ _tag: "Started", campaignId: Number(id), coupons: 3 })
      expect(events.at(-1)).toMatchObject({ _tag: "Done", coupons: 3 })
    }
    expect(await run("issue", id, "1")).toMatchObject({ code: 4 })
    const log = await run("log", "--json", "--campaign", id)
    const acts = JSON.parse(log.out) as ReadonlyArray<
      { readonly action: string; readonly actor: string; readonly after: unknown }
    >
    expect(acts.slice(0, 2)).toMatchObject([
      { actor: "anonymous", action: "gate.rebuild", after: { discard: true } },
      { actor: "anonymous", action: "gate.rebuild", after: { discard: false } }
    ])
  })

  it("tells the settings in effect", async () => {
    const { code, out } = await run("settings", "--changed", "--json")
    expect(code).toBe(0)
    const settings = JSON.parse(out) as ReadonlyArray<{ readonly name: string; readonly value: string }>
    expect(settings).toContainEqual(
      expect.objectContaining({ name: "LOG_FORMAT", value: "json", default: "auto", isDefault: false })
    )
    expect(settings.map(({ name }) => name)).not.toContain("REQUEST_TIMEOUT")
  })

  it("does not let who administers without a key shut themselves out", async () => {
    const { code, err, out } = await run("keys", "create", "--name", "reader", "--role", "VIEWER")
    expect({ code, out }).toEqual({ code: exitCodes.USAGE.code, out: "" })
    expect(err).toContain("the first key must have the role ADMIN")
    expect(await run("keys", "list", "--json")).toMatchObject({ code: 0, out: "[]\n" })
  })

  it("says in the log what an act changed, and who holds nothing", async () => {
    const id = await open("--limit", "7")
    await run("campaign", "update", id, "--limit", "9")
    const { out } = await run("log", "--campaign", id)
    expect(out).toMatch(/campaign\.update +\d+ +couponLimit 7 -> 9, version 1 -> 2/)
    const { code, err } = await run("get", id, "5")
    expect(code).toBe(exitCodes.NOT_FOUND.code)
    expect(err).toMatch(new RegExp(`^RECORD_NOT_FOUND: user 5 holds no coupon of campaign ${id}\n`))
  })

  it("watches: a line a second where there is no terminal", async () => {
    const id = await open("--limit", "7")
    await run("issue", id, "1")
    const { code, out } = await run("watch", "--json", "--count", "2")
    expect(code).toBe(0)
    const samples = out.trim().split("\n").map((line) =>
      JSON.parse(line) as { readonly at: string; readonly campaigns: ReadonlyArray<unknown> }
    )
    expect(samples).toHaveLength(2)
    expect(Date.parse(samples[1]!.at)).toBeGreaterThan(Date.parse(samples[0]!.at))
    expect(samples[0]).toMatchObject({ version: VERSION, ready: true, waitingFor: [] })
    // The first one may have been under way already.
    expect(samples[1]!.campaigns).toContainEqual(
      expect.objectContaining({ campaignId: Number(id), couponLimit: 7, issued: 1, gate: "Hydrated" })
    )
    expect((await run("watch", "--count", "1")).out).toMatch(/ ready claims\/s=.* outbox=\d+ gate=up agents=ok\n$/)
  })

  it("finds nothing wrong with it, and says what is open", async () => {
    const { code, out } = await run("doctor", "--json")
    expect(code).toBe(0)
    const { checks } = JSON.parse(out) as {
      readonly checks: ReadonlyArray<{ readonly name: string; readonly verdict: string }>
    }
    expect(Object.fromEntries(checks.map(({ name, verdict }) => [name, verdict]))).toEqual({
      reachable: "ok",
      ready: "ok",
      version: "ok",
      access: "warn",
      clock: "ok",
      "ledger clock": "ok",
      "gate clock": "ok",
      outbox: "ok"
    })
  })

  it("ends by Ctrl-C with the code for it", async () => {
    const watching = startCommand(["watch", "--json"], { COUPON_URL: instance.url })
    await expect.poll(watching.out).toContain("\n")
    watching.kill("SIGINT")
    expect(await watching.ended).toMatchObject({ code: exitCodes.INTERRUPTED.code, err: "" })
  })

  it("follows what happens to a campaign, each event once", async () => {
    const id = await open("--limit", "2")
    const following = startCommand(["events", id, "--follow", "--json"], { COUPON_URL: instance.url })
    await expect.poll(following.out, { timeout: 20_000 }).toContain("campaign.created")
    for (const user of ["1", "2"]) await run("issue", id, user)
    await expect.poll(following.out, { timeout: 20_000 }).toContain("campaign.sold_out")
    following.kill("SIGINT")
    await following.ended
    const events = following.out().trimEnd().split("\n").map((line) =>
      JSON.parse(line) as { readonly sequence: number; readonly firstSequence: number; readonly lastNumber: number }
    )
    let last = 0
    for (const { firstSequence, sequence } of events) {
      expect(firstSequence).toBe(last + 1)
      last = sequence
    }
    expect(events.at(-2)).toMatchObject({ lastNumber: 2 })
  })

  it("is started by the launcher, with its arguments and its exit code", () => {
    const launched = (...args: ReadonlyArray<string>) =>
      spawnSync(process.execPath, [Path.join(root, "bin/coupon.mjs"), ...args], {
        encoding: "utf8",
        env: { PATH: process.env["PATH"], COUPON_URL: instance.url }
      })
    expect(launched("--version").stdout.trim()).toBe(VERSION)
    expect(launched("campaign", "get", "1000000")).toMatchObject({ status: exitCodes.NOT_FOUND.code })
  })

  it("has completions for shells", async () => {
    const { code, out } = await run("--completions", "bash")
    expect(code).toBe(0)
    expect(out).toMatch(/complete -F \w+ .*coupon/)
    for (const word of ["campaign", "issue", "watch", "doctor", "rebuild"]) expect(out).toContain(word)
    expect(spawnSync("bash", ["-n"], { input: out, encoding: "utf8" }).stderr).toBe("")
  })

  // The last one: its key closes administration.
  it("does not let who administers with one key shut themselves out", async () => {
    const { out } = await run("keys", "create", "--name", "only", "--role", "ADMIN", "--json")
    const { id, secret } = JSON.parse(out) as { readonly id: string; readonly secret: string }
    const holder = coupon(instance.url, { COUPON_API_KEY: secret })
    for (const act of [["revoke", id], ["limit", id, "--expires", "+1d"], ["rotate", id, "--expires", "+1d"]]) {
      const { code, err } = await holder("keys", ...act, "--json")
      expect(code, act[0]).toBe(exitCodes.PRECONDITION.code)
      expect(err).toContain("LAST_ADMIN_KEY")
      expect(err).toContain("coupon keys create --role ADMIN")
    }
    expect(await holder("keys", "create", "--name", "another", "--role", "ADMIN")).toMatchObject({ code: 0 })
    expect(await holder("keys", "revoke", id)).toMatchObject({ code: 0 })
  })
})

describe("coupon, where the service is not as it should be", () => {
  const serve = async (listener: http.RequestListener) => {
    const server = http.createServer(listener)
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      close: () => {
        server.closeAllConnections()
        server.close()
      }
    }
  }
  /** An address where nothing listens: it did a moment ago. */
  const nowhere = async () => {
    const { close, url } = await serve(() => {})
    close()
    return url
  }

  it("says that nothing listens, and that nothing was done", async () => {
    const run = coupon(await nowhere())
    const commands = ["issue 1 1", "verify", "doctor", "watch", "campaign create --name a --limit 1"]
    for (const args of commands.map((line) => line.split(" "))) {
      const { code, err } = await run(...args)
      expect(err).toContain("nothing listens there")
      expect(code).toBe(exitCodes.UNAVAILABLE.code)
    }
  })

  it("does not know what became of a call whose connection was cut", async () => {
    const { close, url } = await serve((request) => request.socket.destroy())
    try {
      const run = coupon(url)
      expect(await run("issue", "1", "1")).toMatchObject({ code: exitCodes.UNKNOWN.code })
      expect(await run("get", "1", "1")).toMatchObject({ code: exitCodes.UNAVAILABLE.code })
      expect(await run("keys", "revoke", "x", "--yes")).toMatchObject({ code: exitCodes.UNKNOWN.code })
    } finally {
      close()
    }
  })

  it("waits no longer than it was asked to", async () => {
    const { close, url } = await serve(() => {})
    try {
      const run = coupon(url)
      expect(await run("issue", "1", "1", "--timeout", "200ms")).toMatchObject({ code: exitCodes.UNKNOWN.code })
      expect(await run("keys", "list", "--timeout", "200ms")).toMatchObject({ code: exitCodes.UNAVAILABLE.code })
    } finally {
      close()
    }
  })

  const pages = [["a page of something else", 200, "<html>hello</html>"], ["a 404", 404, "not here"]] as const
  for (const [what, status, body] of pages) {
    it(`takes ${what} for what it is`, async () => {
      const { close, url } = await serve((_, response) =>
        response.writeHead(status, { "content-type": "text/html" }).end(body)
      )
      try {
        const run = coupon(url)
        for (const args of [["settings"], ["campaign", "get", "1"], ["verify"]]) {
          const { code, err } = await run(...args)
          expect(err).not.toBe("")
          expect(code, args.join(" ")).toBe(exitCodes.FAILED.code)
        }
      } finally {
        close()
      }
    })
  }

  it("lets a watcher go when the instance stops, and the instance go too", async () => {
    // Were the stream still open, the drain would take nearly all of this, and the test be over before.
    const instance = await startInstance({ SHUTDOWN_TIMEOUT: "5m" })
    const watching = startCommand(["watch", "--json"], { COUPON_URL: instance.url })
    try {
      await expect.poll(watching.out).toContain("\n")
      expect(await instance.stop()).toBe(0)
    } finally {
      await instance.kill()
      watching.kill("SIGKILL")
    }
  })
})

describe("what is written about the command", () => {
  it("names every exit code, and no other", () => {
    const rows = Array.from(
      read("docs/reference/cli.md").matchAll(/^\| (\d+) \| (.+) \|$/gm),
      ([, code, meaning]) => [Number(code), meaning]
    )
    expect(rows).toEqual(Object.values(exitCodes).map(({ code, meaning }) => [code, meaning]))
  })

  it("introduces every command, in the table and in the help", async () => {
    const rows = Array.from(
      read("docs/reference/cli.md").matchAll(/^\| `coupon (.+?)` \| (.+) \| (\w+) \|$/gm),
      ([, ...cells]) => cells
    )
    expect(rows).toEqual(entries.map(({ role, text, usage }) => [usage, text, role]))
    const help = await coupon("http://127.0.0.1:1")("--help")
    const squeezed = help.out.replace(/\s+/g, " ")
    for (const entry of entries) expect(squeezed).toContain(` ${wordsOf(entry)} ${entry.text} (${entry.role})`)
    // Each is a command that there is: its own help says so, and begins with the same words.
    for (const entry of entries) {
      const { usage } = entry
      const words = wordsOf(entry).split(" ")
      const { code, out } = await coupon("http://127.0.0.1:1")(...words, "--help")
      expect(code, usage).toBe(0)
      expect(`${out} `, usage).toMatch(new RegExp(`^coupon ${words.join(" ")}\\s`))
    }
  })

  it("has the version of package.json", () => {
    expect(VERSION).toBe((JSON.parse(read("package.json")) as { readonly version: string }).version)
  })

  it("keeps flags from taking an argument for their value", () => {
    expect(Arguments.canonical(["campaign", "get", "--json", "1"])).toEqual(["campaign", "get", "1", "--json"])
    expect(Arguments.canonical(["campaign", "update", "--allow-past-end", "1"]))
      .toEqual(["campaign", "update", "1", "--allow-past-end"])
    expect(Arguments.canonical(["issue", "--", "--json"])).toEqual(["issue", "--", "--json"])
  })
})
