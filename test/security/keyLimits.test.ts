import type { MessageInitShape } from "@bufbuild/protobuf"
import { Code, createClient } from "@connectrpc/connect"
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node"
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { CouponService } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import { named } from "../../src/domain/Actor.ts"
import type { CampaignId } from "../../src/domain/Campaign.ts"
import { refusal } from "../contract/clients.ts"
import { coupon, echo } from "../transport/Stub.ts"
import { bearer, memoryStore, type Secured, startSecured } from "./Secured.ts"

type Rpc = keyof typeof CouponService.method

const [OWN, OTHER] = [1, 2]

/** A valid request of each RPC, on a campaign where it is about one. */
const requestsOn = (campaignId: number): {
  readonly [R in Rpc]: MessageInitShape<(typeof CouponService.method)[R]["input"]>
} => ({
  createCampaign: { name: "여름", couponLimit: 10n, startTime: "2025-06-25T00:00:00Z" },
  getCampaign: { campaignId },
  issueCoupon: { campaignId, userId: 7n },
  getCoupon: { campaignId, userId: 7n },
  updateCampaign: { campaignId, name: "a" },
  pauseCampaign: { campaignId },
  resumeCampaign: { campaignId },
  endCampaign: { campaignId },
  listCampaigns: {},
  redeemCoupon: { campaignId, coupon: { case: "userId", value: 7n }, requestId: "r" },
  undoRedemption: { campaignId, coupon: { case: "code", value: "A" }, requestId: "r" },
  revokeCoupon: { campaignId, coupon: { case: "userId", value: 7n } },
  getRedemptions: { campaignId },
  eraseUser: { userId: 7n },
  startImport: { campaignId, requestId: "r" },
  appendCodes: { campaignId, importId: 1, codes: ["A"] },
  finishImport: { campaignId, importId: 1 },
  getImport: { campaignId, importId: 1 },
  listImports: { campaignId },
  abortImport: { campaignId, importId: 1 },
  listCoupons: { campaignId },
  findCoupon: { campaignId, code: "x" },
  exportCoupons: { campaignId },
  watchCampaign: { campaignId },
  listEvents: { campaignId }
})

const transports = {
  "Connect JSON": (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
  gRPC: (baseUrl: string) => createGrpcTransport({ baseUrl })
}

describe.each(Object.entries(transports))("a key that is limited to a campaign, over %s", (_, transport) => {
  for (const PUBLIC_ACCESS of ["open", "key"]) {
    describe(`PUBLIC_ACCESS=${PUBLIC_ACCESS}`, () => {
      let server: Secured
      const asked: Array<ReadonlySet<CampaignId> | undefined> = []
      beforeAll(async () => {
        server = await startSecured({ PUBLIC_ACCESS }, memoryStore().store, {
          ...echo,
          campaigns: {
            ...echo.campaigns,
            list: (filter) => {
              asked.push(filter.only)
              return echo.campaigns.list(filter, 0, "")
            }
          }
        })
      })
      afterAll(() => server.close())

      const outcome = async (secret: string, rpc: Rpc, campaignId: number): Promise<string> => {
        const client = createClient(CouponService, transport(server.url))
        const call = client[rpc] as (request: unknown, options: unknown) => Promise<unknown> | AsyncIterable<unknown>
        const answer = call(requestsOn(campaignId)[rpc], { headers: bearer(secret) })
        const ended = Symbol.asyncIterator in answer ? answer[Symbol.asyncIterator]().next() : answer
        return ended.then(
          () => "OK",
          async (failure: unknown) => Code[(await refusal(Promise.reject(failure as Error))).code]!
        )
      }

      it("may make every call on its own campaign, and none on another one", async () => {
        const secret = await server.key("OPERATOR", undefined, { campaigns: [OWN, 3] })
        const unlimited = await server.key("ADMIN")
        for (const rpc of Object.keys(requestsOn(OWN)) as ReadonlyArray<Rpc>) {
          const own = rpc === "createCampaign" || rpc === "eraseUser" ? "PermissionDenied" : "OK"
          expect([rpc, await outcome(secret, rpc, OWN)]).toEqual([rpc, own])
          const isAboutNone = rpc === "listCampaigns"
          expect([rpc, await outcome(secret, rpc, OTHER)]).toEqual([rpc, isAboutNone ? "OK" : "PermissionDenied"])
          expect([rpc, await outcome(unlimited, rpc, OTHER)]).toEqual([rpc, "OK"])
        }
        expect(asked).toEqual([new Set([OWN, 3]), new Set([OWN, 3]), undefined])
        // Refused acts are recorded, with whose key it was.
        expect(server.refused).toContainEqual(expect.objectContaining({
          call: "PauseCampaign",
          reason: "campaign",
          actor: expect.objectContaining({ name: "the OPERATOR", role: "OPERATOR" }) as unknown
        }))
        asked.length = 0
      })

      it("is refused for its role as before, and learns nothing of other campaigns", async () => {
        const secret = await server.key("ISSUER", undefined, { campaigns: [OWN] })
        expect(await outcome(secret, "issueCoupon", OWN)).toBe("OK")
        expect(await outcome(secret, "pauseCampaign", OWN)).toBe("PermissionDenied")
        // A user's coupons of all campaigns are not the key's own.
        const reader = await server.key("VIEWER", undefined, { campaigns: [OWN] })
        const client = createClient(CouponService, transport(server.url))
        const all = client.listCoupons({ userId: 7n }, { headers: bearer(reader) })
        expect((await refusal(all)).code).toBe(Code.PermissionDenied)
        expect(await outcome(reader, "listCoupons", OWN)).not.toBe("PermissionDenied")
        // One that does not exist is refused like one that does.
        expect(await outcome(secret, "getCoupon", 2_000_000_000)).toBe("PermissionDenied")
        expect(await outcome(secret, "issueCoupon", -1)).toBe("PermissionDenied")
      })
    })
  }
})

describe("a key that is limited to networks", () => {
  const create = { name: "여름", couponLimit: 10, startTime: "2025-06-25T00:00:00Z" }
  const post = async (server: Secured, secret: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${server.url}/coupon.v1.CouponService/CreateCampaign`, {
      method: "POST",
      headers: { "content-type": "application/json", ...bearer(secret), ...headers },
      body: JSON.stringify(create)
    })
    return { status: answer.status, text: await answer.text() }
  }

  it("is refused to a client that names an address of them itself", async () => {
    const server = await startSecured()
    try {
      const secret = await server.key("OPERATOR", undefined, { networks: ["203.0.113.0/24"] })
      for (const header of ["x-forwarded-for", "x-real-ip", "forwarded", "x-envoy-external-address"]) {
        const { status, text } = await post(server, secret, { [header]: "203.0.113.5" })
        expect({ status, text }, header).toEqual({
          status: 403,
          text: expect.stringContaining("may not be used from this address") as string
        })
      }
      expect((await post(server, await server.key("OPERATOR", undefined, { networks: ["127.0.0.0/8", "::1"] }))).status)
        .toBe(200)
      expect(server.refused).toContainEqual(expect.objectContaining({ call: "CreateCampaign", reason: "network" }))
    } finally {
      await server.close()
    }
  })

  it("goes by the address that a trusted proxy names, whatever the client wrote before it", async () => {
    const server = await startSecured({ TRUSTED_PROXIES: "127.0.0.1,::1" })
    try {
      const secret = await server.key("OPERATOR", undefined, { networks: ["203.0.113.0/24"] })
      const from = async (chain: string) => (await post(server, secret, { "x-forwarded-for": chain })).status
      expect(await from("203.0.113.5")).toBe(200)
      expect(await from("198.51.100.1, 203.0.113.5")).toBe(200)
      expect(await from("::ffff:203.0.113.5")).toBe(200)
      expect(await from("::ffff:cb00:7105")).toBe(200)
      expect(await from("203.0.113.5, 198.51.100.1")).toBe(403)
      expect(await from("203.0.113.5, not an address")).toBe(403)
      // Without the header, the proxy itself is the client.
      expect((await post(server, secret)).status).toBe(403)
    } finally {
      await server.close()
    }
  })
})

describe("an expired key", () => {
  it("is UNAUTHENTICATED, like one that never was, and counted apart", async () => {
    const memory = memoryStore()
    const server = await startSecured({ PUBLIC_ACCESS: "key" }, memory.store)
    try {
      const secret = await server.key("ISSUER", undefined, { expiresAt: Date.now() + 3_600_000 })
      const claim = () =>
        fetch(`${server.url}/coupon.v1.CouponService/IssueCoupon`, {
          method: "POST",
          headers: { "content-type": "application/json", ...bearer(secret) },
          body: JSON.stringify({ campaignId: coupon.campaignId, userId: "7" })
        }).then(({ status }) => status)
      expect(await claim()).toBe(200)
      memory.ahead = 3_600_001
      // Another write of keys has them read again.
      await Effect.runPromise(server.apiKeys.create({ name: "other", role: "VIEWER" }, named("test")))
      expect(await claim()).toBe(401)
    } finally {
      await server.close()
    }
  })
})
