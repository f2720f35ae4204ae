import { describe, expect, it } from "vitest"
import * as CloudEvents from "../../src/contract/webhooks/CloudEvents.ts"
import { decode, verify } from "../../src/contract/webhooks/Receiving.ts"
import { makeSecret, sign } from "../../src/contract/webhooks/StandardWebhooks.ts"

const NOW = Date.UTC(2026, 5, 25, 12)
const [secret, former] = [makeSecret(), makeSecret()]

const type = "coupon.issued"
const logged = { campaignId: 7, sequence: 3, type, firstNumber: 1, lastNumber: 2, payload: {}, at: NOW }
const coupon = (id: number) =>
  CloudEvents.ofCoupon(logged, { campaignId: 7, id, userId: 9_007_199_254_740_993n, code: `코드-${id}`, issuedAt: NOW })
const { text } = CloudEvents.batch([coupon(1), coupon(2)])
const headers = sign([secret], "msg_1", NOW, text)

describe("a receiver of webhooks", () => {
  it("reads the events of a request that the service has signed", async () => {
    for (const body of [text, new TextEncoder().encode(text)]) {
      for (const given of [{ ...headers }, new Headers({ ...headers })]) {
        const verified = await verify({ headers: given, body }, { secret, now: NOW })
        expect(verified).toMatchObject({ _tag: "Verified", id: "msg_1", sentAt: new Date(NOW) })
        if (verified._tag !== "Verified") continue
        expect(verified.events.map(({ data, source }) => [source, data])).toEqual([1, 2].map((number) => [
          "/campaigns/7",
          expect.objectContaining({ campaignId: 7, number, userId: "9007199254740993", code: `코드-${number}` })
        ]))
      }
    }
  })

  it("takes a request that is signed by any of the secrets that it knows", async () => {
    const both = { ...sign([former, secret], "msg_1", NOW, text) }
    const options = { now: NOW }
    for (const known of [secret, former, [makeSecret(), former]]) {
      expect(await verify({ headers: both, body: text }, { ...options, secret: known }))
        .toMatchObject({ _tag: "Verified" })
    }
  })

  it("rejects what the service has not signed, or long ago", async () => {
    const rejected = async (
      given: Readonly<Record<string, string>>,
      options: { readonly body?: string; readonly now?: number; readonly secret?: string } = {}
    ) => {
      const { body = text, ...more } = options
      const verified = await verify({ headers: given, body }, { secret, now: NOW, ...more })
      return verified._tag === "Rejected" ? verified.reason : verified._tag
    }
    expect(await rejected({ ...headers }, { body: text.replace("코드-1", "코드-9") })).toMatch(/no signature/)
    expect(await rejected({ ...headers, "webhook-id": "msg_2" })).toMatch(/no signature/)
    expect(await rejected({ ...headers }, { secret: former })).toMatch(/no signature/)
    for (const signature of ["", "v1,", "v1,!", "v2,AAAA", headers["webhook-signature"].slice(0, -3)]) {
      expect(await rejected({ ...headers, "webhook-signature": signature }), signature).toMatch(/no signature/)
    }
    expect(await rejected({ ...headers }, { now: NOW + 300_000 })).toBe("Verified")
    for (const now of [NOW + 301_000, NOW - 301_000]) {
      expect(await rejected({ ...headers }, { now })).toMatch(/more than 300 s from now/)
    }
    expect(await rejected({ ...headers, "webhook-timestamp": "soon" })).toMatch(/not in seconds/)
    expect(await rejected({})).toMatch(/header of Standard Webhooks is missing/)
    const nonsense = sign([secret], "msg_1", NOW, "hello")
    expect(await rejected({ ...nonsense }, { body: "hello" })).toMatch(/its body cannot be read/)
  })

  it("decodes one event and several, and nothing else", () => {
    expect(decode(CloudEvents.single(coupon(1)).text)).toHaveLength(1)
    expect(decode(text)).toHaveLength(2)
    for (const body of ["null", "{}", "[1]", `[{"specversion":"1.0"}]`, "x"]) {
      expect(() => decode(body), body).toThrow(SyntaxError)
    }
  })
})
