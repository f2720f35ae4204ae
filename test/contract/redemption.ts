import { describe, expect, it } from "vitest"
import type { Lent } from "./lifecycle.ts"

const isTime = expect.stringMatching(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z$/)

/** The state of a coupon that was neither redeemed nor revoked. */
const isIssued = expect.toSatisfy((coupon: Record<string, unknown>) =>
  coupon["state"] === "COUPON_STATE_ISSUED" && !("redeemedAt" in coupon) && !("terminalId" in coupon))

/** Redeeming coupons and undoing that, through whichever instance is asked. */
export const redemption = ({ http, issue, open }: Lent): void => {
  const issued = async (users: number) => {
    const campaignId = await open()
    const codes: Array<string> = []
    for (let user = 1; user <= users; user++) codes.push((await issue(campaignId, user)).json()["code"] as string)
    return { campaignId, codes }
  }
  const redeem = (body: Record<string, unknown>) => http().post("RedeemCoupon", body)
  const undo = (body: Record<string, unknown>) => http().post("UndoRedemption", body)
  const couponOf = async (campaignId: number, userId: number) =>
    (await http().post("GetCoupon", { campaignId, userId })).json()["coupon"] as Record<string, unknown>

  describe("redeeming a coupon", () => {
    it("happens once, by its code or its user, and says what stands to all others", async () => {
      const { campaignId, codes: [code] } = await issued(1)
      expect(await couponOf(campaignId, 1)).toEqual(isIssued)
      const request = {
        campaignId,
        code: ` ${code!.slice(0, 5)}-${code!.slice(5)} `,
        requestId: "first",
        terminalId: "till 7",
        orderRef: "order 1",
        occurredAt: "2025-06-26T09:00:00+09:00"
      }
      const done = await redeem(request)
      expect(done.status, done.text).toBe(200)
      expect(done.json()).toEqual({
        coupon: expect.objectContaining({
          campaignId, code, userId: "1", number: 1, state: "COUPON_STATE_REDEEMED", redeemedAt: isTime,
          terminalId: "till 7"
        }),
        redemption: {
          campaignId, sequence: 1, number: 1, action: "REDEMPTION_ACTION_REDEEM", requestId: "first",
          terminalId: "till 7", orderRef: "order 1", reason: "", occurredAt: "2025-06-26T00:00:00Z", at: isTime,
          slotReturned: false
        }
      })
      expect((await redeem(request)).json()).toEqual(done.json())
      const other = await redeem({ campaignId, userId: 1, requestId: "second", terminalId: "till 8" })
      expect([other.status, other.json()["code"], other.json()["message"]])
        .toEqual([409, "already_exists", "COUPON_REDEEMED"])
      expect(await couponOf(campaignId, 1)).toMatchObject({
        state: "COUPON_STATE_REDEEMED",
        redeemedAt: (done.json()["coupon"] as Record<string, unknown>)["redeemedAt"],
        terminalId: "till 7"
      })
    })

    it("can be undone, and each request keeps its answer", async () => {
      const { campaignId } = await issued(1)
      const first = { campaignId, userId: 1, requestId: "redeem" }
      const done = await redeem(first)
      const refused = await redeem({ campaignId, userId: 1, requestId: "late" })
      const back = { campaignId, userId: 1, requestId: "undo", reason: "wrong order" }
      const undone = await undo(back)
      expect(undone.json()).toMatchObject({
        coupon: isIssued,
        redemption: { sequence: 2, action: "REDEMPTION_ACTION_UNDO", reason: "wrong order" }
      })
      expect(await couponOf(campaignId, 1)).toEqual(isIssued)
      const nothing = await undo({ campaignId, userId: 1, requestId: "undo twice" })
      expect([nothing.status, nothing.json()["message"]]).toEqual([404, "RECORD_NOT_FOUND"])
      expect((await redeem(first)).json()).toEqual(done.json())
      expect((await undo(back)).json()).toEqual(undone.json())
      const again = await redeem({ campaignId, userId: 1, requestId: "late" })
      expect([again.status, again.json()["message"]]).toEqual([refused.status, "COUPON_REDEEMED"])
      const clash = await undo({ campaignId, userId: 1, requestId: "redeem" })
      expect([clash.status, clash.json()["message"]]).toEqual([409, "CONFLICT"])
      expect((await redeem({ campaignId, userId: 1, requestId: "anew" })).status).toBe(200)

      const { redemptions } = (await http().post("GetRedemptions", { campaignId })).json()
      const acts = redemptions as ReadonlyArray<Record<string, unknown>>
      expect(acts.map(({ action, requestId }) => [action, requestId]))
        .toEqual([
          ["REDEMPTION_ACTION_REDEEM", "redeem"],
          ["REDEMPTION_ACTION_UNDO", "undo"],
          ["REDEMPTION_ACTION_REDEEM", "anew"]
        ])
      const query = { campaignId, userId: 1, afterSequence: 1, pageSize: 1 }
      const page = (await http().post("GetRedemptions", query)).json()
      expect(page["redemptions"]).toEqual([expect.objectContaining({ sequence: 2 })])
    })

    it("lets one of many tills win, at whichever instance they ask, and tells each the same again", async () => {
      const { campaignId } = await issued(10)
      const tills = Array.from({ length: 8 }, (_, till) => `till ${till}`)
      const requests = tills.flatMap((terminalId) =>
        Array.from({ length: 10 }, (_, index) => ({
          campaignId, userId: index + 1, requestId: `${terminalId} ${index}`, terminalId
        }))
      )
      const replies = await Promise.all(requests.map(redeem))
      expect(replies.filter(({ status }) => status === 200).length).toBe(10)
      expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200, 409]))
      const repeated = await Promise.all(requests.map(redeem))
      expect(repeated.filter(({ status }) => status !== 200 && status !== 409)).toEqual([])
      expect(repeated.map(({ text }) => text)).toEqual(replies.map(({ text }) => text))
    })

    it("needs a coupon, a request's id, and fields within their rules", async () => {
      const { campaignId, codes: [code] } = await issued(1)
      const message = async (body: Record<string, unknown>) => {
        const reply = await redeem({ campaignId, code, requestId: "r", ...body })
        return [reply.status, reply.json()["message"]]
      }
      const invalid = (reason: string) => [400, `INVALID_ARGUMENT: ${reason}`]
      const { campaignId: other } = await issued(1)
      expect(await message({ campaignId: 2_147_483_647 })).toEqual([404, "RECORD_NOT_FOUND"])
      expect(await message({ campaignId: other })).toEqual([404, "RECORD_NOT_FOUND"])
      expect(await message({ code: "없는코드" })).toEqual([404, "RECORD_NOT_FOUND"])
      expect(await message({ code: "x".repeat(2_000) })).toEqual([404, "RECORD_NOT_FOUND"])
      expect(await message({ code: "" })).toEqual(invalid("code must not be empty"))
      expect(await message({ code: undefined })).toEqual(invalid("code or userId must be there"))
      for (const requestId of ["", "x".repeat(65), "\u{1f39f}".repeat(65)]) {
        expect(await message({ requestId })).toEqual(invalid("requestId must be 1 to 64 characters"))
      }
      expect(await message({ requestId: "r\u0000" }))
        .toEqual(invalid("requestId must be text without control characters"))
      expect(await message({ terminalId: "a\u0000" }))
        .toEqual(invalid("terminalId must be text without control characters"))
      expect(await message({ occurredAt: "yesterday" }))
        .toEqual(invalid("occurredAt must be a time in RFC 3339, such as 2025-06-25T00:00:00Z"))
      expect(await couponOf(campaignId, 1)).toEqual(isIssued)
    })
  })
}
