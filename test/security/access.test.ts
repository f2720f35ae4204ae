import type { Interceptor, Transport } from "@connectrpc/connect"
import { Code, ConnectError, createClient } from "@connectrpc/connect"
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node"
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import * as Path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import type { Role } from "../../src/domain/Role.ts"
import { roles } from "../../src/domain/Role.ts"
import { routes } from "../../src/rpc/CouponRoutes.ts"
import type { UseCases } from "../../src/rpc/Startup.ts"
import { CouponService } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import { refusal } from "../contract/clients.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { echo, ISSUE, json, request } from "../transport/Stub.ts"
import type { Secured } from "./Secured.ts"
import { ADMIN, bearer, memoryNote, startSecured } from "./Secured.ts"

const protocols: Record<string, (baseUrl: string, interceptors: Array<Interceptor>) => Transport> = {
  "Connect JSON (lane)": (baseUrl, interceptors) =>
    createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false, interceptors }),
  "Connect binary (lane, h2)": (baseUrl, interceptors) =>
    createConnectTransport({ baseUrl, httpVersion: "2", interceptors }),
  "Connect compressed (adapter)": (baseUrl, interceptors) =>
    createConnectTransport({ baseUrl, httpVersion: "1.1", compressMinBytes: 0, interceptors }),
  "Connect GET": (baseUrl, interceptors) =>
    createConnectTransport({ baseUrl, httpVersion: "1.1", useHttpGet: true, interceptors }),
  gRPC: (baseUrl, interceptors) => createGrpcTransport({ baseUrl, interceptors }),
  "gRPC-Web": (baseUrl, interceptors) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1", interceptors })
}

const clientOf = (protocol: string, url: string, secret?: string, scheme = "Bearer ") =>
  createClient(CouponService, protocols[protocol]!(url, [(next) => (call) => {
    if (secret !== undefined) call.header.set("authorization", scheme + secret)
    return next(call)
  }]))

const draft = { name: "여름", couponLimit: 10n, startTime: "2025-06-25T00:00:00Z" }

/** What each role may, written down a second time on purpose. */
const mayCreate: Record<Role, boolean> = { ISSUER: false, REDEEMER: false, VIEWER: false, OPERATOR: true, ADMIN: true }
const mayFind: Record<Role, boolean> = { ISSUER: false, REDEEMER: true, VIEWER: true, OPERATOR: true, ADMIN: true }
const mayList: Record<Role, boolean> = { ...mayFind, REDEEMER: false }

let server: Secured
const keys = new Map<Role, string>()
beforeAll(async () => {
  server = await startSecured({ ADMIN_API_KEY: ADMIN })
  for (const role of roles) keys.set(role, await server.key(role))
})
afterAll(() => server.close())

it("only the RPCs of users are open", () => {
  const open = routes.filter((route) => route.isPublic).map((route) => route.method.name)
  // RedeemCoupon where PUBLIC_REDEEM says so (publicRedeem.test.ts).
  expect(open.sort()).toEqual(["GetCampaign", "GetCoupon", "IssueCoupon", "RedeemCoupon"])
})

describe.each(Object.keys(protocols))("%s", (protocol) => {
  const needs = "UNAUTHENTICATED: this call needs an API key with the rights of OPERATOR; " +
    "send it as \"Authorization: Bearer <key>\""

  it("administration without a key is UNAUTHENTICATED, and says what to send", async () => {
    expect(await refusal(clientOf(protocol, server.url).createCampaign(draft))).toEqual({
      code: Code.Unauthenticated,
      message: needs
    })
  })

  it.each([
    ["unknown", "cpn_0123456789abcdef_" + "A".repeat(43)],
    ["not even of our form", "letmein"],
    ["one character off", "last"]
  ])("a key that is %s is refused", async (_, given) => {
    const good = keys.get("ADMIN")!
    const secret = given === "last" ? good.slice(0, -1) + (good.endsWith("A") ? "B" : "A") : given
    expect(await refusal(clientOf(protocol, server.url, secret).createCampaign(draft))).toEqual({
      code: Code.Unauthenticated,
      message: "UNAUTHENTICATED: the API key is unknown, revoked or expired"
    })
  })

  it("a header that is no Bearer is refused by its form", async () => {
    const call = clientOf(protocol, server.url, "dXNlcjpwYXNz", "Basic ").createCampaign(draft)
    expect(await refusal(call)).toEqual({
      code: Code.Unauthenticated,
      message: "UNAUTHENTICATED: the Authorization header is not of the form \"Bearer <key>\""
    })
  })

  it.each(roles)("%s is let in, or receives what is missing", async (role) => {
    const call = clientOf(protocol, server.url, keys.get(role)).createCampaign(draft)
    if (mayCreate[role]) {
      expect((await call).campaignId).toBe(1)
      expect(server.actors.at(-1)?.name).toBe(`the ${role}`)
    } else {
      expect(await refusal(call)).toEqual({
        code: Code.PermissionDenied,
        message:
          `PERMISSION_DENIED: this call needs the rights of OPERATOR, and the key "the ${role}" is of role ${role}`
      })
    }
  })

  it.each(roles)("%s looks a coupon up, or receives what is missing", async (role) => {
    const client = clientOf(protocol, server.url, keys.get(role))
    const calls = [
      [() => client.findCoupon({ campaignId: 1, code: "가" }), mayFind, "VIEWER or REDEEMER"],
      [() => client.listCoupons({ campaignId: 1 }), mayList, "VIEWER"]
    ] as const
    for (const [call, may, right] of calls) {
      expect(await (call() as Promise<unknown>).then(() => "done", (error) => ConnectError.from(error).rawMessage))
        .toBe(
          may[role]
            ? "done"
            : `PERMISSION_DENIED: this call needs the rights of ${right}, and the key "the ${role}" is of role ${role}`
        )
    }
    expect((await client.getCoupon({ campaignId: 1, userId: 7n })).coupon?.userId).toBe(7n)
  })

  it("ADMIN_API_KEY may do everything, as bootstrap", async () => {
    expect((await clientOf(protocol, server.url, ADMIN).createCampaign(draft)).campaignId).toBe(1)
    expect(server.actors.at(-1)?.name).toBe("bootstrap")
  })

  it("users need none, and another system's credentials in the header do not disturb", async () => {
    for (
      const client of [
        clientOf(protocol, server.url),
        clientOf(protocol, server.url, "dXNlcjpwYXNz", "Basic "),
        clientOf(protocol, server.url, "a.b.c")
      ]
    ) {
      expect((await client.issueCoupon({ campaignId: 1, userId: 7n })).message).toBe("OK")
      expect((await client.getCoupon({ campaignId: 1, userId: 7n })).coupon?.userId).toBe(7n)
      expect((await client.getCampaign({ campaignId: 1 })).id).toBe(1)
    }
  })

  it("a revoked key is noticed at once where it was revoked, by users' RPCs too", async () => {
    const secret = await server.key("ADMIN")
    const client = clientOf(protocol, server.url, secret)
    await client.createCampaign(draft)
    const id = secret.split("_")[1]!
    expect(await Effect.runPromise(server.apiKeys.revoke(id, named("test")))).toBe(true)
    const message = "UNAUTHENTICATED: the API key is unknown, revoked or expired"
    expect(await refusal(client.createCampaign(draft))).toEqual({ code: Code.Unauthenticated, message })
    expect(await refusal(client.issueCoupon({ campaignId: 1, userId: 7n }))).toEqual({
      code: Code.Unauthenticated,
      message
    })
  })

  it("a key's rate holds, and RATE_LIMITED says when to come back", async () => {
    const client = clientOf(protocol, server.url, await server.key("OPERATOR", 1))
    const outcomes = await Promise.all(Array.from({ length: 30 }, () =>
      client.getCampaign({ campaignId: 1 }).then(() => "OK", (error: { rawMessage: string; metadata: Headers }) =>
        `${error.rawMessage} ${error.metadata.get("retry-after")}`)))
    expect(outcomes).toContain("OK")
    expect(outcomes).toContain("RATE_LIMITED 1")
    expect(outcomes.filter((outcome) => outcome !== "OK" && outcome !== "RATE_LIMITED 1")).toEqual([])
  })
})

it("a 401 names its scheme, on the lane and on the adapter, and no secret is logged", async () => {
  const path = "/coupon.v1.CouponService/CreateCampaign"
  for (const target of [path, `${path}?adapter`]) {
    const reply = await request(server.port, {
      path: target,
      headers: { ...json, ...bearer(`cpn_0123456789abcdef_${"x".repeat(43)}`) },
      body: "{\"name\":\"x\",\"couponLimit\":1,\"startTime\":\"2025-06-25T00:00:00Z\"}"
    })
    expect([reply.status, reply.headers["www-authenticate"]]).toEqual([401, "Bearer"])
  }
  const logs = server.logs.join("\n")
  expect(logs).toContain("an administrative call was refused")
  expect(logs).not.toContain("x".repeat(43))
  for (const secret of [ADMIN, ...keys.values()]) expect(logs).not.toContain(secret)
})

describe("administration without keys", () => {
  it.each([
    {},
    { OPEN_ADMINISTRATION: "" },
    { OPEN_ADMINISTRATION: "no" },
    { NODE_ENV: "test", OPEN_ADMINISTRATION: "" },
    // Reached from outside.
    { HOST: "0.0.0.0", OPEN_ADMINISTRATION: "loopback" },
    { HOST: "::", OPEN_ADMINISTRATION: "loopback" },
    { HOST: "127.0.0.1.example", OPEN_ADMINISTRATION: "loopback" }
  ])("is closed where no setting opens it: %o", async (environment) => {
    const closed = await startSecured({ OPEN_ADMINISTRATION: "", ...environment })
    expect((await refusal(clientOf("gRPC", closed.url).createCampaign(draft))).code).toBe(Code.Unauthenticated)
    expect((await clientOf("gRPC", closed.url).issueCoupon({ campaignId: 1, userId: 1n })).message).toBe("OK")
    expect(closed.actors).toEqual([])
    await closed.close()
  })

  it.each([
    { OPEN_ADMINISTRATION: "yes" },
    { OPEN_ADMINISTRATION: "yes", HOST: "0.0.0.0" },
    ...["127.0.0.1", "127.1.2.3", "localhost", "::1"].map((HOST) => ({ OPEN_ADMINISTRATION: "loopback", HOST }))
  ])("is open with %o, until the first key is made", async (environment) => {
    const open = await startSecured(environment)
    expect((await clientOf("gRPC", open.url).createCampaign(draft)).campaignId).toBe(1)
    expect(open.actors.map(({ name }) => name)).toEqual(["anonymous"])
    const secret = await open.key("ADMIN")
    expect((await refusal(clientOf("gRPC", open.url).createCampaign(draft))).code).toBe(Code.Unauthenticated)
    expect((await clientOf("gRPC", open.url, secret).createCampaign(draft)).campaignId).toBe(1)
    await open.close()
  })

  it.each(["development", "test"])("is closed with NODE_ENV=%s on a ledger from production", async (nodeEnv) => {
    const note = memoryNote()
    const late = await startSecured({ NODE_ENV: nodeEnv }, undefined, undefined, note)
    await Effect.runPromise(note.leave)
    const server = await startSecured({ NODE_ENV: nodeEnv }, undefined, undefined, note)
    for (const protocol of Object.keys(protocols)) {
      for (const { url } of [server, late]) {
        expect((await refusal(clientOf(protocol, url).createCampaign(draft))).code, protocol).toBe(Code.Unauthenticated)
      }
    }
    expect([...server.actors, ...late.actors]).toEqual([])
    expect((await clientOf("gRPC", server.url, await server.key("ADMIN")).createCampaign(draft)).campaignId).toBe(1)
    expect((await clientOf("gRPC", server.url).issueCoupon({ campaignId: 1, userId: 1n })).message).toBe("OK")
    await server.close()
    await late.close()
  })

  it("is closed in production, whatever the table says", async () => {
    const production = await startSecured({ NODE_ENV: "production", PUBLIC_ACCESS: "open" })
    expect((await refusal(clientOf("gRPC", production.url).createCampaign(draft))).code).toBe(Code.Unauthenticated)
    await production.close()
  })
})

describe("codes are listed", () => {
  const code = "가나다라마바사아자0"
  const withCodes: UseCases = {
    ...echo,
    campaigns: {
      ...echo.campaigns,
      get: (campaignId) =>
        Effect.map(echo.campaigns.get(campaignId, 0, ""), (page) => ({
          ...page,
          coupons: [{ campaignId, userId: 7n, id: 1, code, issuedAt: 0 }]
        }))
    }
  }
  const listed = async (url: string, protocol: string, secret?: string) => {
    const { id, issuedCoupons, issuedCouponsWithheld } =
      await clientOf(protocol, url, secret).getCampaign({ campaignId: 1 })
    expect(id).toBe(1)
    return { issuedCoupons, issuedCouponsWithheld }
  }
  const all = { issuedCoupons: [code], issuedCouponsWithheld: false }
  const none = { issuedCoupons: [], issuedCouponsWithheld: true }
  const key = "VXp0dGhpcy1pcy1ub3QtYS1yZWFsLWtleS1idXQtbG9uZw"

  it("to all callers in a try-out", async () => {
    const open = await startSecured({}, undefined, withCodes)
    for (const protocol of Object.keys(protocols)) expect(await listed(open.url, protocol), protocol).toEqual(all)
    await open.close()
  })

  it("to keys alone in production, also with PUBLIC_ACCESS=open", async () => {
    const environment = { NODE_ENV: "production", PUBLIC_ACCESS: "open", ADMIN_API_KEY: key }
    const server = await startSecured(environment, undefined, withCodes)
    const secrets = [key, await server.key("ISSUER"), await server.key("VIEWER"), await server.key("OPERATOR")]
    for (const protocol of Object.keys(protocols)) {
      expect(await listed(server.url, protocol), protocol).toEqual(none)
      expect(await listed(server.url, protocol, "a-token-for-the-proxy-in-front"), protocol).toEqual(none)
      for (const secret of secrets) expect(await listed(server.url, protocol, secret), protocol).toEqual(all)
    }
    await server.close()
  })

  it("to whom PUBLIC_CODES says, whatever else would decide", async () => {
    const inProduction = { NODE_ENV: "production", PUBLIC_ACCESS: "open", ADMIN_API_KEY: key }
    for (
      const [environment, shown] of [
        [{ PUBLIC_CODES: "off" }, none],
        [{ PUBLIC_CODES: "on" }, all],
        [{ ...inProduction, PUBLIC_CODES: "on" }, all],
        [{ ...inProduction, PUBLIC_CODES: "off" }, none]
      ] as const
    ) {
      const server = await startSecured(environment, undefined, withCodes)
      expect(await listed(server.url, "gRPC"), JSON.stringify(environment)).toEqual(shown)
      for (const role of roles) expect(await listed(server.url, "gRPC", await server.key(role))).toEqual(all)
      await server.close()
    }
    await expect(startSecured({ PUBLIC_CODES: "maybe" })).rejects.toThrow(/PUBLIC_CODES/)
  })

  it("to keys alone where users have tokens", async () => {
    const directory = temporaryDirectory("jwks")
    const JWT_JWKS_FILE = Path.join(directory, "jwks.json")
    writeFileSync(JWT_JWKS_FILE, "{\"keys\":[]}")
    const environment = { JWT_JWKS_FILE, JWT_ISSUER: "https://login.example", JWT_AUDIENCE: "coupons" }
    const server = await startSecured(environment, undefined, withCodes)
    const viewer = await server.key("VIEWER")
    for (const protocol of Object.keys(protocols)) {
      expect(await listed(server.url, protocol), protocol).toEqual(none)
      expect(await listed(server.url, protocol, viewer), protocol).toEqual(all)
    }
    await server.close()
    removeDirectory(directory)
  })
})

describe("PUBLIC_ACCESS=key", () => {
  it("asks users for a key too, and a VIEWER does not claim", async () => {
    const closed = await startSecured({ ADMIN_API_KEY: ADMIN, PUBLIC_ACCESS: "key" })
    const [issuer, viewer] = [await closed.key("ISSUER"), await closed.key("VIEWER")]
    for (const protocol of Object.keys(protocols)) {
      const bare = clientOf(protocol, closed.url)
      const calls = [
        () => bare.issueCoupon({ campaignId: 1, userId: 1n }),
        () => bare.getCoupon({ campaignId: 1, userId: 1n }),
        () => bare.getCampaign({ campaignId: 1 })
      ]
      for (const call of calls) {
        expect(await refusal(call())).toEqual({
          code: Code.Unauthenticated,
          message: "UNAUTHENTICATED: this call needs an API key; send it as \"Authorization: Bearer <key>\""
        })
      }
      const looking = clientOf(protocol, closed.url, viewer)
      expect((await looking.getCampaign({ campaignId: 1 })).id).toBe(1)
      expect((await looking.getCoupon({ campaignId: 1, userId: 1n })).coupon?.userId).toBe(1n)
      expect((await refusal(looking.issueCoupon({ campaignId: 1, userId: 1n }))).message).toBe(
        "PERMISSION_DENIED: this call needs the rights of ISSUER, and the key \"the VIEWER\" is of role VIEWER"
      )
      expect((await clientOf(protocol, closed.url, issuer).issueCoupon({ campaignId: 1, userId: 1n })).message)
        .toBe("OK")
    }
    // Health stays open: a probe has no key.
    expect((await request(closed.port, { method: "GET", path: "/readyz" })).status).toBe(200)
    expect((await request(closed.port, { path: ISSUE, headers: json, body: "{\"campaignId\":1,\"userId\":1}" })).status)
      .toBe(401)
    await closed.close()
  })
})
