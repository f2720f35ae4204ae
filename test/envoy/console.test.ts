import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Live } from "../../src/contract/Live.ts"
import { cookieOf, look, own, signIn } from "../console/Pages.ts"
import { ADMIN } from "../security/Secured.ts"
import { type Instance, startInstance } from "../support/Instance.ts"
import { request } from "../transport/Stub.ts"
import { type Envoy, findEnvoy, startEnvoy } from "./Envoy.ts"

const program = findEnvoy()
const LIST = "/coupon.v1.CouponService/ListCampaigns"

const portOf = (url: string) => Number(new URL(url).port)

describe("the console behind Envoy", () => {
  if (program === undefined) {
    it.skip("needs Envoy", () => {})
    return
  }

  let instance: Instance
  let off: Envoy
  let on: Envoy
  beforeAll(async () => {
    instance = await startInstance({ ADMIN_API_KEY: ADMIN })
    off = await startEnvoy(program, [instance.port])
    on = await startEnvoy(program, [instance.port], { CONSOLE: "on" })
    await Promise.all([off, on].map((envoy) => envoy.until([instance.port])))
  })
  afterAll(async () => {
    await Promise.all([off, on].map((envoy) => (envoy as Envoy | undefined)?.stop()))
    await (instance as Instance | undefined)?.stop()
  })

  it("is at the operators' listener, and at the public one only with CONSOLE=on", async () => {
    const statusAt = async (url: string, path: string) => (await request(portOf(url), { method: "GET", path })).status
    for (const path of ["/console", "/console/session", "/consoles", "/operator/live"]) {
      expect([path, await statusAt(off.url, path)]).toEqual([path, 404])
    }
    expect((await look(portOf(off.operatorUrl))).signedIn).toBe(false)
    expect((await look(portOf(on.url))).signedIn).toBe(false)
    expect(await statusAt(on.url, "/console")).toBe(308)
    expect(await statusAt(on.url, "/consoles")).toBe(404)
  })

  it("signs in, calls both planes, and follows the live state through the public listener", async () => {
    const port = portOf(on.url)
    const cookie = cookieOf(await signIn(port, ADMIN))
    expect((await look(port, cookie)).actor).toBe("bootstrap")
    const headers = { ...own(port), cookie }
    expect((await request(port, { path: LIST, headers, body: "{}" })).status).toBe(200)

    const reply = await fetch(`${on.url}/operator/live`, { method: "POST", headers, body: "{}" })
    expect([reply.status, reply.headers.get("content-type")]).toEqual([200, "application/x-ndjson"])
    const reader = reply.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ""
    while (text.split("\n").length < 3) text += (await reader.read()).value ?? ""
    await reader.cancel()
    const [first, second] = text.split("\n").slice(0, 2).map((line) => JSON.parse(line) as Live)
    expect(second!.at).toBeGreaterThan(first!.at)
  })

  it("leaves the operator plane to the operators' listener but for the console's calls", async () => {
    const bearer = { authorization: `Bearer ${ADMIN}`, "content-type": "application/ndjson" }
    const call = (url: string, headers: Record<string, string>) =>
      request(portOf(url), { path: "/operator/rpc", headers, body: "{}\n" })
    expect((await call(on.url, bearer)).status).toBe(404)
    expect((await call(off.url, { ...bearer, "x-coupon-console": "1" })).status).toBe(404)
    // It reaches the plane, which knows no such message.
    expect((await call(on.operatorUrl, bearer)).status).toBe(400)
  })

  it("takes no cookie from another origin", async () => {
    const port = portOf(on.url)
    const cookie = cookieOf(await signIn(port, ADMIN))
    const headers = { ...own(port), cookie, origin: "http://shop.example" }
    expect((await request(port, { path: LIST, headers, body: "{}" })).status).toBe(403)
  })
})
