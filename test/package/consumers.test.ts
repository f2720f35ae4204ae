import * as Fs from "node:fs"
import * as Path from "node:path"
import { gzipSync } from "node:zlib"
import { build } from "esbuild"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { type Instance, startInstance } from "../support/Instance.ts"
import { inLongProfile } from "../support/profile.ts"
import { consumer, nodeProgram, root, run, typeCheck } from "./built.ts"

/** What an application in a browser may pay for the client with Effect, compressed. */
const MAX_BROWSER_BYTES = 180_000

/** Claims by each of the clients: user N by Effect, and N + 1 by connect-es. */
const PROGRAM = `
import { create } from "@bufbuild/protobuf"
import { CouponClient, layerConfig } from "coupon-issuance"
import { createCouponClient, failureOf } from "coupon-issuance/connect"
import { IssueCouponRequestSchema } from "coupon-issuance/gen"
import { layerMemory } from "coupon-issuance/testing"
import { verify } from "coupon-issuance/webhooks"
import * as Effect from "effect/Effect"

const userId = BigInt(process.argv[2]!)
const campaignId = 1
const claims = Effect.gen(function*() {
  const client = yield* CouponClient
  const first = yield* client.claim({ campaignId, userId })
  const again = yield* client.claim({ campaignId, userId })
  return [first._tag, again._tag]
})
console.log(...await Effect.runPromise(Effect.provide(claims, layerConfig())))
const plain = createCouponClient({ url: process.env.COUPON_URL! })
const issued = await plain.issueCoupon(create(IssueCouponRequestSchema, { campaignId, userId: userId + 1n }))
console.log(issued.message)
console.log(await plain.issueCoupon({ campaignId, userId }).then(() => "?", (error) => failureOf(error)?.message))
const inMemory = Effect.flatMap(CouponClient, (client) => Effect.flip(client.getCampaign({ campaignId })))
console.log((await Effect.runPromise(Effect.provide(inMemory, layerMemory)))._tag)
console.log((await verify({ headers: {}, body: "{}" }, { secret: "whsec_AAAA" }))._tag)
`

const PRINTED = "Claimed AlreadyHeld\nOK\nCOUPON_ALREADY_CLAIMED\nRecordNotFound\nRejected\n"

const nodes = temporaryDirectory("nodes")

/** The newest Node of a line, from the npm packages that the project's own comes from; otherwise why there is none. */
const nodeOf = async (line: number): Promise<{ readonly node: string } | { readonly missing: string }> => {
  const name = `node${line}`
  const prefix = Path.join(nodes, name)
  const wanted = `${name}@npm:node-${process.platform}-${process.arch}@^${line}.0.0`
  try {
    Fs.mkdirSync(prefix)
    await run("npm", ["install", "--prefix", prefix, "--ignore-scripts", "--no-audit", "--no-fund", wanted], prefix)
    const node = Path.join(prefix, "node_modules", name, "bin/node")
    expect(await run(node, ["--version"], nodes)).toMatch(new RegExp(`^v${line}\\.`))
    return { node }
  } catch (error) {
    return { missing: `Node ${line} cannot be had: ${(error as Error).message.split("\n").slice(0, 3).join(" ")}` }
  }
}

/** Lines of Node besides the project's own: the oldest that is served, and those between. */
const others = await Promise.all([20, 22].map(async (line) => [line, await nodeOf(line)] as const))
const lines = [...others, [24, { node: nodeProgram }]] as const

let tarball: string
let directory: string
beforeAll(async () => {
  ;({ directory, tarball } = await consumer())
  Fs.writeFileSync(Path.join(directory, "claims.ts"), PROGRAM)
})
afterAll(() => {
  for (const one of [nodes, directory]) if (one !== undefined) removeDirectory(one)
})

describe("the tarball", () => {
  it("is without a fault, by publint", async () => {
    const installed = Path.join(directory, "node_modules/coupon-issuance")
    const { messages, pkg } = await publint({ pkgDir: installed, strict: true })
    expect(messages.map((message) => formatMessage(message, pkg!))).toEqual([])
  })

  it("has types that are right for each way to resolve them, by attw", async () => {
    const attw = Path.join(root, "node_modules/@arethetypeswrong/cli/dist/index.js")
    // Ends with another code than 0 if there is a problem.
    const printed = await run(nodeProgram, [attw, tarball, "--profile", "esm-only", "--format", "ascii"], directory)
    for (const entry of ["connect", "gen", "testing", "webhooks"]) {
      expect(printed).toContain(`coupon-issuance/${entry}`)
    }
  })

  it("brings the client no code of a server, and the service no store but its memory", () => {
    const inputs = Object.keys(
      JSON.parse(Fs.readFileSync(Path.join(root, "dist/package.inputs.json"), "utf8")) as Record<string, number>
    )
    expect(inputs).toContain("src/memory/MemoryGate.ts")
    expect(inputs.filter((file) => /mysql|redis|@effect\/platform-node|src\/cli/.test(file))).toEqual([])
    const listed = Fs.readdirSync(path("dist"), { encoding: "utf8", recursive: true })
      .filter((file) => file.endsWith(".js")).map((file) => file.split("/").slice(0, -1).join("/"))
    expect([...new Set(listed)].sort()).toEqual([
      "base",
      "client",
      "contract",
      "contract/gen/coupon/v1",
      "contract/webhooks",
      "domain",
      "package"
    ])
  })

  const path = (file: string) => Path.join(directory, "node_modules/coupon-issuance", file)

  it("is bundled for a browser, without a module of Node", async () => {
    const size = async (code: string) => {
      const { outputFiles } = await build({
        stdin: { contents: code, resolveDir: directory },
        absWorkingDir: directory,
        bundle: true,
        minify: true,
        format: "esm",
        platform: "browser",
        target: "es2022",
        write: false
      })
      return gzipSync(outputFiles[0]!.contents).length
    }
    const effect = await size(`
      import { CouponClient, layer } from "coupon-issuance"
      import * as Effect from "effect/Effect"
      const claim = Effect.flatMap(CouponClient, (client) => client.claim({ campaignId: 1, userId: 1n }))
      Effect.runPromise(Effect.provide(claim, layer({ url: "https://coupons.example.com" }))).then(console.log)
    `)
    const connect = await size(`
      import { createCouponClient, failureOf } from "coupon-issuance/connect"
      const client = createCouponClient({ url: "https://coupons.example.com" })
      client.issueCoupon({ campaignId: 1, userId: 1n }).then(console.log, (error) => console.log(failureOf(error)))
    `)
    const webhooks = await size(`import { verify } from "coupon-issuance/webhooks"; console.log(verify)`)
    console.log(`for a browser, in bytes by gzip: Effect ${effect}, connect-es ${connect}, webhooks ${webhooks}`)
    expect(Math.max(effect, connect)).toBeLessThan(MAX_BROWSER_BYTES)
    expect(connect).toBeLessThan(effect)
    expect(webhooks).toBeLessThan(4_000)
  })
})

describe("npm pack in the checkout", () => {
  interface Manifest {
    readonly exports: Readonly<Record<string, unknown>>
    readonly files: ReadonlyArray<string>
    readonly scripts: Readonly<Record<string, string>>
  }
  const read = (file: string) => JSON.parse(Fs.readFileSync(Path.join(root, file), "utf8")) as Manifest

  it("packs the same package, from where it is made", async () => {
    const { fromRoot } = await import(Path.join(root, "scripts/pack.mjs")) as {
      readonly fromRoot: (manifest: Manifest, scripts: Manifest["scripts"]) => Manifest
    }
    const scripts = { prepack: "node scripts/pack.mjs begin", postpack: "node scripts/pack.mjs end" }
    expect(read("package.json")).toMatchObject({ scripts })
    const packed = fromRoot(read("dist/package/package.json"), read("package.json").scripts)
    expect(packed.scripts).toEqual(scripts)
    const named = [...packed.files, ...JSON.stringify(packed.exports).match(/\.\/dist[^"]+/g) ?? []]
    expect(named.length).toBe(packed.files.length + 5 * 2)
    for (const file of named) {
      expect(file).toContain("dist/package/")
      expect(Fs.existsSync(Path.join(root, file)), file).toBe(true)
    }
  })
})

describe("a program that has installed the tarball", () => {
  let instance: Instance
  beforeAll(async () => {
    instance = await startInstance()
    const created = await fetch(`${instance.url}/coupon.v1.CouponService/CreateCampaign`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: "for all", couponLimit: 100, startTime: "2025-06-25T00:00:00Z" })
    })
    expect(await created.json()).toEqual({ campaignId: 1 })
  })
  afterAll(() => (instance as Instance | undefined)?.stop())

  // `examples.test.ts` has the other way to resolve modules, for each entry point.
  it.each(inLongProfile(["nodenext", "bundler"] as const, ["bundler"] as const))(
    "type-checks under moduleResolution %s",
    (resolution) => typeCheck(directory, ["claims.ts"], resolution)
  )

  for (const [line, found] of lines) {
    if ("missing" in found) {
      it.skip(found.missing, () => {})
      continue
    }
    it(`claims on Node ${line}`, async () => {
      // As JavaScript, because Node 20 takes no types.
      await build({ entryPoints: [Path.join(directory, "claims.ts")], outfile: Path.join(directory, "claims.mjs") })
      const printed = await run(found.node, ["claims.mjs", String(line * 1_000)], directory, {
        COUPON_URL: instance.url
      })
      expect(printed).toBe(PRINTED)
    })
  }
})
