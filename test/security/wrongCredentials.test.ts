import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Logger from "effect/Logger"
import { exportJWK, generateKeyPair, SignJWT } from "jose"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import * as CredentialMetrics from "../../src/metrics/CredentialMetrics.ts"
import * as WrongCredentials from "../../src/security/WrongCredentials.ts"
import { ISSUE, request } from "../transport/Stub.ts"
import { ADMIN, bearer, startSecured, type Secured } from "./Secured.ts"

const CREATE = "/coupon.v1.CouponService/CreateCampaign"
const draft = JSON.stringify({ name: "a", couponLimit: 1, startTime: "2025-06-25T00:00:00Z" })
const ISSUER = "https://login.example"
const unknown = `cpn_0123456789abcdef_${"A".repeat(43)}`

describe("wrong credentials", () => {
  const directory = mkdtempSync(Path.join(tmpdir(), "coupon-jwks-"))
  let server: Secured
  let sign: (claims?: Record<string, unknown>) => Promise<string>
  let forge: () => Promise<string>
  beforeAll(async () => {
    const [ours, strangers] = await Promise.all([generateKeyPair("ES256"), generateKeyPair("ES256")])
    const file = Path.join(directory, "jwks.json")
    writeFileSync(file, JSON.stringify({ keys: [{ ...await exportJWK(ours.publicKey), kid: "one", alg: "ES256" }] }))
    const signed = (claims: Record<string, unknown>, key: typeof ours.privateKey) =>
      new SignJWT({ iss: ISSUER, aud: "coupons", sub: "7", exp: Math.floor(Date.now() / 1_000) + 60, ...claims })
        .setProtectedHeader({ alg: "ES256", kid: "one" }).sign(key)
    let jti = 0
    sign = (claims = {}) => signed({ jti: String(++jti), ...claims }, ours.privateKey)
    forge = () => signed({ jti: String(++jti) }, strangers.privateKey)
    server = await startSecured({
      ADMIN_API_KEY: ADMIN,
      TRUSTED_PROXIES: "127.0.0.0/8",
      JWT_JWKS_FILE: file,
      JWT_ISSUER: ISSUER,
      JWT_AUDIENCE: "coupons"
    })
  })
  afterAll(async () => {
    await (server as Secured | undefined)?.close()
    rmSync(directory, { recursive: true })
  })

  const call = (path: string, body: string, client: string, secret?: string) =>
    request(server.port, {
      path,
      headers: {
        "content-type": "application/json",
        "x-forwarded-for": client,
        ...secret === undefined ? {} : bearer(secret)
      },
      body
    })
  const create = (client: string, secret?: string) => call(CREATE, draft, client, secret)
  const claim = (client: string, secret?: string) =>
    call(ISSUE, JSON.stringify({ campaignId: 1, userId: 7 }), client, secret)
  const { reasons, rejections } = CredentialMetrics
  const counts = () => Object.fromEntries(reasons.map((reason) => [reason, rejections[reason].value()]))

  it("are counted by their reason", async () => {
    const client = "192.0.2.1"
    const before = counts()
    const viewer = await server.key("VIEWER")
    const revoked = await server.key("ADMIN")
    const [, id] = revoked.split("_")
    await Effect.runPromise(server.apiKeys.revoke(id!, named("test")))
    expect((await create(client)).status).toBe(401)
    expect((await create(client, unknown)).status).toBe(401)
    expect((await create(client, revoked)).status).toBe(401)
    expect((await create(client, viewer)).status).toBe(403)
    expect((await claim(client, "no.token")).status).toBe(401)
    expect((await claim(client, await forge())).status).toBe(401)
    expect((await claim(client, await sign({ exp: 1 }))).status).toBe(401)
    expect((await claim(client, await sign({ aud: "others" }))).status).toBe(401)
    expect((await claim(client, await sign({ sub: "8" }))).status).toBe(403)
    const after = counts()
    const grown = Object.keys(after).filter((reason) => after[reason]! > before[reason]!)
    expect(grown.sort()).toEqual([
      "missing", "revoked_key", "role", "token_claims", "token_expired", "token_malformed", "token_signature",
      "token_subject", "unknown_key"
    ])
  })

  it("are limited for each client, while what is known to be right still passes", async () => {
    const [client, other] = ["192.0.2.2", "192.0.2.3"]
    const mine = await sign()
    expect((await claim(client, mine)).status).toBe(200)
    const answers = []
    for (let k = 0; k < 110; k++) answers.push(await create(client, unknown))
    expect(answers.slice(0, 100).map(({ status }) => status)).toEqual(Array.from({ length: 100 }, () => 401))
    const last = answers.at(-1)!
    expect(last.status).toBe(429)
    expect(Number(last.headers["retry-after"])).toBeGreaterThanOrEqual(1)
    expect(last.body).toContain("RATE_LIMITED")
    // A key, and a token that was checked before, cost no signature check.
    expect((await create(client, ADMIN)).status).toBe(200)
    expect((await claim(client, mine)).status).toBe(200)
    // A token that has to be checked waits, whether it is right or not.
    const { limited } = counts()
    expect((await claim(client, await forge())).status).toBe(429)
    expect(counts()["limited"]).toBe(limited! + 1)
    // Other clients notice nothing.
    expect((await create(other, unknown)).status).toBe(401)
    expect((await claim(other, await sign())).status).toBe(200)
  })

  it("of tokens that only expired are none of a guesser's", async () => {
    const client = "192.0.2.4"
    for (let k = 0; k < 110; k++) expect((await claim(client, await sign({ exp: 1 }))).status).toBe(401)
    expect((await claim(client, await sign())).status).toBe(200)
  })

  it("have one line a minute for each client, with its address and never the secret", async () => {
    const client = "192.0.2.5"
    for (let k = 0; k < 5; k++) await create(client, unknown)
    const lines = server.logs.filter((line) => line.includes(client))
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain("an administrative call was refused")
    expect(server.logs.join()).not.toContain("A".repeat(43))
  })
})

describe("the limit of wrong credentials", () => {
  it("is for an IPv4 address or the /64 of an IPv6 address, and comes back with time", () => {
    let time = 0
    const wrong = WrongCredentials.make(() => time, () => {})
    for (let k = 0; k < 100; k++) {
      expect(wrong.wait("2001:db8:0:1::7")).toBe(0)
      wrong.count(`2001:db8:0:1::${k}`)
    }
    expect(wrong.wait("2001:db8:0:1:ffff::")).toBe(1)
    expect(wrong.wait("2001:db8:0:2::7")).toBe(0)
    time += 1_000
    expect(wrong.wait("2001:db8:0:1::7")).toBe(0)
  })

  it("writes a line for few of many addresses, and sums the rest up in one", async () => {
    let time = 0
    const due: Array<() => void> = []
    const lines: Array<string> = []
    const logger = Logger.replace(Logger.defaultLogger, Logger.make(({ annotations, message }) => {
      const facts = Object.fromEntries(HashMap.toEntries(annotations))
      lines.push(`${String(message)} ${JSON.stringify(facts)}`)
    }))
    const runtime = await Effect.runPromise(Effect.provide(Effect.runtime<never>(), logger))
    const wrong = WrongCredentials.make(() => time, (_, work) => void due.push(work))
    const write = (address: string) => wrong.log({ address, message: "refused", annotations: {}, runtime })
    for (let k = 0; k < 500; k++) write(`198.51.${k >> 8}.${k & 255}`)
    await expect.poll(() => lines.length).toBe(20)
    expect(due).toHaveLength(1)
    time += 60_000
    due[0]!()
    await expect.poll(() => lines.length).toBe(21)
    expect(lines[20]).toContain("more calls were refused for their credentials in the last minute")
    expect(lines[20]).toContain('"calls":480')
    expect(lines[20]).toContain('"clients":480')
    write("203.0.113.1")
    await expect.poll(() => lines.length).toBe(22)
  })
})
