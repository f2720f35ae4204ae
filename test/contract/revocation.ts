import { describe, expect, it } from "vitest"
import type { Lent } from "./lifecycle.ts"

/** Revoking coupons, through whichever instance is asked. */
export const revocation = ({ http, issue, open }: Lent): void => {
  const soldOut = async (users: number, fields: Record<string, unknown> = {}) => {
    const campaignId = await open({ couponLimit: users, ...fields })
    const codes: Array<string> = []
    for (let user = 1; user <= users; user++) codes.push((await issue(campaignId, user)).json()["code"] as string)
    expect(await answer(campaignId, users + 1)).toBe("COUPON_SOLD_OUT")
    return { campaignId, codes }
  }
  const answer = async (campaignId: number, userId: number) => (await issue(campaignId, userId)).json()["message"]
  const revoke = (body: Record<string, unknown>) => http().post("RevokeCoupon", body)
  const messageOf = async (body: Record<string, unknown>) => (await revoke(body)).json()["message"]
  const read = async (campaignId: number) => (await http().post("GetCampaign", { campaignId })).json()

  describe("revoking a coupon", () => {
    it("keeps its slot used: no one else gets a coupon", async () => {
      const { campaignId, codes: [code] } = await soldOut(2)
      const done = await revoke({ campaignId, code, requestId: "one", reason: "stolen card" })
      expect(done.status, done.text).toBe(200)
      expect(done.json()).toMatchObject({
        coupon: { campaignId, code, userId: "1", number: 1, state: "COUPON_STATE_REVOKED" },
        redemption: {
          sequence: 1, number: 1, action: "REDEMPTION_ACTION_REVOKE", requestId: "one", reason: "stolen card",
          slotReturned: false
        }
      })
      const { at } = done.json()["redemption"] as Record<string, unknown>
      expect((await revoke({ campaignId, code, requestId: "one", reason: "again" })).json()).toEqual(done.json())
      for (const [method, body] of [["RedeemCoupon", { requestId: "till" }], ["RevokeCoupon", {}]] as const) {
        const refused = await http().post(method, { campaignId, userId: 1, ...body })
        expect([refused.status, refused.json()["code"], refused.json()["message"]])
          .toEqual([400, "failed_precondition", "COUPON_REVOKED"])
        expect(refused.json()["details"]).toEqual([expect.objectContaining({ type: "coupon.v1.Coupon" })])
      }
      expect((await http().post("GetCoupon", { campaignId, userId: 1 })).json()["coupon"])
        .toMatchObject({ state: "COUPON_STATE_REVOKED", revokedAt: at })
      expect(await answer(campaignId, 1)).toBe("COUPON_ALREADY_CLAIMED")
      expect(await answer(campaignId, 3)).toBe("COUPON_SOLD_OUT")
      expect(await read(campaignId)).toMatchObject({
        couponLimit: "2", currentCoupon: "2", returned: "0", remaining: "0", version: "1"
      })
    })

    it("returns the slot: exactly one more user gets a coupon, at whichever instance", async () => {
      const { campaignId } = await soldOut(3)
      const request = { campaignId, userId: 2, returnSlot: true, requestId: "back" }
      const done = await revoke(request)
      expect(done.status, done.text).toBe(200)
      expect(done.json()["redemption"]).toMatchObject({ slotReturned: true })
      expect(await read(campaignId)).toMatchObject({
        couponLimit: "4", currentCoupon: "3", returned: "1", remaining: "1", version: "2",
        phase: "CAMPAIGN_PHASE_OPEN", soldOutAt: ""
      })
      expect((await revoke(request)).json()).toEqual(done.json())
      expect(await messageOf({ ...request, returnSlot: false })).toBe("CONFLICT")
      expect(await messageOf({ campaignId, userId: 2, returnSlot: true })).toBe("COUPON_REVOKED")
      expect(await answer(campaignId, 2)).toBe("COUPON_ALREADY_CLAIMED")
      const claims = await Promise.all(Array.from({ length: 20 }, (_, index) => answer(campaignId, 100 + index)))
      expect(claims.filter((message) => message === "OK")).toEqual(["OK"])
      expect(await answer(campaignId, 999)).toBe("COUPON_SOLD_OUT")
      expect(await read(campaignId)).toMatchObject({
        couponLimit: "4", currentCoupon: "4", returned: "1", remaining: "0", version: "2",
        phase: "CAMPAIGN_PHASE_SOLD_OUT"
      })
      await expect.poll(async () => {
        const { events } = (await http().post("ListEvents", { campaignId })).json()
        return (events as ReadonlyArray<Record<string, unknown>>).map(({ type }) => type)
          .filter((type) => type !== "coupon.issued")
      }).toEqual([
        "campaign.created", "campaign.sold_out", "coupon.revoked", "campaign.updated", "campaign.sold_out"
      ])
    })

    it("lets one of those win that revoke and redeem at the same moment, and returns that many slots", async () => {
      const users = 12
      const { campaignId } = await soldOut(users)
      const all = Array.from({ length: users }, (_, index) => index + 1)
      const revocations = all.map((userId) => ({ campaignId, userId, returnSlot: true, requestId: `revoke ${userId}` }))
      const [revoked, redeemed] = await Promise.all([
        Promise.all(revocations.map(revoke)),
        Promise.all(all.map((userId) =>
          http().post("RedeemCoupon", { campaignId, userId, requestId: `till ${userId}` })
        ))
      ])
      const won = revoked.filter(({ status }) => status === 200).length
      expect(won + redeemed.filter(({ status }) => status === 200).length).toBe(users)
      const messages = [...revoked, ...redeemed].map((reply) => reply.status === 200 ? "OK" : reply.json()["message"])
      expect(messages.filter((text) => !["OK", "COUPON_REVOKED", "COUPON_REDEEMED"].includes(String(text)))).toEqual([])
      const repeated = await Promise.all(revocations.map(revoke))
      expect(repeated.map(({ text }) => text)).toEqual(revoked.map(({ text }) => text))
      expect(await read(campaignId)).toMatchObject({
        couponLimit: String(users + won), returned: String(won), remaining: String(won), version: String(1 + won)
      })
    })

    it("says why it is not possible, and does nothing then", async () => {
      const { campaignId, codes: [code] } = await soldOut(2)
      expect(await messageOf({ campaignId, code: "없는코드" })).toBe("RECORD_NOT_FOUND")
      expect(await messageOf({ campaignId: 2_147_483_647, code })).toBe("RECORD_NOT_FOUND")
      expect(await messageOf({ campaignId })).toBe("INVALID_ARGUMENT: code or userId must be there")
      expect(await messageOf({ campaignId, code, reason: "x".repeat(201) }))
        .toBe("INVALID_ARGUMENT: reason must be at most 200 characters")
      expect((await http().post("RedeemCoupon", { campaignId, code, requestId: "till" })).status).toBe(200)
      expect(await messageOf({ campaignId, code, returnSlot: true })).toBe("COUPON_REDEEMED")
      await http().post("EndCampaign", { campaignId })
      expect(await messageOf({ campaignId, userId: 2, returnSlot: true })).toBe("CAMPAIGN_ENDED")
      expect(await read(campaignId)).toMatchObject({ couponLimit: "2", returned: "0" })
      expect((await revoke({ campaignId, userId: 2 })).status).toBe(200)

      const pool = await open({ codeSource: "CODE_SOURCE_POOL", couponLimit: 1 })
      const started = await http().post("StartImport", { campaignId: pool, requestId: "import" })
      const { importId } = started.json()["codeImport"] as { readonly importId: number }
      await http().post("AppendCodes", { campaignId: pool, importId, chunkIndex: 0, codes: ["A-1"] })
      await http().post("FinishImport", { campaignId: pool, importId })
      expect(await answer(pool, 1)).toBe("OK")
      expect(await messageOf({ campaignId: pool, userId: 1, returnSlot: true })).toBe("CODES_EXHAUSTED")
      expect((await revoke({ campaignId: pool, userId: 1 })).status).toBe(200)
    })
  })
}
