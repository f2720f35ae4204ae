import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { FIELDS } from "../../src/cli/applying/CampaignFile.ts"
import * as CouponClient from "../../src/client/CouponClient.ts"
import {
  CodeAlphabet, CodeCheck, CodeSource, CreateCampaignRequestSchema
} from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { type Instance, startInstance } from "../support/Instance.ts"
import { inLongProfile } from "../support/profile.ts"
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
    await (instance as Instance | undefined)?.kill()
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

  it("has every field by which a campaign is created", () => {
    const fields: Readonly<Record<string, string>> = {
      name: "name",
      couponLimit: "couponLimit",
      startTime: "startTime",
      endTime: "endTime",
      requestId: "requestId",
      codeFormat: "codes",
      codeSource: "codes",
      couponValidity: "couponValidity",
      undoWindow: "undoWindow",
      // `--allow-past-end`: a file says what is, not what is let through.
      allowPastEnd: "name"
    }
    expect(CreateCampaignRequestSchema.fields.map(({ localName }) => localName).toSorted())
      .toEqual(Object.keys(fields).toSorted())
    for (const field of Object.values(fields)) expect(FIELDS).toContain(field)
  })

  it("sets how long coupons are valid, and for how long a redemption can be undone", async () => {
    const file = (more: string) => `name: Valid\ncouponLimit: 5\nstartTime: 2027-01-01T00:00:00Z\n${more}`
    const monthly = file("couponValidity: { after: P1M, endOfDayZone: Asia/Seoul }\nundoWindow: P2D\n")
    const id = /^campaign (\d+) Valid: created$/m.exec((await apply(monthly)).out)![1]!
    const shown = async () => JSON.parse((await run("campaign", "get", id, "--json")).out) as Record<string, unknown>
    expect(await shown()).toMatchObject({
      couponValidity: { after: "P1M", endOfDayZone: "Asia/Seoul", until: null },
      undoWindow: "PT48H",
      version: 1
    })
    expect((await apply(monthly.replace("P2D", "PT48H"))).out).toBe(`campaign ${id} Valid: unchanged\n`)
    expect((await apply(file("couponValidity: { until: 2028-01-01T00:00:00+09:00 }\nundoWindow: PT1H\n"))).out).toBe(
      `campaign ${id} Valid: changed\n` +
        "  couponValidity: {\"after\":\"P1M\",\"endOfDayZone\":\"Asia/Seoul\"} -> " +
        "{\"until\":\"2028-01-01T00:00:00+09:00\"}\n  undoWindow: PT48H -> PT1H\n"
    )
    expect((await apply(file("couponValidity: { until: 2027-12-31T15:00:00Z }\n"))).out).toContain("unchanged")
    expect((await apply(file("couponValidity: null\n"))).out).toContain("-> none")
    expect((await shown())["couponValidity"]).toBeUndefined()
  })

  it("means the limit that was set, without slots that were returned", async () => {
    const file = "name: Returned\ncouponLimit: 2\nstartTime: 2025-01-01T00:00:00Z\n"
    const id = /^campaign (\d+)/.exec((await apply(file)).out)![1]!
    await run("issue", id, "1")
    await run("revoke", id, "--user", "1", "--return-slot", "--yes")
    expect((await apply(file)).out).toBe(`campaign ${id} Returned: unchanged\n`)
    expect((await run("campaign", "get", id, "-o", "yaml")).out).toContain("couponLimit: 2\n")
    expect((await apply(file.replace("couponLimit: 2", "couponLimit: 3"))).out).toContain("couponLimit: 2 -> 3")
    expect((await run("campaign", "get", id)).out).toMatch(/^issued +0 of 3/m)
  })

  const seconds = (from: string, to: string) =>
    fc.integer({ min: Date.parse(from) / 1_000, max: Date.parse(to) / 1_000 })
      .map((at) => new Date(at * 1_000).toISOString())
  const formats = fc.oneof(
    fc.constant({ alphabet: CodeAlphabet.SAFE20, pattern: "A-########" }),
    fc.constant({ alphabet: CodeAlphabet.DIGITS, pattern: "############C", check: CodeCheck.DAMM }),
    fc.constant({ alphabet: CodeAlphabet.CROCKFORD32, pattern: "########-C" }),
    fc.constant({ characters: "가나다라마바사아자차", pattern: "여름-############" })
  )
  const validities = fc.oneof(
    seconds("2029-01-01T00:00:00Z", "2090-01-01T00:00:00Z").map((until) => ({ until })),
    fc.constantFrom("P30D", "P1Y6M", "PT12H").map((after) => ({ after })),
    fc.constantFrom("Asia/Seoul", "Europe/Berlin").map((endOfDayZone) => ({ after: "P1M", endOfDayZone }))
  )
  const draft = fc.record({
    // As in YAML that has to be quoted, too.
    name: fc.oneof(
      fc.constantFrom("yes", "null", "1e3", "- a", "a: b", "# x", "'", "\"", "여름 & 겨울", "{a}", "0x1F", "~"),
      fc.string({ minLength: 1, maxLength: 40, unit: "grapheme-ascii" }).filter((name) => name.trim() === name)
    ),
    couponLimit: fc.bigInt({ min: 1n, max: 10_000n }),
    startTime: seconds("2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z")
  }).chain((required) =>
    fc.record({
      endTime: seconds("2028-01-02T00:00:00Z", "2028-12-31T00:00:00Z"),
      codes: fc.oneof(
        formats.map((codeFormat) => ({ codeFormat })),
        fc.constant({ codeSource: CodeSource.POOL })
      ),
      couponValidity: validities,
      undoWindow: fc.constantFrom("PT1S", "PT90M", "P7D", "PT36H30M5S")
    }, { requiredKeys: [] }).map(({ codes, ...optional }) => ({ ...required, ...codes, ...optional }))
  )

  it("changes nothing by what campaign get prints, of whatever campaign", async () => {
    const client = CouponClient.make({ url: instance.url })
    await fc.assert(fc.asyncProperty(draft, fc.boolean(), async (request, paused) => {
      const { campaignId } = await Effect.runPromise(client.createCampaign(request))
      if (paused) await Effect.runPromise(client.pauseCampaign({ campaignId }))
      const { out } = await run("campaign", "get", String(campaignId), "-o", "yaml")
      expect(await apply(out), out).toMatchObject({
        code: 0,
        out: expect.stringMatching(/: unchanged\n$/),
        err: ""
      })
      const { version } = await Effect.runPromise(client.getCampaign({ campaignId }))
      expect(version).toBe(paused ? 2n : 1n)
      // The same without its id is another one, which is as the first one was.
      const other = out.replace(/^id: .*\n/, "").replace(/^name: .*$/m, `name: Copy ${campaignId}`)
      expect((await apply(other)).out).toContain(": created\n")
      expect((await apply(other)).out).toContain(": unchanged\n")
    }), { numRuns: inLongProfile(25, 8) })
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
      [`${good}---\nname: Neverland\ncolour: red\n`, /document 2: colour is no field/],
      [`${good}---\nname: Neverland\n`, /couponLimit and startTime must be given/],
      [`${good}---\ncouponLimit: 5\n`, /name is missing/],
      [`${good}---\nname: Neverland\nstartTime: noon\n`, /startTime must be a time in RFC 3339/],
      [`${good}codes: { alphabet: latin }\n`, /codes alphabet must be hangul/],
      [`${good}codes: { pattern: ABC }\n`, /codes pattern/],
      [`${good}couponValidity: { after: 30 days }\n`, /couponValidity after must be a duration in ISO 8601/],
      [`${good}couponValidity: { until: 2027-01-01T00:00:00Z, after: P1D }\n`, /couponValidity after must be absent/],
      [`${good}couponValidity: { zone: Asia/Seoul }\n`, /couponValidity zone must be one of until, after/],
      [`${good}couponValidity: {}\n`, /couponValidity must have until or after/],
      [`${good}undoWindow: P1M\n`, /undoWindow must be of weeks/],
      [`${good}undoWindow: ""\n`, /undoWindow must be a duration/],
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
