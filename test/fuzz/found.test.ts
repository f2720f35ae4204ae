import * as Effect from "effect/Effect"
import { gzipSync } from "node:zlib"
import { afterAll, beforeAll, expect, it } from "vitest"
import * as AppConfig from "../../src/config/AppConfig.ts"
import * as GuardedMount from "../../src/http/GuardedMount.ts"
import { Startup } from "../../src/rpc/Startup.ts"
import type { Secured } from "../security/Secured.ts"
import { ADMIN, startSecured } from "../security/Secured.ts"
import { ISSUE, json, request, start } from "../transport/Stub.ts"

let server: Secured
beforeAll(async () => {
  server = await startSecured({ ADMIN_API_KEY: ADMIN })
})
afterAll(() => server.close())

// Found by the fuzzer: was INTERNAL_SERVER_ERROR, and a line in the log each.
it.each(["application/json", "application/proto"])("%s that cannot be decompressed is a 400", async (type) => {
  const packed = gzipSync("{\"campaignId\":1,\"userId\":1}")
  const bodies = [packed.subarray(0, -4), Buffer.concat([packed.subarray(0, 12), packed]), Buffer.from("rubbish")]
  for (const body of bodies) {
    const headers = { ...json, "content-type": type, "content-encoding": "gzip" }
    const reply = await request(server.port, { path: ISSUE, headers, body })
    expect([reply.status, JSON.parse(reply.body)]).toEqual([
      400,
      {
        code: "invalid_argument",
        message: expect.stringMatching(/^INVALID_ARGUMENT: (body cannot be decompressed|decompression failed)$/)
      }
    ])
  }
  expect(server.logs).toEqual([])
})

it("a mount for VIEWERs rejects all others, and every call before the keys are known", async () => {
  let ready = false
  const useCases = { guard: server.guard, apiKeys: server.apiKeys } as never
  const mounts = await Effect.runPromise(GuardedMount.make("VIEWER", {
      "/metrics": (_, response) => void (response as import("node:http").ServerResponse).end("figures")
    }).pipe(
    Effect.provideService(Startup, { current: () => ready ? useCases : undefined, waitingFor: () => [] }),
    Effect.provide(AppConfig.layerTest())
  ))
  const other = await start({ mounts })
  const scrape = (authorization?: string) =>
    request(other.port, {
      method: "GET",
      path: "/metrics",
      headers: authorization === undefined ? {} : { authorization }
    })
  expect([(await scrape()).status, (await scrape(`Bearer ${ADMIN}`)).status]).toEqual([503, 503])
  ready = true
  expect([(await scrape()).status, (await scrape()).headers["www-authenticate"]]).toEqual([401, "Bearer"])
  expect((await scrape(`Bearer ${await server.key("ISSUER")}`)).status).toBe(403)
  expect((await scrape(`Bearer ${await server.key("VIEWER")}`)).body).toBe("figures")
  await other.close()
})
