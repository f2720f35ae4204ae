import * as Fs from "node:fs"
import * as Path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { type Instance, startInstance } from "../support/Instance.ts"
import { coupon } from "./Command.ts"

describe("coupon apply", () => {
  const directory = temporaryDirectory("apply")
  let instance: Instance
  let run: ReturnType<typeof coupon>
  beforeAll(async () => {
    instance = await startInstance()
    run = coupon(instance.url)
  })
  afterAll(async () => {
    await (instance as Instance | undefined)?.stop()
    removeDirectory(directory)
  })

  const apply = (text: string, ...args: ReadonlyArray<string>) => {
    const file = Path.join(directory, "sale.yaml")
    Fs.writeFileSync(file, text)
    return run("apply", "-f", file, ...args)
  }

  const SALE = `# A comment
name: Summer
couponLimit: 100
startTime: 2027-06-25T12:00:00+09:00
---
name: Summer, VIP
couponLimit: 5
startTime: 2027-06-25T11:00:00+09:00
endTime: 2027-06-26T00:00:00Z
codes: { pattern: VIP-########-C, alphabet: crockford32 }
`

  it("creates what is missing, once, and says beforehand that it would", async () => {
    expect(await apply(SALE, "--dry-run")).toEqual({
      code: 2,
      out: "campaign Summer: would be created\ncampaign Summer, VIP: would be created\n",
      err: "2 campaigns would change\n"
    })
    expect((await run("campaign", "list", "--json")).out).toContain(`"campaigns":[]`)
    expect(await apply(SALE)).toEqual({
      code: 0,
      out: "campaign 1 Summer: created\ncampaign 2 Summer, VIP: created\n",
      err: ""
    })
    for (const args of [["--dry-run"], []]) {
      expect(await apply(SALE, ...args)).toEqual({
        code: 0,
        out: "campaign 1 Summer: unchanged\ncampaign 2 Summer, VIP: unchanged\n",
        err: ""
      })
    }
    const shown = JSON.parse((await run("campaign", "get", "2", "--json")).out) as Record<string, unknown>
    expect(shown).toMatchObject({ couponLimit: 5, version: 1, codeFormat: { pattern: "VIP-########-C" } })
  })

  it("changes what differs, and leaves what the file leaves out", async () => {
    const more = SALE.replace("couponLimit: 100", "couponLimit: 200\nstatus: paused")
    const dry = await apply(more, "--dry-run", "--json")
    expect(dry.code).toBe(2)
    expect(dry.out.trimEnd().split("\n").map((line) => JSON.parse(line) as unknown)).toEqual([
      {
        campaignId: 1,
        name: "Summer",
        action: "update",
        done: false,
        differences: [
          { field: "couponLimit", from: 100, to: 200 },
          { field: "status", from: "active", to: "paused" }
        ]
      },
      { campaignId: 2, name: "Summer, VIP", action: "none", done: false, differences: [] }
    ])
    expect(JSON.parse(dry.err)).toMatchObject({ error: { code: "WOULD_CHANGE", exitCode: 2 } })
    expect(await apply(more)).toMatchObject({
      code: 0,
      out: "campaign 1 Summer: changed\n  couponLimit: 100 -> 200\n  status: active -> paused\n" +
        "campaign 2 Summer, VIP: unchanged\n"
    })
    expect((await apply(more)).out).toContain("campaign 1 Summer: unchanged")
    // Without a status in the file it stays paused.
    expect((await apply(SALE.replace("100", "200"))).out).toContain("campaign 1 Summer: unchanged")
    const moved = await apply("id: 1\nname: Late summer\nstartTime: 2027-06-25T03:00:00Z\nstatus: active\n")
    expect(moved.out).toBe("campaign 1 Late summer: changed\n  name: Summer -> Late summer\n" +
      "  status: paused -> active\n")
  })

  it("reads what campaign get writes", async () => {
    const { code, out } = await run("campaign", "get", "2", "-o", "yaml")
    expect(code).toBe(0)
    expect(out).toContain("pattern: VIP-########-C")
    expect(await apply(out)).toMatchObject({ code: 0, out: "campaign 2 Summer, VIP: unchanged\n" })
    expect(await apply(out.replace("endTime: 2027-06-26T00:00:00Z", "endTime: null"))).toMatchObject({
      code: 0,
      out: "campaign 2 Summer, VIP: changed\n  endTime: 2027-06-26T00:00:00Z -> none\n"
    })
  })

  it("ends a campaign only where that is asked for twice", async () => {
    const file = "name: Over\ncouponLimit: 1\nstartTime: 2027-01-01T00:00:00Z\n"
    await apply(file)
    const refused = await apply(`${file}status: ended\n`)
    expect(refused).toMatchObject({ code: 2, out: "", err: expect.stringContaining("--allow-end") as string })
    expect((await apply(`${file}status: ended\n`, "--allow-end")).code).toBe(0)
    expect((await apply(`${file}status: ended\n`)).out).toMatch(/unchanged/)
    expect((await apply(`${file}status: active\n`)).code).toBe(4)
  })

  it("changes nothing if anything in the file is wrong", async () => {
    const good = "name: Never\ncouponLimit: 1\nstartTime: 2027-01-01T00:00:00Z\n"
    const cases: ReadonlyArray<readonly [text: string, message: RegExp]> = [
      [`${good}---\n${good}`, /two campaigns have the name Never/],
      [`${good}---\nname: b\ncolour: red\n`, /document 2: colour is no field/],
      [`${good}---\nname: b\n`, /couponLimit and startTime must be given/],
      [`${good}---\ncouponLimit: 5\n`, /name is missing/],
      [`${good}---\nname: b\nstartTime: noon\n`, /startTime must be a time in RFC 3339/],
      [`${good}codes: { alphabet: latin }\n`, /codes alphabet must be hangul/],
      [`${good}codes: { pattern: ABC }\n`, /codes pattern/],
      [`${good}status: open\n`, /status must be active, paused, ended/],
      ["name: [", /Flow sequence/],
      ["- a\n", /must have fields/],
      ["# nothing\n", /has no campaign/]
    ]
    for (const [text, message] of cases) {
      const ended = await apply(text)
      expect([ended.code, ended.out], text).toEqual([2, ""])
      expect(ended.err, text).toMatch(message)
    }
    expect((await run("campaign", "list", "--prefix", "Never", "--json")).out).toContain(`"campaigns":[]`)
    expect((await run("apply", "-f", "/nowhere/sale.yaml")).err).toMatch(/cannot be read/)
    expect((await apply("id: 999\nname: x\n")).code).toBe(3)
  })

  it("asks which campaign is meant where two have the name", async () => {
    for (const limit of ["1", "2"]) await run("campaign", "create", "--name", "Twins", "--limit", limit)
    expect((await apply("name: Twins\nstatus: paused\n")).err).toMatch(/give the id/)
  })
})
