import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as Path from "node:path"
import { create } from "@bufbuild/protobuf"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { root } from "../../src/cli/App.ts"
import { leavesOf } from "../../src/cli/line/CommandWords.ts"
import * as Json from "../../src/cli/values/Json.ts"
import { CampaignSchema, file_coupon_v1_coupon } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import { file_coupon_v1_webhook, ParkedDeliverySchema } from "../../src/contract/gen/coupon/v1/webhook_pb.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { type Instance, startInstance } from "../support/Instance.ts"
import { coupon, startCommand } from "./Command.ts"

const files = [file_coupon_v1_coupon, file_coupon_v1_webhook]
const prefixes = files
  .flatMap(({ enums, messages }) => [...enums, ...messages.flatMap(({ nestedEnums }) => nestedEnums)])
  .flatMap(({ sharedPrefix }) => sharedPrefix === undefined ? [] : [sharedPrefix.toUpperCase()])

const RFC_3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,3})?Z$/
const TIME = /^(?:at|now|until)$|[a-z](?:At|Time|Until|Since)$/
/** Texts that may be digits alone. */
const TEXT = /^(?:code|.*[iI]ds?|name|value|default)$/

/** What breaks the rules of docs/reference/cli.md, with where it is. */
const flaws = (value: unknown, key = "", path = "$"): ReadonlyArray<string> => {
  if (Array.isArray(value)) return value.flatMap((one, k) => flaws(one, key, `${path}[${k}]`))
  if (typeof value === "object" && value !== null) {
    return Object.entries(value).flatMap(([name, one]) => flaws(one, name, `${path}.${name}`))
  }
  const shown = `${path}: ${JSON.stringify(value)}`
  if (TIME.test(key)) return value === null || RFC_3339.test(String(value)) ? [] : [`${shown} is no time`]
  // What an act changed is as the audit log has it.
  const isRecorded = /\.(?:before|after)\b/.test(path)
  if (typeof value === "number") {
    return value > 1e12 && value < 1e13 && !isRecorded ? [`${shown} looks like milliseconds`] : []
  }
  if (typeof value !== "string") return []
  if (prefixes.some((prefix) => value.startsWith(prefix))) return [`${shown} has its enumeration's prefix`]
  // Settings are text as the stores have them, and KEDA wants its triggers in text.
  const isText = TEXT.test(key) || path.includes(".settings.") || path.includes(".spec.triggers")
  return /^\d+$/.test(value) && !isText ? [`${shown} is a number`] : []
}

const linesOf = (text: string): ReadonlyArray<unknown> =>
  text.trimEnd().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as unknown)

describe("--json", () => {
  const directory = temporaryDirectory("json")
  const at = (name: string) => Path.join(directory, name)
  let instance: Instance
  let server: http.Server
  let hook: string
  let key: string | undefined
  const seen = new Set<string>()
  beforeAll(async () => {
    server = http.createServer((request, response) => {
      request.resume().on("end", () => response.writeHead(204).end())
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    hook = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
    instance = await startInstance({
      SECRETS_KEY: `k1:${randomBytes(32).toString("base64")}`,
      WEBHOOK_ALLOW_HTTP: "on",
      WEBHOOK_ALLOWED_NETWORKS: "127.0.0.0/8",
      // A user is erased from coupons that are older.
      REQUEST_TIMEOUT: "2s"
    })
  })
  afterAll(async () => {
    server.close()
    await (instance as Instance | undefined)?.kill()
    removeDirectory(directory)
  })

  const leaves = leavesOf(root.descriptor)
  const seeing = (args: ReadonlyArray<string>) => {
    const leaf = leaves.find((one) => `${args.join(" ")} `.startsWith(`${one} `))!
    seen.add(leaf)
  }

  /** The values that a command prints, each of which keeps the rules. */
  const run = async (...args: ReadonlyArray<string>): Promise<ReadonlyArray<Record<string, unknown>>> => {
    seeing(args)
    const { code, err, out } = await coupon(instance.url, key === undefined ? {} : { COUPON_API_KEY: key })(
      ...args,
      "--json"
    )
    expect([code, err], args.join(" ")).toEqual([0, ""])
    const values = linesOf(out)
    expect(values.flatMap((value) => flaws(value)), args.join(" ")).toEqual([])
    return values as ReadonlyArray<Record<string, unknown>>
  }

  const endless = async (...args: ReadonlyArray<string>) => {
    seeing(args)
    const running = startCommand([...args, "--json"], { COUPON_URL: instance.url, COUPON_API_KEY: key ?? "" })
    try {
      await expect.poll(running.out, { timeout: 20_000 }).toContain("\n")
    } finally {
      running.kill("SIGINT")
      await running.ended
    }
    expect(linesOf(running.out()).flatMap((value) => flaws(value))).toEqual([])
  }

  it("is one dialect in every command's output", async () => {
    const [admin] = await run("keys", "create", "--name", "me", "--role", "ADMIN")
    key = String(admin!["secret"])
    const [till] = await run("keys", "create", "--name", "till", "--role", "REDEEMER", "--expires", "+20d")
    const [next] = await run("keys", "rotate", String(till!["id"]))
    await run("keys", "limit", String(next!["id"]), "--campaigns", "1,2", "--expires", "+10d")
    await run("keys", "revoke", String(next!["id"]))
    await run("keys", "list")

    const [webhook] = await run("webhook", "create", hook)
    const id = (webhook!["webhook"] as { readonly id: string }).id

    const [made] = await run("campaign", "create", "--name", "a", "--limit", "5", "--valid-until", "+30d")
    expect(made).toEqual({ campaignId: 1 })
    const [issued] = await run("issue", "1", "1")
    for (const user of ["2", "9223372036854775807"]) await run("issue", "1", user)
    const [held] = await run("get", "1", "9223372036854775807")
    expect(held).toMatchObject({ userId: "9223372036854775807", state: "ISSUED", number: 3 })
    await run("find", "1", String(issued!["code"]))
    await run("list", "1")
    await run("redeem", "1", "--user", "1", "--request-id", "r")
    await run("undo", "1", "--user", "1", "--request-id", "u")
    await run("revoke", "1", "--user", "2", "--return-slot", "--yes")
    await run("export", "1", "--to", at("coupons.ndjson"), "--format", "ndjson")
    expect(linesOf(Fs.readFileSync(at("coupons.ndjson"), "utf8")).flatMap((value) => flaws(value))).toEqual([])

    const [shown] = await run("campaign", "get", "1")
    expect(shown).toMatchObject({ couponLimit: 6, currentCoupon: 3, endTime: null, phase: "OPEN", status: "ACTIVE" })
    await run("campaign", "get", "1", "--codes")
    await run("campaign", "update", "1", "--limit", "7", "--end", "+1d")
    await run("campaign", "pause", "1")
    await run("campaign", "resume", "1")
    await run("campaign", "list")
    await run("campaign", "history", "1")
    await run("campaign", "timeline", "1")
    await expect.poll(() => run("events", "1"), { timeout: 20_000 }).not.toEqual([])
    await endless("listen", "--forward-to", hook, "--campaign", "1", "--after", "0")
    Fs.writeFileSync(at("sale.yaml"), "name: b\ncouponLimit: 2\nstartTime: 2027-01-01T00:00:00Z\ncodes: pool\n")
    await run("apply", "-f", at("sale.yaml"))
    Fs.writeFileSync(at("codes.csv"), "code\nAAAA\nBBBB\n")
    await run("codes", "import", "2", at("codes.csv"))
    await run("codes", "status", "2")
    await run("codes", "preview")
    // An import that is not over, to abort.
    const started = await fetch(`${instance.url}/coupon.v1.CouponService/StartImport`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
      body: JSON.stringify({ campaignId: 2, requestId: "x" })
    })
    const { codeImport } = await started.json() as { readonly codeImport: { readonly importId: number } }
    await run("codes", "abort", "2", String(codeImport.importId))
    await run("campaign", "create", "--name", "c", "--limit", "1", "--start", "+2h")
    await run("k8s", "scaled-object", "3", "--deployment", "sale", "--replicas", "3")

    await run("webhook", "list")
    await run("webhook", "get", id)
    await run("webhook", "trigger", "coupon.issued", "--webhook", id)
    await run("webhook", "rotate-secret", id)
    await run("webhook", "replay", id, "--campaign", "1")
    await expect.poll(() => run("webhook", "attempts", id), { timeout: 20_000 }).not.toEqual([])
    await run("webhook", "parked", id)
    await run("webhook", "retry", id, "--all")
    const [disabled] = await run("webhook", "update", id, "--disable")
    expect(disabled).toMatchObject({ status: "DISABLED", mode: "BATCH", onFailure: "RETRY" })
    await run("webhook", "delete", id)

    await run("watch", "--count", "1")
    await run("doctor")
    await run("verify")
    await run("audit", "1")
    await run("rebuild", "1")
    await run("backup", "--to", at("copy.db"))
    await run("settings")
    await run("log", "--export")
    await run("log", "--verify")
    const [acts] = await run("log") as unknown as [ReadonlyArray<Record<string, unknown>>]
    expect(acts.length).toBeGreaterThan(10)
    await run("erase-user", "1", "--yes")
    await run("campaign", "end", "1", "--yes")
    expect([...seen].toSorted()).toEqual(leaves.toSorted())
  })
})

describe("a value in JSON", () => {
  it("has counts as numbers where these are exact, ids of 64 bits as text, and no empty times", () => {
    const message = create(CampaignSchema, {
      couponLimit: 5n,
      version: 2n ** 53n,
      status: 2,
      startTime: "2027-01-01T00:00:00Z"
    })
    expect(Json.ofMessage(CampaignSchema, message)).toMatchObject({
      couponLimit: 5,
      version: "9007199254740992",
      status: "PAUSED",
      phase: "UNSPECIFIED",
      startTime: "2027-01-01T00:00:00Z",
      endTime: null
    })
    expect(Json.ofMessage(ParkedDeliverySchema, create(ParkedDeliverySchema, { id: 7n }))).toMatchObject({ id: "7" })
    // A value of a later version of the service.
    expect(Json.ofMessage(CampaignSchema, create(CampaignSchema, { status: 99 as never }))["status"]).toBe(99)
    expect(Json.text({ at: 0, revokedAt: null, tookMillis: 1_700_000_000_000, count: 3n, big: 2n ** 60n })).toBe(
      `{"at":"1970-01-01T00:00:00Z","revokedAt":null,"tookMillis":1700000000000,"count":3,"big":"${2n ** 60n}"}`
    )
  })
})
