import { Code, createClient } from "@connectrpc/connect"
import { createGrpcTransport } from "@connectrpc/connect-node"
import * as Effect from "effect/Effect"
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from "jose"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { load } from "../../src/config/AppConfig.ts"
import { CouponService } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import { refusal } from "../contract/clients.ts"
import { ISSUE, request } from "../transport/Stub.ts"
import type { Secured } from "./Secured.ts"
import { ADMIN, startSecured } from "./Secured.ts"

const ISSUER = "https://login.example"
const rules = { JWT_ISSUER: ISSUER, JWT_AUDIENCE: "coupons", ADMIN_API_KEY: ADMIN }
const directory = mkdtempSync(Path.join(tmpdir(), "coupon-jwks-"))

interface Pair {
  readonly privateKey: CryptoKey
  readonly jwk: JWK
}
const pairOf = async (alg: string, kid: string): Promise<Pair> => {
  const { privateKey, publicKey } = await generateKeyPair(alg)
  return { privateKey, jwk: { ...await exportJWK(publicKey), kid, alg, use: "sig" } }
}

let [ours, rotated, strangers] = [] as unknown as [Pair, Pair, Pair]
let server: Secured
beforeAll(async () => {
  ;[ours, rotated, strangers] = await Promise.all([
    pairOf("ES256", "one"),
    pairOf("EdDSA", "two"),
    pairOf("ES256", "one")
  ])
  const file = Path.join(directory, "jwks.json")
  writeFileSync(file, JSON.stringify({ keys: [ours.jwk] }))
  server = await startSecured({ ...rules, JWT_JWKS_FILE: file })
})
afterAll(async () => {
  await server.close()
  rmSync(directory, { recursive: true })
})

const token = (claims: Record<string, unknown> = {}, pair = ours, header: Record<string, unknown> = {}) =>
  new SignJWT({ iss: ISSUER, aud: "coupons", sub: "7", exp: Math.floor(Date.now() / 1_000) + 60, ...claims })
    .setProtectedHeader({ alg: pair.jwk.alg!, kid: pair.jwk.kid!, ...header })
    .sign(pair.privateKey)

const client = (url: string, bearer?: string) =>
  createClient(CouponService, createGrpcTransport({
    baseUrl: url,
    interceptors: [(next) => (call) => {
      if (bearer !== undefined) call.header.set("authorization", `Bearer ${bearer}`)
      return next(call)
    }]
  }))
const claim = async (bearer?: string, userId = 7n) => client(server.url, bearer).issueCoupon({ campaignId: 1, userId })

describe("a token binds a user to what is its own", () => {
  it("its subject claims and looks up for itself, again and again", async () => {
    const own = await token()
    for (let k = 0; k < 3; k++) expect((await claim(own)).message).toBe("OK")
    expect((await client(server.url, own).getCoupon({ campaignId: 1, userId: 7n })).coupon?.userId).toBe(7n)
  })

  it.each(["JWT", "jwt", "at+jwt", "application/at+jwt", undefined])("of the type %s", async (typ) => {
    const now = Math.floor(Date.now() / 1_000)
    const header = typ === undefined ? {} : { typ }
    expect((await claim(await token({ iat: now, exp: now + 24 * 3_600 }, ours, header))).message).toBe("OK")
  })

  it("for no other user, and to administer nothing", async () => {
    const own = await token()
    for (const userId of [8n, 70n, 9223372036854775807n]) {
      expect(await refusal(claim(own, userId))).toEqual({
        code: Code.PermissionDenied,
        message: "PERMISSION_DENIED: userId is not the token's subject"
      })
    }
    expect((await refusal(client(server.url, own).getCoupon({ campaignId: 1, userId: 8n }))).code)
      .toBe(Code.PermissionDenied)
    const administered = client(server.url, own).createCampaign({
      name: "x",
      couponLimit: 1n,
      startTime: "2025-06-25T00:00:00Z"
    })
    expect((await refusal(administered)).code).toBe(Code.Unauthenticated)
  })

  it("also over the lane, where it is a header like any other", async () => {
    const ask = async (bearer: string, body: string) =>
      (await request(server.port, {
        path: ISSUE,
        headers: { "content-type": "application/json", authorization: `Bearer ${bearer}` },
        body
      })).status
    const own = await token()
    expect(await ask(own, "{\"campaignId\":1,\"userId\":7}")).toBe(200)
    expect(await ask(own, "{\"campaignId\":1,\"userId\":8}")).toBe(403)
  })

  it("without one, a claim is refused; the campaign may be read by all", async () => {
    expect(await refusal(claim())).toEqual({
      code: Code.Unauthenticated,
      message: "UNAUTHENTICATED: this call needs a token (JWT) whose subject is userId, " +
        "or an API key with the rights of ISSUER; send it as \"Authorization: Bearer <token or key>\""
    })
    expect((await client(server.url).getCampaign({ campaignId: 1 })).id).toBe(1)
  })

  it("an ISSUER's key claims for anybody, a VIEWER's only looks", async () => {
    expect((await claim(await server.key("ISSUER"), 8n)).message).toBe("OK")
    expect((await claim(ADMIN, 8n)).message).toBe("OK")
    const viewer = await server.key("VIEWER")
    expect((await refusal(claim(viewer, 8n))).code).toBe(Code.PermissionDenied)
    expect((await client(server.url, viewer).getCoupon({ campaignId: 1, userId: 8n })).coupon?.userId).toBe(8n)
  })
})

describe("a token is rejected that", () => {
  const TOO_LONG = "the token is valid for too long: its exp is too far from its iat"
  const NO_CLAIM = (typ: string) => `a token of the type "${typ}" is not for claims`
  const unsigned = (claims: object) =>
    [{ alg: "none", typ: "JWT" }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".") + "."
  const now = () => Math.floor(Date.now() / 1_000)
  const cases: ReadonlyArray<readonly [string, () => Promise<string> | string, string]> = [
    ["has expired", () => token({ exp: now() - 60 }), "the token has expired"],
    ["never expires", () => token({ exp: undefined }), "the token's exp is missing"],
    ["is not valid yet", () => token({ nbf: now() + 600 }), "the token's nbf is not the one asked for"],
    ["is for another service", () => token({ aud: "payments" }), "the token's aud is not the one asked for"],
    [
      "is from another issuer",
      () => token({ iss: "https://evil.example" }),
      "the token's iss is not the one asked for"
    ],
    ["is valid for longer than JWT_LONGEST_LIFE", () => token({ exp: now() + 25 * 3_600 }), TOO_LONG],
    ["was valid for longer", () => token({ iat: now() - 25 * 3_600, exp: now() + 60 }), TOO_LONG],
    ["is dated ahead to seem short", () => token({ iat: now() + 48 * 3_600, exp: now() + 49 * 3_600 }), TOO_LONG],
    ["expires beyond the calendar", () => token({ exp: 9e15 }), TOO_LONG],
    ["is for a logout", () => token({}, ours, { typ: "logout+jwt" }), NO_CLAIM("logout+jwt")],
    [
      "is of another type",
      () => token({}, ours, { typ: "application/secevent+jwt" }),
      NO_CLAIM("application/secevent+jwt")
    ],
    ["has no subject", () => token({ sub: undefined }), "the token's sub is missing"],
    ["was signed with another key", () => token({}, strangers), "the token's signature is not the issuer's"],
    ["names a key that is not the issuer's", () => token({}, rotated), "the token's signature is not the issuer's"],
    [
      "is not signed",
      () => unsigned({ iss: ISSUER, aud: "coupons", sub: "7", exp: now() + 60 }),
      "the token's algorithm is not allowed"
    ],
    [
      "is signed with the public key as a shared secret",
      () =>
        new SignJWT({ iss: ISSUER, aud: "coupons", sub: "7", exp: now() + 60 }).setProtectedHeader({
          alg: "HS256",
          kid: "one"
        })
          .sign(new TextEncoder().encode(JSON.stringify(ours.jwk))),
      "the token's algorithm is not allowed"
    ],
    ["is none", () => "rubbish", "the token is malformed"]
  ]
  it.each(cases)("%s", async (_, make, reason) => {
    expect(await refusal(claim(await make()))).toEqual({
      code: Code.Unauthenticated,
      message: `UNAUTHENTICATED: ${reason}`
    })
  })
})

it("keys come from the issuer's URL, new ones too; while it cannot be reached, every call is rejected", async () => {
  let keys = [ours.jwk]
  const issuer = http.createServer((_, response) =>
    response.setHeader("content-type", "application/json").end(JSON.stringify({ keys }))
  )
  await new Promise<void>((resolve) => issuer.listen(0, "127.0.0.1", resolve))
  const { port } = issuer.address() as AddressInfo
  const environment = { ...rules, JWT_JWKS_URL: `http://127.0.0.1:${port}/jwks.json` }
  const first = await startSecured(environment)
  expect((await client(first.url, await token()).issueCoupon({ campaignId: 1, userId: 7n })).message).toBe("OK")
  await first.close()
  keys = [rotated.jwk]
  const second = await startSecured(environment)
  expect((await client(second.url, await token({}, rotated)).issueCoupon({ campaignId: 1, userId: 7n })).message)
    .toBe("OK")
  await second.close()
  issuer.closeAllConnections()
  await new Promise((resolve) => issuer.close(resolve))
  const third = await startSecured(environment)
  expect(await refusal(client(third.url, await token()).issueCoupon({ campaignId: 1, userId: 7n }))).toEqual({
    code: Code.Unavailable,
    message: "UNAVAILABLE"
  })
  await third.close()
})

it("settings that would take anybody's tokens are refused", async () => {
  await expect(Effect.runPromise(load({ JWT_JWKS_FILE: "jwks.json" }))).rejects.toThrow("JWT_ISSUER: must be set")
  await expect(startSecured({ ...rules, JWT_JWKS_FILE: "/nowhere" })).rejects.toThrow(
    "JWT_JWKS_FILE: /nowhere is not a JSON Web Key Set"
  )
})
