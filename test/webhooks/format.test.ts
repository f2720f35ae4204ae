import { type CloudEvent, HTTP } from "cloudevents"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import * as FastCheck from "fast-check"
import { Webhook } from "standardwebhooks"
import { describe, expect, it } from "vitest"
import * as SecretsKey from "../../src/config/SecretsKey.ts"
import * as CloudEvents from "../../src/contract/webhooks/CloudEvents.ts"
import * as StandardWebhooks from "../../src/contract/webhooks/StandardWebhooks.ts"
import * as SecretBox from "../../src/webhooks/secrets/SecretBox.ts"

describe("the signature", () => {
  const body = JSON.stringify({ code: "쿠폰 \u{1f381}", n: 1 })

  it("is verified by the package standardwebhooks, with each of two secrets and with no third", () => {
    const secrets = [StandardWebhooks.makeSecret(), StandardWebhooks.makeSecret()]
    const headers = StandardWebhooks.sign(secrets, "msg_1", Date.now(), body)
    for (const secret of secrets) expect(new Webhook(secret).verify(body, { ...headers })).toEqual(JSON.parse(body))
    expect(() => new Webhook(StandardWebhooks.makeSecret()).verify(body, { ...headers })).toThrow(/No matching/)
  })

  it("covers the id, the time and the body", () => {
    const secret = StandardWebhooks.makeSecret()
    const headers = { ...StandardWebhooks.sign([secret], "msg_1", Date.now(), body) }
    const webhook = new Webhook(secret)
    expect(() => webhook.verify(`${body} `, headers)).toThrow()
    expect(() => webhook.verify(body, { ...headers, "webhook-id": "msg_2" })).toThrow()
    const later = String(Number(headers["webhook-timestamp"]) + 1)
    expect(() => webhook.verify(body, { ...headers, "webhook-timestamp": later })).toThrow()
  })

  it("is the one that the package makes", () => {
    const at = new Date("2026-01-02T03:04:05.678Z")
    FastCheck.assert(FastCheck.property(FastCheck.string({ unit: "grapheme" }), (text) => {
      const secret = StandardWebhooks.makeSecret()
      expect(StandardWebhooks.sign([secret], "msg_1", at.getTime(), text)["webhook-signature"])
        .toBe(new Webhook(secret).sign("msg_1", at, text))
    }))
  })
})

describe("the body", () => {
  const range: CloudEvents.LoggedEvent = {
    campaignId: 7,
    sequence: 42,
    type: "coupon.issued",
    firstNumber: 1,
    lastNumber: 3,
    payload: {},
    at: Date.parse("2026-01-02T03:04:05.678Z")
  }
  const coupon = { campaignId: 7, id: 3, userId: 9_223_372_036_854_775_807n, code: "가나다", issuedAt: range.at }
  const changed = { ...range, sequence: 43, type: "campaign.paused", firstNumber: 0, lastNumber: 0,
    payload: { version: 2 } }

  /** Reads a request as a receiver with the package does; it throws at what is no CloudEvent. */
  const read = ({ contentType, text }: CloudEvents.Body) =>
    HTTP.toEvent({ headers: { "content-type": contentType }, body: text })

  it.each([
    ["a coupon", CloudEvents.ofCoupon(range, coupon)],
    ["a range", CloudEvents.ofEvent(range)],
    ["a change of a campaign", CloudEvents.ofEvent(changed)]
  ])("of %s is a CloudEvent by the package cloudevents", (_, event) => {
    const found = read(CloudEvents.single(event)) as unknown as CloudEvent
    expect(found.validate()).toBe(true)
    expect({ ...found.toJSON() }).toMatchObject({ ...event, time: expect.any(String) })
  })

  it("of a batch is CloudEvents, in order", () => {
    const events = [CloudEvents.ofCoupon(range, coupon), CloudEvents.ofEvent(changed)]
    const found = read(CloudEvents.batch(events)) as unknown as ReadonlyArray<CloudEvent>
    expect(found.map(({ id }) => id)).toEqual(["7-42-3", "7-43"])
    expect(found.every((event) => event.validate())).toBe(true)
  })

  it("keeps all digits of a user id, and the codes", () => {
    expect(CloudEvents.ofCoupon(range, coupon).data).toEqual({
      campaignId: 7,
      number: 3,
      userId: "9223372036854775807",
      code: "가나다",
      issuedAt: "2026-01-02T03:04:05.678Z"
    })
    expect(CloudEvents.ofCoupon(range, { ...coupon, expiresAt: Date.UTC(2125, 0) }).data)
      .toMatchObject({ number: 3, expiresAt: "2125-01-01T00:00:00Z" })
    expect(CloudEvents.ofEvent(range).data).toEqual({ campaignId: 7, firstNumber: 1, lastNumber: 3, count: 3 })
  })

  it("has sequences whose order as text is the order of the log", () => {
    const place = FastCheck.tuple(FastCheck.integer({ min: 1, max: 2 ** 53 - 1 }), FastCheck.integer({
      min: 1,
      max: 10_000_000
    }))
    FastCheck.assert(FastCheck.property(place, place, ([s1, n1], [s2, n2]) => {
      const [one, other] = [[s1, n1], [s2, n2]].map(([sequence, id]) =>
        CloudEvents.ofCoupon({ ...range, sequence: sequence! }, { ...coupon, id: id! }).sequence)
      expect(Math.sign(one! < other! ? -1 : one! > other! ? 1 : 0)).toBe(Math.sign(s1 - s2 || n1 - n2))
    }))
  })
})

describe("secrets at rest", () => {
  const key = (id: string, byte: number) => `${id}:${Buffer.alloc(32, byte).toString("base64")}`
  const boxOf = (text: string) => SecretBox.make(Redacted.value(Either.getOrThrow(SecretsKey.parse(text))))

  it("open where they were sealed, and nowhere else", () => {
    const box = boxOf(key("k1", 1))
    const sealed = box.seal("whsec_abc", "endpoint 1")
    expect(sealed).not.toContain("whsec_abc")
    expect(box.seal("whsec_abc", "endpoint 1")).not.toBe(sealed)
    expect(Either.getOrThrow(box.open(sealed, "endpoint 1"))).toBe("whsec_abc")
    expect(Either.isLeft(box.open(sealed, "endpoint 2"))).toBe(true)
    const [version, id, nonce, text] = sealed.split(".")
    const bytes = Buffer.from(text!, "base64url")
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed[at]! ^= 1
      expect(Either.isLeft(box.open([version, id, nonce, changed.toString("base64url")].join("."), "endpoint 1")))
        .toBe(true)
    }
    // A shortened tag would be easier to guess.
    const short = [version, id, nonce, bytes.subarray(0, -4).toString("base64url")].join(".")
    expect(Either.isLeft(box.open(short, "endpoint 1"))).toBe(true)
  })

  it("stay readable while keys are rotated, and say which key they need", () => {
    const before = boxOf(key("k1", 1)).seal("whsec_abc", "here")
    const both = boxOf(`${key("k2", 2)},${key("k1", 1)}`)
    expect(Either.getOrThrow(both.open(before, "here"))).toBe("whsec_abc")
    expect(both.isStale(before)).toBe(true)
    const after = both.seal("whsec_abc", "here")
    expect(both.isStale(after)).toBe(false)
    const only = boxOf(key("k2", 2))
    expect(Either.getOrThrow(only.open(after, "here"))).toBe("whsec_abc")
    expect(Either.flip(only.open(before, "here")).pipe(Either.getOrThrow).message).toContain("the key k1")
  })

  it.each(["", "k1:short", "k1", `${key("k1", 1)},${key("k1", 2)}`, key("k 1", 1), `k1:${"A".repeat(44)}`])(
    "need keys of 256 bits, not %j, and a refusal does not repeat them",
    (text) => {
      const parsed = SecretsKey.parse(text)
      expect(Either.isLeft(parsed)).toBe(true)
      if (Either.isLeft(parsed) && text.length > 10) expect(String(parsed.left)).not.toContain(text)
    }
  )
})
