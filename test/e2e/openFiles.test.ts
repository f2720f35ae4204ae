import * as Http from "node:http"
import * as Net from "node:net"
import { fileURLToPath } from "node:url"
import { afterEach, describe, expect, it } from "vitest"
import { bundle, startInstance, type Instance } from "../support/Instance.ts"
import { inLongProfile } from "../support/profile.ts"

const LIMIT = 256

/** What begins an HTTP/2 connection: preface and empty SETTINGS. */
const HTTP2_HELLO = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])
])

const sockets = new Set<Net.Socket>()
/** Connects from a loopback address, says `hello` and no more. */
const idle = (instance: Instance, localAddress: string, hello?: Buffer): Net.Socket => {
  const socket = Net.connect(
    { port: instance.port, host: "127.0.0.1", localAddress },
    () => void (hello === undefined || socket.write(hello))
  )
  sockets.add(socket.on("error", () => {}).on("data", () => {}))
  return socket
}

/** A client that stays on one connection. */
const client = (instance: Instance) => {
  const agent = new Http.Agent({ keepAlive: true, maxSockets: 1 })
  const call = (method: string, path: string, body?: object) =>
    new Promise<string>((resolve, reject) => {
      const headers = body === undefined ? {} : { "content-type": "application/json" }
      const sent = Http.request(`${instance.url}${path}`, { agent, method, headers }, (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk))
        response.on("end", () => resolve(text)).on("error", reject)
      })
      sent.on("error", reject).end(body === undefined ? undefined : JSON.stringify(body))
    })
  const rpc = async (name: string, body: object) =>
    JSON.parse(await call("POST", `/coupon.v1.CouponService/${name}`, body)) as Readonly<Record<string, unknown>>
  return {
    rpc,
    series: async (name: string) => {
      const line = (await call("GET", "/metrics")).split("\n").find((one) => one.startsWith(`${name} `))
      return Number(line?.slice(name.length + 1))
    },
    close: () => agent.destroy()
  }
}

const draft = { name: "crowded", couponLimit: 1_000, startTime: "2025-06-25T00:00:00Z" }

/** Whether a new connection is served. */
const served = (instance: Instance) =>
  fetch(`${instance.url}/livez`, { headers: { connection: "close" } }).then(({ status }) => status === 200, () => false)

describe.runIf(process.platform === "linux")("the limit of open files", () => {
  afterEach(() => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  })

  const one = ["one client", () => "127.0.0.66", "connection_share"] as const
  const many = ["as many clients", (n: number) => `127.0.1.${n}`, "idle_connection"] as const
  for (const [kind, hello, crowds] of [
    ["silent", undefined, inLongProfile([one, many], [one])],
    ["idle HTTP/2", HTTP2_HELLO, inLongProfile([one, many], [many])]
  ] as const) {
    for (const [whose, from, refused] of crowds) {
      it(`as many ${kind} connections of ${whose} as files: all others are served`, async () => {
        const instance = await startInstance({}, { openFiles: LIMIT })
        const warning = /MAX_CONNECTIONS is lowered from 20000 to (\d+): this process may open 256 /
        const warned = warning.exec(instance.logs())
        const allowed = Number(warned?.[1])
        expect(allowed).toBeGreaterThanOrEqual(LIMIT / 4)
        const { close, rpc, series } = client(instance)
        const { campaignId } = await rpc("CreateCampaign", draft)
        const crowd = Array.from({ length: LIMIT - 2 }, (_, n) => idle(instance, from(n + 1), hello))
        await expect.poll(() => crowd.filter((socket) => socket.closed).length)
          .toBeGreaterThanOrEqual(LIMIT - 2 - allowed)
        expect(await rpc("IssueCoupon", { campaignId, userId: 1 })).toMatchObject({ message: "OK" })
        await expect.poll(() => served(instance)).toBe(true)
        expect(await series('coupon_connections{state="limit"}')).toBe(allowed)
        expect(await series('coupon_connections{state="open"}')).toBeLessThanOrEqual(allowed)
        expect(await series(`coupon_protection_total{reason="${refused}"}`)).toBeGreaterThan(0)
        expect(await series("coupon_samples_failed_total")).toBe(0)
        for (const socket of crowd) socket.destroy()
        close()
        expect(await instance.stop()).toBe(0)
      })
    }
  }

  it("without one file more it serves on whom it has, and measures again afterwards", async () => {
    const hook = fileURLToPath(new URL("exhaustFiles.ts", import.meta.url))
    const instance = await startInstance({}, { openFiles: LIMIT, program: ["--import", hook, ...bundle()] })
    const { close, rpc, series } = client(instance)
    const { campaignId } = await rpc("CreateCampaign", draft)
    expect(await series("coupon_samples_failed_total")).toBe(0)
    process.kill(instance.pid, "SIGUSR2")
    await expect.poll(() => instance.logs()).toContain("file descriptors exhausted: EMFILE")
    // Each scrape samples, and each sample fails; so do those of the timer.
    const failed = await series("coupon_samples_failed_total")
    await expect.poll(() => series("coupon_samples_failed_total")).toBeGreaterThan(failed + 3)
    expect(await series("process_resident_memory_bytes")).toBeGreaterThan(0)
    expect(await rpc("IssueCoupon", { campaignId, userId: 1 })).toMatchObject({ message: "OK" })
    expect(await served(instance)).toBe(false)
    process.kill(instance.pid, "SIGUSR2")
    await expect.poll(() => instance.logs()).toContain("file descriptors given back")
    await expect.poll(() => served(instance)).toBe(true)
    const last = await series("coupon_samples_failed_total")
    await series("process_resident_memory_bytes")
    expect(await series("coupon_samples_failed_total")).toBe(last)
    close()
    expect(await instance.stop()).toBe(0)
  })
})
