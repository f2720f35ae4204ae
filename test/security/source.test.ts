import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { request } from "../transport/Stub.ts"
import { ADMIN, bearer, startSecured, type Secured } from "./Secured.ts"

const json = { "content-type": "application/json" }
const CREATE = "/coupon.v1.CouponService/CreateCampaign"
const ISSUE = "/coupon.v1.CouponService/IssueCoupon"
const draft = JSON.stringify({ name: "a", couponLimit: 1, startTime: "2025-06-25T00:00:00Z" })
const claim = JSON.stringify({ campaignId: 1, userId: 1 })

describe("where a request came from", () => {
  let server: Secured
  beforeAll(async () => {
    server = await startSecured({ ADMIN_API_KEY: ADMIN, TRUSTED_PROXIES: "127.0.0.0/8" })
  })
  afterAll(() => (server as Secured | undefined)?.close())

  const create = (headers: Record<string, string>) =>
    request(server.port, { path: CREATE, headers: { ...json, ...bearer(ADMIN), ...headers }, body: draft })

  it("is the client that a trusted proxy names, with the id that the request came with", async () => {
    const reply = await create({ "x-forwarded-for": "203.0.113.9, 198.51.100.7", "x-request-id": "a-b_c.d:e/f+1=" })
    expect(reply).toMatchObject({ status: 200, headers: { "x-request-id": "a-b_c.d:e/f+1=" } })
    expect(server.actors.at(-1)).toMatchObject({
      name: "bootstrap",
      role: "ADMIN",
      address: "198.51.100.7",
      requestId: "a-b_c.d:e/f+1="
    })
  })

  it("gets an id of ours for one that is missing, too long, or no token", async () => {
    const seen = new Set<unknown>()
    for (const id of [undefined, "", "x".repeat(65), "two words", "<b>", "a\"b", "a,b"]) {
      const reply = await create(id === undefined ? {} : { "x-request-id": id })
      expect(reply.headers["x-request-id"], id).toMatch(/^[0-9a-f-]{36}$/)
      expect(server.actors.at(-1)).toMatchObject({ address: "127.0.0.1", requestId: reply.headers["x-request-id"] })
      seen.add(reply.headers["x-request-id"])
    }
    expect(seen.size).toBe(7)
  })

  it("is said to refused callers of administration, too, and costs a claim nothing", async () => {
    const refused = await request(server.port, { path: CREATE, headers: json, body: draft })
    expect(refused).toMatchObject({ status: 401, headers: { "x-request-id": expect.any(String) as string } })
    const claimed = await request(server.port, { path: ISSUE, headers: { ...json, "x-request-id": "x" }, body: claim })
    expect(claimed.status).toBe(200)
    expect(claimed.headers["x-request-id"]).toBe(undefined)
  })
})
