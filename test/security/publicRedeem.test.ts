import * as Effect from "effect/Effect"
import { afterEach, describe, expect, it } from "vitest"
import {
  Conflict, CouponExpired, CouponRedeemed, CouponRevoked, RecordNotFound, Unavailable
} from "../../src/domain/Failure.ts"
import { issuedCoupon, redeemedCoupon, revokedCoupon } from "../../src/domain/redemption/Redemption.ts"
import type { UseCases } from "../../src/rpc/Startup.ts"
import * as CodeGuesses from "../../src/security/CodeGuesses.ts"
import { coupon, echo, redemption } from "../transport/Stub.ts"
import { bearer, type Secured, startSecured } from "./Secured.ts"

const failures = {
  UNKNOWN: new RecordNotFound(),
  REDEEMED: new CouponRedeemed({ coupon: redeemedCoupon(coupon, undefined, redemption) }),
  REVOKED: new CouponRevoked({ coupon: revokedCoupon(coupon, undefined, redemption) }),
  EXPIRED: new CouponExpired({ coupon: issuedCoupon(coupon, 0, 1) }),
  CONFLICT: new Conflict(),
  AWAY: new Unavailable({ retryAfterSeconds: 1 })
} as const

/** A code fails as it is called, and any other is redeemed. */
const byCode: UseCases = {
  ...echo,
  redemptions: {
    ...echo.redemptions,
    redeem: (campaignId, key, requestId, details) => {
      const failure = "code" in key ? failures[key.code as keyof typeof failures] : undefined
      return failure === undefined ? echo.redemptions.redeem(campaignId, key, requestId, details) : Effect.fail(failure)
    }
  }
}

describe("redeeming without the role REDEEMER", () => {
  let server: Secured | undefined
  afterEach(() => server?.close())

  const start = (environment: Record<string, string>) =>
    startSecured({ TRUSTED_PROXIES: "127.0.0.1,::1", ...environment }, undefined, byCode)

  const redeem = async (
    { url }: Secured,
    body: Record<string, unknown>,
    headers: Record<string, string> = { "x-forwarded-for": "198.51.100.7" }
  ) => {
    const reply = await fetch(`${url}/coupon.v1.CouponService/RedeemCoupon`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ campaignId: 1, requestId: "r", ...body })
    })
    const json = await reply.json() as Record<string, unknown>
    return { status: reply.status, message: reply.status === 200 ? "OK" : json["message"], json, reply }
  }

  it("is not possible unless PUBLIC_REDEEM says so", async () => {
    server = await start({ OPEN_ADMINISTRATION: "no" })
    expect((await redeem(server, { code: "A" })).status).toBe(401)
    for (const role of ["ISSUER", "VIEWER"] as const) {
      expect((await redeem(server, { code: "A" }, bearer(await server.key(role)))).status).toBe(403)
    }
    expect((await redeem(server, { code: "A" }, bearer(await server.key("REDEEMER")))).status).toBe(200)
  })

  it("gives one answer to whatever is wrong with a code, and by a code alone", async () => {
    server = await start({ PUBLIC_REDEEM: "on" })
    const answers = []
    for (const code of ["UNKNOWN", "REDEEMED", "REVOKED", "EXPIRED", "CONFLICT"]) {
      answers.push((await redeem(server, { code })).json)
    }
    for (const answer of answers) expect(answer).toEqual({ code: "not_found", message: "RECORD_NOT_FOUND" })
    expect((await redeem(server, { code: "GOOD" })).message).toBe("OK")
    expect((await redeem(server, { code: "AWAY" })).message).toBe("UNAVAILABLE")
    expect((await redeem(server, { userId: 7 })).message)
      .toBe("PERMISSION_DENIED: to redeem by a user needs an API key with the rights of REDEEMER")
    expect((await redeem(server, { code: "" })).message).toMatch(/^INVALID_ARGUMENT/)
    // Nor does it open the other calls of a till.
    const undo = await fetch(`${server.url}/coupon.v1.CouponService/UndoRedemption`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ campaignId: 1, code: "A", requestId: "u" })
    })
    expect([401, 200]).toContain(undo.status)
    const till = await redeem(server, { code: "REDEEMED" }, bearer(await server.key("REDEEMER")))
    expect(till.message).toBe("COUPON_REDEEMED")
  })

  it("counts wrong codes of a client, and then looks at none of its codes, right or wrong", async () => {
    server = await start({ PUBLIC_REDEEM: "on" })
    const found: Array<unknown> = []
    for (let guess = 0; guess < 30; guess++) found.push((await redeem(server, { code: "UNKNOWN" })).message)
    expect(found.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => "RECORD_NOT_FOUND"))
    expect(found.slice(21)).toEqual(Array.from({ length: 9 }, () => "RATE_LIMITED"))
    const late = await redeem(server, { code: "GOOD" })
    expect(late.message).toBe("RATE_LIMITED")
    expect(Number(late.reply.headers.get("retry-after"))).toBeGreaterThan(0)
    expect((await redeem(server, { code: "GOOD" }, { "x-forwarded-for": "203.0.113.9" })).message).toBe("OK")
    // Those who redeem for a living go on, whatever came from their address.
    const till = { ...bearer(await server.key("REDEEMER")), "x-forwarded-for": "198.51.100.7" }
    expect((await redeem(server, { code: "UNKNOWN" }, till)).message).toBe("RECORD_NOT_FOUND")
    expect((await redeem(server, { code: "GOOD" }, till)).message).toBe("OK")
  })

  it("counts many guesses at once as many, and right codes not at all", async () => {
    server = await start({ PUBLIC_REDEEM: "on" })
    const good = await Promise.all(Array.from({ length: 60 }, () => redeem(server!, { code: "GOOD" })))
    expect(good.filter(({ message }) => message === "OK").length).toBeGreaterThanOrEqual(20)
    expect((await redeem(server, { code: "GOOD" })).message).toBe("OK")
    const guesses = await Promise.all(Array.from({ length: 100 }, () => redeem(server!, { code: "UNKNOWN" })))
    expect(guesses.filter(({ message }) => message === "RECORD_NOT_FOUND").length).toBeLessThanOrEqual(22)
  })

  it("counts wrong codes by a key that is no till's apart from its address", async () => {
    server = await start({ PUBLIC_REDEEM: "on" })
    const backend = { ...bearer(await server.key("ISSUER")), "x-forwarded-for": "198.51.100.8" }
    let passed = 0
    while ((await redeem(server, { code: "REDEEMED" }, backend)).message === "RECORD_NOT_FOUND") passed++
    expect(passed).toBeGreaterThanOrEqual(200)
    expect((await redeem(server, { code: "GOOD" }, { "x-forwarded-for": "198.51.100.8" })).message).toBe("OK")
  })
})

describe("guesses of codes", () => {
  const source = { address: () => "198.51.100.7", requestId: () => "r", reason: () => undefined }
  const anonymous = { name: "anonymous", role: "NONE" } as const

  it("are let go on slowly, and a call that did not come to a code is none", async () => {
    let now = 0
    const guesses = CodeGuesses.make(() => now)
    const guess = (redemption: Effect.Effect<string, RecordNotFound | Unavailable>) =>
      Effect.runPromise(
        Effect.merge(Effect.mapError(guesses.bounded(anonymous, source, redemption), ({ _tag }) => _tag))
      )
    for (let time = 0; time < 50; time++) expect(await guess(Effect.fail(failures.AWAY))).toBe("Unavailable")
    for (let time = 0; time < 20; time++) expect(await guess(Effect.fail(failures.UNKNOWN))).toBe("RecordNotFound")
    expect(await guess(Effect.fail(failures.UNKNOWN))).toBe("RateLimited")
    now += 10_000
    expect(await guess(Effect.succeed("OK"))).toBe("OK")
    expect(await guess(Effect.fail(failures.UNKNOWN))).toBe("RecordNotFound")
    expect(await guess(Effect.succeed("OK"))).toBe("RateLimited")
  })
})
