import * as http2 from "node:http2"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { findEnvoy, startEnvoy, type Envoy } from "./Envoy.ts"

const program = findEnvoy()

/** An instance that is ready, and resets every request once it has it all: as one that dies after its COMMIT. */
const startResetting = async () => {
  const begun: Array<string> = []
  const server = http2.createServer()
  server.on("stream", (stream, headers) => {
    const path = headers[":path"]!
    stream.on("error", () => {})
    stream.resume()
    stream.on("end", () => {
      if (path === "/readyz") {
        stream.respond({ ":status": 200 })
        stream.end()
        return
      }
      begun.push(path)
      stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return { begun, port: (server.address() as AddressInfo).port, server }
}

describe.skipIf(program === undefined)("through Envoy, a request that an instance has begun and reset", () => {
  let envoy: Envoy
  let instances: ReadonlyArray<Awaited<ReturnType<typeof startResetting>>>
  beforeAll(async () => {
    instances = await Promise.all([startResetting(), startResetting(), startResetting()])
    const ports = instances.map(({ port }) => port)
    envoy = await startEnvoy(program!, ports)
    await envoy.until(ports)
  })
  afterAll(async () => {
    await envoy.stop()
    for (const { server } of instances) server.close()
  })

  const ask = async (rpc: string) => {
    const begun = () => instances.reduce((sum, one) => sum + one.begun.length, 0)
    const before = begun()
    const reply = await fetch(`${envoy.url}/coupon.v1.CouponService/${rpc}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{\"campaignId\":1}"
    })
    return { status: reply.status, body: await reply.json() as unknown, attempts: begun() - before }
  }

  it.each(["IssueCoupon", "CreateCampaign", "UpdateCampaign", "PauseCampaign", "ResumeCampaign", "EndCampaign"])(
    "%s: is not sent again, for a second attempt's CONFLICT or UNAVAILABLE would deny what the first one did",
    async (rpc) => {
      expect(await ask(rpc)).toEqual({
        status: 409,
        body: { code: "aborted", message: "OUTCOME_UNKNOWN" },
        attempts: 1
      })
    }
  )

  it.each(["GetCampaign", "GetCoupon", "ListCampaigns"])("%s: reads are tried at every instance", async (rpc) => {
    const { attempts, ...answer } = await ask(rpc)
    expect(attempts).toBeGreaterThan(1)
    expect(answer).toEqual({ status: 503, body: { code: "unavailable", message: "UNAVAILABLE" } })
  })
})
