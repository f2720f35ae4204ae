import * as http2 from "node:http2"
import * as net from "node:net"
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ADMIN, type Secured } from "../security/Secured.ts"
import { request } from "../transport/Stub.ts"
import { cookieOf, look, own, signIn, startConsole } from "./Pages.ts"

/** What other pages can make a browser do that is signed in to the console. Nothing of it has the session's rights. */
const SHOP = "http://shop.example"
const CREATE = "/coupon.v1.CouponService/CreateCampaign"
const EXPORT = "/coupon.v1.CouponService/ExportCoupons"
const OPERATOR = "/operator/rpc"
const SESSION = "/console/session"
const draft = JSON.stringify({ name: "summer", couponLimit: 10, startTime: "2025-06-25T00:00:00Z" })

let server: Secured
let cookie: string
beforeAll(async () => {
  server = await startConsole({ ADMIN_API_KEY: ADMIN, CORS_ORIGINS: SHOP })
  cookie = cookieOf(await signIn(server.port, ADMIN))
})
afterAll(async () => {
  // Whatever was tried, nothing was done as the session's holder, and the session is there.
  expect(server.actors.filter(({ name }) => name === "bootstrap")).toEqual([])
  expect((await look(server.port, cookie)).signedIn).toBe(true)
  await server.close()
})

const sessions = () => Effect.runPromise(server.sessions.list)

/** Bodies and headers that a form, a link, an image or `fetch` without a preflight sends. */
const simple: ReadonlyArray<readonly [what: string, headers: Record<string, string>]> = [
  ["a form", { "content-type": "application/x-www-form-urlencoded" }],
  ["a form with files", { "content-type": "multipart/form-data; boundary=x" }],
  ["a form of plain text", { "content-type": "text/plain" }],
  ["a beacon without a type", {}]
]

describe.each([
  ["of another site", { origin: SHOP, "sec-fetch-site": "cross-site" }],
  ["of another port of this host", { origin: "http://127.0.0.1:1", "sec-fetch-site": "same-site" }],
  ["whose origin is hidden", { origin: "null" }]
])("a page %s", (_, from) => {
  it.each(simple)("gets nothing done by %s", async (_, headers) => {
    for (const path of [CREATE, EXPORT, OPERATOR, SESSION]) {
      const body = path === SESSION ? JSON.stringify({ key: ADMIN }) : draft
      const reply = await request(server.port, { path, headers: { ...headers, ...from, cookie }, body })
      expect([path, reply.status >= 400, reply.headers["set-cookie"]]).toEqual([path, true, undefined])
    }
  })

  it("gets nothing done by fetch with the type of the API, if a browser let it", async () => {
    const headers = { "content-type": "application/json", ...from, cookie }
    expect((await request(server.port, { path: CREATE, headers, body: draft })).status).toBe(401)
    const forged = await request(server.port, {
      path: CREATE,
      headers: { ...headers, "x-coupon-console": "1" },
      body: draft
    })
    const denied = expect.stringMatching(/^\{"code":"permission_denied".*from a page/)
    expect([forged.status, forged.body]).toEqual([403, denied])
  })

  it("neither signs in nor out", async () => {
    const before = await sessions()
    const headers = { ...own(server.port), ...from, cookie }
    const replies = [
      await request(server.port, { path: SESSION, headers, body: JSON.stringify({ key: ADMIN }) }),
      await request(server.port, { method: "DELETE", path: SESSION, headers })
    ]
    expect(replies.map(({ status }) => status)).toEqual([403, 403])
    expect(replies.map(({ headers }) => headers["set-cookie"])).toEqual([undefined, undefined])
    expect(await sessions()).toEqual(before)
  })
})

it("a browser lets no other origin send the console's header, nor cookies", async () => {
  const preflight = await request(server.port, {
    method: "OPTIONS",
    path: CREATE,
    headers: {
      origin: SHOP,
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type,x-coupon-console"
    }
  })
  expect(preflight.headers["access-control-allow-headers"]!.toLowerCase()).not.toContain("x-coupon-console")
  expect(preflight.headers["access-control-allow-credentials"]).toBe(undefined)
})

describe("a call of the console's own origin counts only", () => {
  const refused = async (headers: Record<string, string>, path = CREATE, method = "POST") => {
    const { status } = await request(server.port, { method, path, headers: { ...headers, cookie }, body: draft })
    return status
  }
  const page = () => own(server.port)

  it("with its header, of the right value", async () => {
    const { "x-coupon-console": _, ...without } = page()
    expect(await refused(without)).toBe(401)
    expect(await refused({ ...page(), "x-coupon-console": "true" })).toBe(401)
  })

  it("with a type that no form sends", async () => {
    expect(await refused({ ...page(), "content-type": "text/plain" })).toBe(403)
    const { "content-type": _, ...without } = page()
    expect(await refused(without)).toBe(403)
  })

  it("if the browser says where it comes from", async () => {
    const { origin: _, ...without } = page()
    expect(await refused(without)).toBe(403)
    expect(await refused({ ...without, "sec-fetch-site": "none" })).toBe(403)
    expect(await refused({ ...without, origin: "http://127.0.0.1.evil.example" })).toBe(403)
    expect(await refused({ ...without, origin: `http://user@127.0.0.1:${server.port}@evil.example` })).toBe(403)
  })

  it("without another credential", async () => {
    expect(await refused({ ...page(), authorization: `Bearer ${ADMIN}` })).toBe(403)
  })

  it("as a POST: a GET changes and shows nothing by a cookie", async () => {
    const message = encodeURIComponent("{\"campaignId\":1}")
    for (const rpc of ["GetCampaign", "ListCampaigns"]) {
      const path = `/coupon.v1.CouponService/${rpc}?connect=v1&encoding=json&message=${message}`
      const reply = await request(server.port, { method: "GET", path, headers: { ...page(), cookie } })
      expect([rpc, reply.status]).toEqual([rpc, 403])
    }
    for (const method of ["GET", "PUT", "PATCH", "DELETE", "HEAD"]) {
      expect([method, (await refused(page(), CREATE, method)) >= 400]).toEqual([method, true])
    }
    const links = [`${SESSION}?key=${ADMIN}`, `${SESSION}?_method=DELETE`]
    for (const path of links) {
      const reply = await request(server.port, { method: "GET", path, headers: { cookie } })
      expect([reply.status, reply.headers["set-cookie"]]).toEqual([403, undefined])
    }
  })
})

it("an upgrade with the cookie opens no socket", async () => {
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = net.connect(server.port, "127.0.0.1", () =>
      socket.write(
        `GET ${CREATE} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
          `Origin: ${SHOP}\r\nCookie: ${cookie}\r\n\r\n`
      ))
    let text = ""
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk
      socket.end()
    }).on("close", () => resolve(text)).on("error", reject)
  })
  expect(answer).not.toContain(" 101 ")
})

it("the same holds over HTTP/2", async () => {
  const session = http2.connect(server.url)
  const post = (headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      const stream = session.request({ ":method": "POST", ":path": CREATE, ...headers, cookie })
      stream.on("response", (head) => resolve(head[":status"]!)).on("error", reject).end(draft)
      stream.resume()
    })
  const page = own(server.port)
  expect(await post({ ...page, origin: SHOP })).toBe(403)
  expect(await post({ "content-type": "application/json", origin: SHOP })).toBe(401)
  const before = server.actors.length
  // Of its own page it is taken.
  const list = await new Promise<number>((resolve, reject) => {
    const path = "/coupon.v1.CouponService/ListCampaigns"
    const stream = session.request({ ":method": "POST", ":path": path, ...page, cookie })
    stream.on("response", (head) => resolve(head[":status"]!)).on("error", reject).end("{}")
    stream.resume()
  })
  expect([list, server.actors.length]).toEqual([200, before])
  session.close()
})

it("with CONSOLE=off, there is no page, and a cookie is nothing", async () => {
  const off = await startConsole({ ADMIN_API_KEY: ADMIN, CONSOLE: "off" })
  const { token } = await Effect.runPromise(
    off.sessions.start({ name: "bootstrap", role: "ADMIN" }, {
      name: "bootstrap",
      keyId: undefined,
      role: "ADMIN",
      address: undefined,
      requestId: undefined,
      reason: undefined
    })
  )
  const headers = { ...own(off.port), cookie: `coupon_session=${token}` }
  expect((await request(off.port, { path: CREATE, headers, body: draft })).status).toBe(401)
  await off.close()
})
