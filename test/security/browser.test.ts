import { createClient } from "@connectrpc/connect"
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { load } from "../../src/config/AppConfig.ts"
import * as Effect from "effect/Effect"
import { CouponService } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import type { Running } from "../transport/Stub.ts"
import { ISSUE, json, request, start } from "../transport/Stub.ts"

const SHOP = "https://shop.example"
const issue = "{\"campaignId\":1,\"userId\":1}"

let server: Running
beforeAll(async () => {
  server = await start({ environment: { CORS_ORIGINS: `${SHOP}, https://admin.example` } })
})
afterAll(() => server.close())

const preflight = (port: number, origin: string, headers = "content-type,connect-protocol-version") =>
  request(port, {
    method: "OPTIONS",
    path: ISSUE,
    headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": headers }
  })

const list = (value: string | undefined) => (value ?? "").toLowerCase().split(/\s*,\s*/)

/**
 * `fetch` as a browser does it: asks first whether it may, gives scripts no header that was not exposed, and fails like
 * the network where the answer does not name its origin.
 */
const browserFetch = (origin: string): typeof fetch => async (input, init) => {
  const target = new Request(input, init)
  const names = [...target.headers.keys()].filter((name) => name !== "accept")
  const asked = await fetch(target.url, {
    method: "OPTIONS",
    headers: {
      origin,
      "access-control-request-method": target.method,
      "access-control-request-headers": names.join(",")
    }
  })
  const allowed = (reply: Response) => ["*", origin].includes(reply.headers.get("access-control-allow-origin") ?? "")
  const permitted = list(asked.headers.get("access-control-allow-headers") ?? undefined)
  if (
    !asked.ok || !allowed(asked) ||
    !list(asked.headers.get("access-control-allow-methods") ?? undefined).includes(target.method.toLowerCase())
  ) {
    throw new TypeError("CORS: the preflight failed")
  }
  for (const name of names) if (!permitted.includes(name)) throw new TypeError(`CORS: ${name} is not allowed`)
  target.headers.set("origin", origin)
  const reply = await fetch(target)
  if (!allowed(reply)) throw new TypeError("CORS: the answer is for another origin")
  const visible = [
    "content-type",
    "content-length",
    "cache-control",
    ...list(reply.headers.get("access-control-expose-headers") ?? undefined)
  ]
  const headers = new Headers([...reply.headers].filter(([name]) => visible.includes(name)))
  return new Response(reply.body, { status: reply.status, headers })
}

const transports = {
  Connect: (baseUrl: string, origin: string) => createConnectTransport({ baseUrl, fetch: browserFetch(origin) }),
  "Connect binary": (baseUrl: string, origin: string) =>
    createConnectTransport({ baseUrl, useBinaryFormat: true, useHttpGet: true, fetch: browserFetch(origin) }),
  "gRPC-Web": (baseUrl: string, origin: string) => createGrpcWebTransport({ baseUrl, fetch: browserFetch(origin) })
}

describe.each(Object.entries(transports))("a web page with %s", (_, transport) => {
  it("of an allowed origin may call, and can read answers, errors and when to come back", async () => {
    const client = createClient(CouponService, transport(server.url, SHOP))
    const call = { headers: { authorization: "Bearer x" }, timeoutMs: 5_000 }
    expect((await client.issueCoupon({ campaignId: 1, userId: 7n }, call)).message).toBe("OK")
    expect((await client.getCampaign({ campaignId: 1 }, call)).id).toBe(1)
    await expect(client.issueCoupon({ campaignId: 0, userId: 7n })).rejects.toThrow("INVALID_ARGUMENT: campaignId")
  })

  it("of another origin may not", async () => {
    const client = createClient(CouponService, transport(server.url, "https://evil.example"))
    await expect(client.issueCoupon({ campaignId: 1, userId: 7n })).rejects.toThrow("CORS")
  })
})

it("no origin is allowed unless CORS_ORIGINS names it", async () => {
  const closed = await start()
  const reply = await preflight(closed.port, SHOP)
  expect(reply.headers["access-control-allow-origin"]).toBe(undefined)
  const call = await request(closed.port, { path: ISSUE, headers: { ...json, origin: SHOP }, body: issue })
  expect([call.status, call.headers["access-control-allow-origin"], call.headers.vary]).toEqual([
    200,
    undefined,
    undefined
  ])
  await closed.close()
})

it("answers differ by origin, and caches learn it; * is for all origins", async () => {
  const vary = (await preflight(server.port, SHOP)).headers
  expect([vary["access-control-allow-origin"], vary.vary, vary["access-control-max-age"]]).toEqual([
    SHOP,
    "Origin",
    "7200"
  ])
  expect(vary["access-control-allow-credentials"]).toBe(undefined)
  const refused = await preflight(server.port, "https://evil.example")
  expect([refused.status, refused.headers["access-control-allow-origin"], refused.headers.vary]).toEqual([
    204,
    undefined,
    "Origin"
  ])
  const any = await start({ environment: { CORS_ORIGINS: "*" } })
  expect((await preflight(any.port, "https://any.example")).headers["access-control-allow-origin"]).toBe("*")
  await any.close()
})

it.each(["https://shop.example/", "shop.example", "https://shop.example/path", "null"])(
  "CORS_ORIGINS %s is no origin",
  async (origin) => {
    await expect(Effect.runPromise(load({ CORS_ORIGINS: origin }))).rejects.toThrow(
      `${origin} is no origin, such as https://shop.example`
    )
  }
)

const shown = ["/", "/livez", "/readyz", "/nowhere", `${ISSUE}?connect=v1&encoding=json&message={}`]

it.each(shown)("GET %s can be shown, run, framed or kept by no browser", async (path) => {
  const { headers } = await request(server.port, { method: "GET", path })
  expect(headers).toMatchObject({
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer"
  })
  expect([headers.server, headers["x-powered-by"], headers["strict-transport-security"]]).toEqual([
    undefined,
    undefined,
    undefined
  ])
})
