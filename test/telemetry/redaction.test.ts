import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { effectiveSettings } from "../../src/operator/EffectiveSettings.ts"
import * as Redaction from "../../src/config/Redaction.ts"
import { parse } from "../../src/config/StoreUrl.ts"
import { inLongProfile } from "../support/profile.ts"

const jwt = `eyJ${"a".repeat(20)}.${"b".repeat(20)}.${"c".repeat(20)}`

describe("redaction", () => {
  it.each([
    ["a password with an @", "at mysql://u:p@ss@h1:1,h2:2/db", "at mysql://<redacted>@h1:1,h2:2/db"],
    ["a name alone, which may be a token", "redis://token@h", "redis://<redacted>@h"],
    ["two URLs in a row", "redis://a:x@h1,redis://b:y@h2", "redis://<redacted>@h1,redis://<redacted>@h2"],
    ["parameters", "http://h/v1?a=1&api_key=x&b=2;token=y", "http://h/v1?a=1&api_key=<redacted>&b=2;token=<redacted>"],
    ["an error of fetch", "Request cannot be constructed from a URL that includes credentials: http://u:p@h/v1/traces",
      "Request cannot be constructed from a URL that includes credentials: http://<redacted>@h/v1/traces"],
    ["another", "Headers.append: \"se\"cret\" is an invalid header value.",
      "Headers.append: \"<redacted>\" is an invalid header value."],
    ["a header", "authorization: Basic dTpw, and more", "authorization: <redacted>"],
    ["a header of an object", "{ authorization: 'Bearer x', te: 'y' }", "{ authorization: '<redacted>', te: 'y' }"],
    ["a field", "{\"password\":\"c\\\"x\",\"user\":\"coupon\"}", "{\"password\":<redacted>,\"user\":\"coupon\"}"],
    ["a field of an object", "{ user: 'coupon', password: 'coupon' }", "{ user: 'coupon', password: <redacted> }"],
    ["an assignment", "host=db password=coupon dbname=coupon", "host=db password=<redacted> dbname=coupon"],
    ["what Redis quotes", "ERR unknown command 'AUTH', with args beginning with: 'coupon' 'x' ",
      "ERR unknown command 'AUTH', with args beginning with: <redacted>"],
    ["a key of ours", `cpn_0123456789abcdef_${"A".repeat(43)}`, "cpn_0123456789abcdef_<redacted>"],
    ["a token", `token ${jwt} expired`, "token <redacted> expired"]
  ])("by place: %s", (_, given, expected) => {
    expect(Redaction.text(given)).toBe(expected)
    // What has been through it once is left alone.
    expect(Redaction.text(expected)).toBe(expected)
  })

  it.each([
    "listening on http://127.0.0.1:8080; " +
    "try: curl http://127.0.0.1:8080/coupon.v1.CouponService/CreateCampaign -H 'A: b'",
    "Access denied for user 'coupon'@'172.18.0.1' (using password: NO)",
    "waiting for MySQL at db:3306: connect ECONNREFUSED", "see https://h/a@b and mail a@b.c",
    "this call needs an API key; send it as \"Authorization: Bearer <key>\"",
    "Basic checks, bearer of news; the token: expired", "UNAUTHENTICATED: no API key or token (authorization)"
  ])("leaves alone what is none: %s", (given) => {
    expect(Redaction.text(given)).toBe(given)
  })

  it("reads a long text in no long time, whatever it is", () => {
    const parts = [
      "a", "a.", "a://", "&a", "password", "password: '", "\"token\":\"\\", "Bearer ", "cookie:", "name: 'auth' args: ["
    ]
    for (const part of parts) {
      Redaction.text(part.repeat(200_000 / part.length))
    }
  })

  const secret = fc.string({ unit: fc.constantFrom(..."aZ09-._~!$&'()*+,;=:@%20 ") , maxLength: 12 })

  it("finds the whole of a URL of the settings, whatever its password", async () => {
    await fc.assert(fc.asyncProperty(secret, fc.constantFrom("coupon", "db", "x"), async (password, user) => {
      const url = `mysql://${user}:${password}@db:3306/coupon`
      fc.pre(parse(url, 1) !== undefined)
      const config = await Effect.runPromise(AppConfig.load({ MYSQL_URL: url, REDIS_URL: "redis://redis" }))
      expect(Redaction.make(config)(`${user}: cannot connect to ${url.trim()}: ECONNREFUSED`))
        .toBe(`${user}: cannot connect to mysql://<redacted>@db:3306/coupon: ECONNREFUSED`)
    }), { numRuns: inLongProfile(500, 100) })
  })

  it("has none of them among the settings that an operator sees, nor in a refusal of the settings", async () => {
    const config = await Effect.runPromise(AppConfig.load({
      MYSQL_URL: "mysql://coupon:coupon@db:3306/coupon",
      MYSQL_MIGRATION_URL: "mysql://owner:s@db:3306/coupon",
      REDIS_URL: "redis+sentinel://:hunter2@redis:26379/primary?sentinel-password=hunter3",
      ADMIN_API_KEY: "k".repeat(32),
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20of-the-collector",
      JWT_JWKS_URL: "https://u:hunter4@login.example/keys?key=hunter5",
      JWT_ISSUER: "x",
      JWT_AUDIENCE: "x"
    }))
    const shown = JSON.stringify(effectiveSettings(config).map(({ name, value }) => [name, value]))
    expect(shown).not.toMatch(/hunter|of-the-collector|kkkk|:coupon@|:s@/)
    expect(shown).toContain("[\"MYSQL_URL\",\"***\"]")

    const wrong: ReadonlyArray<readonly [string, string]> = [
      ["MYSQL_URL", "mysql://coupon:12/secret@db/coupon"],
      ["MYSQL_URL", "mysql://coupon:12/secret@db"],
      ["MYSQL_URL", "mysql://coupon:12?secret@db/coupon"],
      ["REDIS_URL", "redis://u:12?secret@redis"],
      ["REDIS_URL", "redis://u:12/secret@redis"],
      ["REDIS_URL", "redis://u:se#cret@redis"],
      ["JWT_JWKS_URL", "https://u:secret@login example"],
      ["JWT_JWKS_URL", "secret"],
      ["OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:secret@collector:4318"],
      ["OTEL_EXPORTER_OTLP_HEADERS", "a=secret%0Ax"],
      ["OTEL_EXPORTER_OTLP_HEADERS", "a=secret%EA%B0%80"]
    ]
    for (const [name, value] of wrong) {
      const { message } = await Effect.runPromise(Effect.flip(AppConfig.load({ [name]: value })))
      expect(message).toContain(`${name}: must be`)
      expect(message).not.toMatch(/secret|se#|cret@/)
    }
  })
})
