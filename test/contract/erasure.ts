import { describe, expect, it } from "vitest"
import type { Lent } from "./lifecycle.ts"

/** Erasing users, through whichever instance is asked. */
export const erasure = ({ http, issue, open }: Lent): void => {
  const erase = (body: Record<string, unknown>) => http().post("EraseUser", body)
  const answer = async (campaignId: number, userId: string) => (await issue(campaignId, userId)).json()["message"]
  const find = async (campaignId: number, code: string) =>
    (await http().post("FindCoupon", { campaignId, code })).json()["coupon"] as Record<string, unknown>

  describe("erasing a user", () => {
    it("leaves each coupon as it is but for its user, who is a new one from then on", async () => {
      const userId = String(9_000_000_000_000_000_000n - BigInt(Date.now()))
      const [first, second] = [await open({ couponLimit: 3 }), await open({ couponLimit: 1 })]
      expect(await answer(first, "1")).toBe("OK")
      const codes = new Map<number, string>()
      for (const campaignId of [first, second]) {
        codes.set(campaignId, (await issue(campaignId, userId)).json()["code"] as string)
      }
      const before = await find(first, codes.get(first)!)
      await http().post("RedeemCoupon", { campaignId: first, userId, requestId: "till" })
      let erased = 0
      const all = async (): Promise<number> => {
        let pageToken: unknown = ""
        do {
          const reply = await erase({ userId, reason: "ticket 7", pageToken })
          if (reply.status !== 200) {
            // As long as the claim may still be on its way to its answer.
            expect([reply.json()["message"], reply.headers.get("retry-after")]).toEqual(["UNAVAILABLE", "5"])
            return reply.status
          }
          erased += reply.json()["erased"] as number
          pageToken = reply.json()["nextPageToken"]
        } while (pageToken !== "")
        return 200
      }
      await expect.poll(all, { timeout: 30_000, interval: 200 }).toBe(200)
      // One of both may have been erased by a call that failed for the other.
      expect(erased).toBeLessThanOrEqual(2)
      const total = erased
      expect(await all()).toBe(200)
      expect(erased).toBe(total)
      expect((await http().post("ListCoupons", { userId })).json()["coupons"]).toEqual([])
      expect((await http().post("GetCoupon", { campaignId: first, userId })).json()["message"]).toBe("RECORD_NOT_FOUND")
      const after = await find(first, codes.get(first)!)
      expect(after).toEqual({
        ...before, userId: "-2", state: "COUPON_STATE_REDEEMED", redeemedAt: expect.any(String), terminalId: ""
      })
      expect(await find(second, codes.get(second)!)).toMatchObject({ userId: "-1", number: 1 })
      // The other user's coupon is as it was, and slots are as they were.
      expect(await answer(first, "1")).toBe("COUPON_ALREADY_CLAIMED")
      expect(await answer(second, "2")).toBe("COUPON_SOLD_OUT")

      // Each instance forgets within a second what it remembers; then the user is one without a coupon.
      await expect.poll(() => answer(second, userId), { timeout: 10_000 }).toBe("COUPON_SOLD_OUT")
      await expect.poll(() => answer(first, userId), { timeout: 10_000 }).toBe("OK")
      expect(await answer(first, userId)).toBe("COUPON_ALREADY_CLAIMED")
      expect(await answer(first, "4")).toBe("COUPON_SOLD_OUT")
      const read = (await http().post("GetCampaign", { campaignId: first })).json()
      expect(read).toMatchObject({ couponLimit: "3", currentCoupon: "3", remaining: "0" })
      const { events } = (await http().post("ListEvents", { campaignId: first })).json()
      expect(JSON.stringify(events)).not.toContain(userId)
    }, 60_000)

    it("says what is wrong with a request", async () => {
      const messageOf = async (body: Record<string, unknown>) => (await erase(body)).json()["message"]
      expect(await messageOf({})).toBe("INVALID_ARGUMENT: userId must be a positive 64-bit integer")
      expect(await messageOf({ userId: -1 })).toBe("INVALID_ARGUMENT: userId must be a positive 64-bit integer")
      expect(await messageOf({ userId: 1, reason: "x".repeat(201) }))
        .toBe("INVALID_ARGUMENT: reason must be at most 200 characters")
      for (const pageToken of ["x", "0", "-1", "99999999999"]) {
        expect(await messageOf({ userId: 1, pageToken }))
          .toBe("INVALID_ARGUMENT: pageToken must be the nextPageToken of an answer")
      }
      const none = await erase({ userId: "8999999999999999999" })
      expect([none.status, none.json()["erased"]]).toEqual([200, 0])
    })
  })
}
