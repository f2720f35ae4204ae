import * as net from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startInstance, type Instance } from "../support/Instance.ts"
import { freePort } from "../support/privateServers.ts"

const KEY = "the-first-key-of-all-0123456789abcdef"

describe("ADMIN_PORT", () => {
  let instance: Instance
  let admin: string
  beforeAll(async () => {
    const port = await freePort()
    admin = `http://127.0.0.1:${port}`
    instance = await startInstance({ ADMIN_API_KEY: KEY, ADMIN_PORT: String(port), MAX_CONNECTIONS: "8" })
  })
  afterAll(() => (instance as Instance | undefined)?.stop())

  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/ndjson" }
  const info = JSON.stringify({ _tag: "Request", id: "1", tag: "Info", headers: [] })
  const statuses = async (url: string) => ({
    health: (await fetch(`${url}/readyz`)).status,
    metrics: (await fetch(`${url}/metrics`, { headers })).status,
    operators: (await fetch(`${url}/operator/rpc`, { method: "POST", headers, body: info })).status,
    administration: (await fetch(`${url}/coupon.v1.CouponService/ListCampaigns`, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: "{}"
    })).status
  })

  it("serves operators and scrapes instead of PORT, and health on both", async () => {
    expect(await statuses(admin)).toEqual({ health: 200, metrics: 200, operators: 200, administration: 200 })
    expect(await statuses(instance.url)).toEqual({ health: 200, metrics: 404, operators: 404, administration: 200 })
  })

  it("asks for a key as PORT does", async () => {
    expect((await fetch(`${admin}/metrics`)).status).toBe(401)
    const call = { method: "POST", headers: { "content-type": "application/ndjson" }, body: info }
    expect((await fetch(`${admin}/operator/rpc`, call)).status).toBe(401)
  })

  it("answers while clients hold all connections of PORT", async () => {
    const crowd = Array.from({ length: 40 }, (_, n) =>
      net.connect({ port: instance.port, host: "127.0.0.1", localAddress: `127.0.4.${n + 1}` }))
    let refused = 0
    for (const socket of crowd) socket.resume().on("error", () => {}).on("close", () => refused++)
    await expect.poll(() => refused).toBeGreaterThanOrEqual(32)
    expect(await statuses(admin)).toEqual({ health: 200, metrics: 200, operators: 200, administration: 200 })
    for (const socket of crowd) socket.destroy()
  })

  it("ends its streams and drains with PORT when the service stops", async () => {
    const body = JSON.stringify({ _tag: "Request", id: "1", tag: "Overview", headers: [] })
    const watch = await fetch(`${admin}/operator/rpc`, { method: "POST", headers, body })
    const text = watch.text()
    expect(await instance.stop()).toBe(0)
    expect(await text).toContain('"_tag":"Exit"')
    await expect(fetch(`${admin}/livez`)).rejects.toThrow()
  })
})
