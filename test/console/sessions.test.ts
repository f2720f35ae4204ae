import { createClient } from "@connectrpc/connect"
import { createConnectTransport } from "@connectrpc/connect-node"
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { CouponService } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import { named } from "../../src/domain/Actor.ts"
import { ADMIN, memorySessions, memoryStore, type Secured } from "../security/Secured.ts"
import { request } from "../transport/Stub.ts"
import { cookieOf, look, own, signIn, startConsole } from "./Pages.ts"

const LIST = "/coupon.v1.CouponService/ListCampaigns"
const CREATE = "/coupon.v1.CouponService/CreateCampaign"
const draft = JSON.stringify({ name: "summer", couponLimit: 10, startTime: "2025-06-25T00:00:00Z" })

let server: Secured
beforeAll(async () => {
  server = await startConsole({ ADMIN_API_KEY: ADMIN })
})
afterAll(() => server.close())

const call = (path: string, cookie: string, body = "{}", to = server) =>
  request(to.port, { path, headers: { ...own(to.port), cookie }, body })

const ids = async (of = server) => {
  const { sessions } = of
  return (await Effect.runPromise(sessions.list)).map(({ id }) => id)
}

describe("a session", () => {
  it("begins with a key, and its cookie is no script's and no other site's", async () => {
    const reply = await signIn(server.port, await server.key("VIEWER"))
    expect(reply.status).toBe(200)
    expect(JSON.parse(reply.body)).toMatchObject({ open: false, signedIn: true, actor: "the VIEWER", role: "VIEWER" })
    expect(reply.headers["set-cookie"]).toEqual([
      expect.stringMatching(/^coupon_session=cps_[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/)
    ])
    expect(reply.headers["cache-control"]).toBe("no-store")
    const { actor, expiresAt, signedIn } = await look(server.port, cookieOf(reply))
    expect([signedIn, actor]).toEqual([true, "the VIEWER"])
    expect(Math.abs(Date.parse(expiresAt!) - Date.now() - 12 * 3_600_000)).toBeLessThan(60_000)
  })

  it("has the rights of its key in both lanes, and its acts are the key's", async () => {
    const operator = cookieOf(await signIn(server.port, await server.key("OPERATOR")))
    const before = server.actors.length
    expect((await call(CREATE, operator, draft)).status).toBe(200)
    const [actor] = server.actors.slice(before)
    expect([actor!.name, actor!.role, actor!.keyId]).toEqual(["the OPERATOR", "OPERATOR", expect.any(String)])

    const viewer = cookieOf(await signIn(server.port, await server.key("VIEWER")))
    expect((await call(LIST, viewer)).status).toBe(200)
    const refused = await call(CREATE, viewer, draft)
    expect([refused.status, refused.body]).toEqual([403, expect.stringContaining("PERMISSION_DENIED")])
    expect((await request(server.port, { path: LIST, headers: own(server.port), body: "{}" })).status).toBe(401)
  })

  it("serves streams", async () => {
    const cookie = cookieOf(await signIn(server.port, ADMIN))
    const transport = createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" })
    const client = createClient(CouponService, transport)
    const { "content-type": _, ...headers } = own(server.port)
    const seen: Array<number> = []
    for await (const page of client.exportCoupons({ campaignId: 1 }, { headers: { ...headers, cookie } })) {
      seen.push(page.coupons.length)
    }
    expect(seen).toEqual([1])
    await expect((async () => {
      for await (const _ of client.exportCoupons({ campaignId: 1 }, { headers: { ...headers } }));
    })()).rejects.toThrow("UNAUTHENTICATED")
  })

  it("is Secure, and of this host alone, where the browser came by TLS", async () => {
    const https = { origin: `https://127.0.0.1:${server.port}` }
    const reply = await signIn(server.port, ADMIN, https)
    expect(reply.headers["set-cookie"]![0]).toMatch(
      /^__Host-coupon_session=cps_[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Secure; Max-Age=43200$/
    )
    const secure = cookieOf(reply)
    const list = (cookie: string) =>
      request(server.port, { path: LIST, headers: { ...own(server.port), ...https, cookie }, body: "{}" })
    expect((await list(secure)).status).toBe(200)
    // A page without TLS, or of another host below the same name, can set a cookie of the other name.
    const plain = cookieOf(await signIn(server.port, ADMIN))
    expect((await list(plain)).status).toBe(401)
    expect((await list(`${plain}; ${secure}`)).status).toBe(200)
  })

  it("takes X-Forwarded-Proto of trusted proxies alone", async () => {
    const same = { origin: "", "sec-fetch-site": "same-origin", "x-forwarded-proto": "https" }
    const of = async (port: number) => (await signIn(port, ADMIN, same)).headers["set-cookie"]![0]!
    expect(await of(server.port)).toMatch(/^coupon_session=/)
    const behind = await startConsole({ ADMIN_API_KEY: ADMIN, TRUSTED_PROXIES: "127.0.0.0/8" })
    expect(await of(behind.port)).toMatch(/^__Host-coupon_session=.*; Secure;/)
    await behind.close()
  })

  it("ends at sign-out, and is recorded as ended by its holder", async () => {
    const cookie = cookieOf(await signIn(server.port, ADMIN))
    const before = (await ids()).length
    const reply = await request(server.port, {
      method: "DELETE",
      path: "/console/session",
      headers: { ...own(server.port), cookie }
    })
    const removed = [expect.stringMatching(/^coupon_session=;.*Max-Age=0/)]
    expect([reply.status, reply.headers["set-cookie"]]).toEqual([204, removed])
    expect((await ids()).length).toBe(before - 1)
    const after = await call(LIST, cookie)
    expect([after.status, after.body]).toEqual([401, expect.stringContaining("the session has ended: sign in again")])
    const seen = await look(server.port, cookie)
    expect([seen.signedIn, seen.reply.headers["set-cookie"]]).toEqual([false, [expect.stringContaining("Max-Age=0")]])
  })

  it("ends where another one begins in the same browser", async () => {
    const first = cookieOf(await signIn(server.port, ADMIN))
    const second = cookieOf(await signIn(server.port, ADMIN, { cookie: first }))
    expect(second).not.toBe(first)
    expect([(await call(LIST, first)).status, (await call(LIST, second)).status]).toEqual([401, 200])
  })

  it("is not chosen by who signs in", async () => {
    const chosen = `coupon_session=cps_${"A".repeat(43)}`
    const reply = await signIn(server.port, ADMIN, { cookie: chosen })
    expect(cookieOf(reply)).not.toBe(chosen)
    expect((await call(LIST, chosen)).status).toBe(401)
  })

  it("is none if a cookie comes twice, or has another form", async () => {
    const [one, other] = [cookieOf(await signIn(server.port, ADMIN)), cookieOf(await signIn(server.port, ADMIN))]
    for (const cookie of [`${one}; ${other}`, `${one}; ${one}`, `coupon_session=${ADMIN}`, "coupon_session=", "="]) {
      expect((await call(LIST, cookie)).status, cookie).toBe(401)
    }
    expect((await call(LIST, `theme=dark; ${one}; x`)).status).toBe(200)
  })

  it("does not begin with a session, with less than a key, or without one", async () => {
    const token = cookieOf(await signIn(server.port, ADMIN)).replace("coupon_session=", "")
    const wrong = await signIn(server.port, token)
    expect([wrong.status, wrong.headers["set-cookie"]]).toEqual([401, undefined])
    for (const body of ["{}", "{\"key\":1}", "{\"key\":\"\"}", "[]", "null", "{", `{"key":"${"x".repeat(2_000)}"}`]) {
      const reply = await request(server.port, { path: "/console/session", headers: own(server.port), body })
      expect([reply.status, reply.headers["set-cookie"]], body.slice(0, 20)).toEqual([400, undefined])
    }
    const large = await request(server.port, {
      path: "/console/session",
      headers: own(server.port),
      body: `{"key":"${"x".repeat(5_000)}"}`
    })
    expect(large.status).toBe(429)
  })
})

describe("a session ends with its key", () => {
  it("that is revoked", async () => {
    const secret = await server.key("VIEWER")
    const cookie = cookieOf(await signIn(server.port, secret))
    expect((await call(LIST, cookie)).status).toBe(200)
    await Effect.runPromise(server.apiKeys.revoke(secret.split("_")[1]!, named("test")))
    expect((await call(LIST, cookie)).status).toBe(401)
    expect((await look(server.port, cookie)).signedIn).toBe(false)
  })

  it("that is limited to another network, and no longer", async () => {
    const secret = await server.key("VIEWER")
    const id = secret.split("_")[1]!
    const cookie = cookieOf(await signIn(server.port, secret))
    const limit = (networks: ReadonlyArray<string> | null) =>
      Effect.runPromise(server.apiKeys.limit(id, { networks }, named("test")))
    await limit(["10.0.0.0/8"])
    expect((await call(LIST, cookie)).status).toBe(403)
    await limit(null)
    expect((await call(LIST, cookie)).status).toBe(200)
  })

  it("that expires", async () => {
    const keys = memoryStore()
    const other = await startConsole({}, { keys: keys.store })
    const secret = await other.key("ADMIN", undefined, { expiresAt: Date.now() + 3_600_000 })
    const cookie = cookieOf(await signIn(other.port, secret))
    expect((await call(LIST, cookie, "{}", other)).status).toBe(200)
    keys.ahead = 3_700_000
    // A write makes the instance read the store's clock.
    await Effect.runPromise(other.apiKeys.revoke("none", named("test")))
    expect((await call(LIST, cookie, "{}", other)).status).toBe(401)
    await other.close()
  })

  it("if that is ADMIN_API_KEY and another one is set", async () => {
    const [keys, sessions] = [memoryStore().store, memorySessions()]
    const before = await startConsole({ ADMIN_API_KEY: ADMIN }, { keys, sessions })
    const cookie = cookieOf(await signIn(before.port, ADMIN))
    const same = await startConsole({ ADMIN_API_KEY: ADMIN }, { keys, sessions })
    const changed = await startConsole({ ADMIN_API_KEY: `${ADMIN}-2` }, { keys, sessions })
    expect((await call(LIST, cookie, "{}", same)).status).toBe(200)
    expect((await call(LIST, cookie, "{}", changed)).status).toBe(401)
    await Promise.all([before, same, changed].map((one) => one.close()))
  })
})

describe("of several instances", () => {
  it("each knows a session at once, and its end within 10 s", async () => {
    const [keys, sessions] = [memoryStore().store, memorySessions()]
    const [one, other] = [
      await startConsole({ ADMIN_API_KEY: ADMIN }, { keys, sessions }),
      await startConsole({ ADMIN_API_KEY: ADMIN }, { keys, sessions })
    ]
    for (let round = 0; round < 3; round++) {
      const cookie = cookieOf(await signIn(one.port, ADMIN))
      expect((await call(LIST, cookie, "{}", other)).status).toBe(200)
    }
    await Promise.all([one, other].map((instance) => instance.close()))
  })
})

describe("without bounds", () => {
  it("are no sessions of a key: a further one ends the oldest", async () => {
    const sessions = memorySessions()
    const own = await startConsole({ ADMIN_API_KEY: ADMIN }, { sessions })
    const first = cookieOf(await signIn(own.port, ADMIN))
    const change = { changeId: "0".repeat(32), actor: named("test") }
    for (let n = 0; n < 128; n++) {
      const row = { id: `id${n}`, tokenHash: `hash${n}`, keyId: "bootstrap", address: "" }
      await Effect.runPromise(sessions.insert(row, { lifeMillis: 1e6, most: 128 }, change))
    }
    const latest = cookieOf(await signIn(own.port, ADMIN))
    expect((await Effect.runPromise(sessions.all)).sessions).toHaveLength(128)
    const statuses = [(await call(LIST, first, "{}", own)).status, (await call(LIST, latest, "{}", own)).status]
    expect(statuses).toEqual([401, 200])
    await own.close()
  })

  it("are no starts of sessions with a key", async () => {
    const secret = await server.key("VIEWER")
    const replies = await Promise.all(Array.from({ length: 60 }, () => signIn(server.port, secret)))
    const statuses = replies.map(({ status }) => status)
    expect(new Set(statuses)).toEqual(new Set([200, 429]))
    const limited = replies.find(({ status }) => status === 429)!
    expect([limited.headers["retry-after"], limited.body]).toEqual(["1", expect.stringContaining("RATE_LIMITED")])
  })

  it("are no wrong keys, nor lookups of sessions that are none", async () => {
    const own = await startConsole({ ADMIN_API_KEY: ADMIN })
    const wrong = await Promise.all(
      Array.from({ length: 110 }, (_, n) => signIn(own.port, `wrong-${n}-0123456789abcdef0123456789`))
    )
    expect(wrong.filter(({ status }) => status === 401)).toHaveLength(100)
    expect(new Set(wrong.map(({ status }) => status))).toEqual(new Set([401, 429]))
    expect(own.refused.every(({ call }) => call === "SignIn")).toBe(true)

    const forged = (n: number) => `coupon_session=cps_${String(n).padStart(43, "x")}`
    const statuses = new Set<number>()
    for (let n = 0; n < 30; n++) statuses.add((await call(LIST, forged(n), "{}", own)).status)
    expect(statuses).toEqual(new Set([401, 503]))
    // One that was looked up is known to be none.
    expect((await call(LIST, forged(0), "{}", own)).status).toBe(401)
    expect((await call(LIST, cookieOf(await signIn(own.port, ADMIN)), "{}", own)).status).toBe(200)
    await own.close()
  })
})

it("while administration is open, there is no session, and calls need none", async () => {
  const open = await startConsole({ OPEN_ADMINISTRATION: "loopback" })
  expect(await look(open.port)).toMatchObject({ open: true, signedIn: false, actor: "anonymous", role: "ADMIN" })
  expect((await request(open.port, { path: LIST, headers: own(open.port), body: "{}" })).status).toBe(200)
  await open.key("ADMIN")
  expect(await look(open.port)).toMatchObject({ open: false, signedIn: false })
  expect((await request(open.port, { path: LIST, headers: own(open.port), body: "{}" })).status).toBe(401)
  await open.close()
})
