import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { table } from "../../src/contract/FailureTable.ts"
import { CouponService } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import { type Instance, startInstance } from "../support/Instance.ts"

const file = "src/contract/gen/openapi.json"

interface Operation {
  readonly responses: { readonly [status: string]: unknown }
}
interface Document {
  readonly openapi: string
  readonly paths: { readonly [path: string]: { readonly get?: Operation; readonly post?: Operation } }
  readonly components: {
    readonly responses: { readonly [name: string]: { readonly description: string } }
    readonly schemas: {
      readonly [name: string]: {
        readonly required?: ReadonlyArray<string>
        readonly properties?: { readonly [field: string]: { readonly description?: string } }
      }
    }
  }
}

describe("/openapi.json", () => {
  let instance: Instance
  let served: Response
  let document: Document
  beforeAll(async () => {
    instance = await startInstance({})
    served = await fetch(`${instance.url}/openapi.json`)
    document = await served.json() as Document
  })
  afterAll(() => (instance as Instance | undefined)?.stop())

  it("is served as it was generated", () => {
    expect(served.status).toBe(200)
    expect(served.headers.get("content-type")).toBe("application/json")
    expect(served.headers.get("content-security-policy")).toContain("default-src 'none'")
    expect(document).toEqual(JSON.parse(readFileSync(file, "utf8")))
  })

  it("takes GET alone, at this path alone", async () => {
    const posted = await fetch(`${instance.url}/openapi.json`, { method: "POST", body: "{}" })
    expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD"])
    expect((await fetch(`${instance.url}/openapi.json/x`)).status).toBe(404)
    expect(await (await fetch(`${instance.url}/openapi.json`, { method: "HEAD" })).text()).toBe("")
  })

  it("has every RPC, and GET for those that change nothing", () => {
    const expected = CouponService.methods.map(({ idempotency, methodKind, name }) => [
      `/coupon.v1.CouponService/${name}`,
      methodKind === "unary" && idempotency === 1 ? ["get", "post"] : ["post"]
    ])
    const ours = Object.entries(document.paths).filter(([path]) => path.startsWith("/coupon.v1.CouponService/"))
    expect(Object.fromEntries(ours.map(([path, methods]) => [path, Object.keys(methods).sort()]))).toEqual(
      Object.fromEntries(expected)
    )
  })

  it("says of each page what a larger size than the most means", () => {
    const sizes = Object.entries(document.components.schemas).flatMap(([name, { properties }]) =>
      properties?.["pageSize"] === undefined ? [] : [[name, properties["pageSize"].description] as const])
    expect(sizes.length).toBeGreaterThan(5)
    for (const [name, description] of sizes) {
      expect(description, name).toMatch(/more than 1,000 means 1,000\.$|and more than that mean the most\.$/)
    }
  })

  it("has every failure of the service", () => {
    const text = Object.values(document.components.responses).map(({ description }) => description).join("\n")
    const messages = Object.values(table).map(({ message }) => message)
    expect(messages.filter((message) => !text.includes(`\`${message}`))).toEqual([])
  })

  it("is what the lint of OpenAPI takes", () => {
    const lint = (path: string) =>
      execFileSync(process.execPath, ["node_modules/@redocly/cli/bin/cli.js", "lint", "--format=json", path], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" }
      })
    const { totals } = JSON.parse(lint(file)) as { readonly totals: unknown }
    expect(totals).toEqual({ errors: 0, warnings: 0, ignored: 0 })
  })
})
