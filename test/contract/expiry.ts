import { describe, expect, it } from "vitest"
import type { Lent } from "./lifecycle.ts"

const LATER = "2099-01-01T00:00:00Z"
const DAY = 86_400_000

type Fields = Record<string, unknown>

/** How long coupons are valid, and how long a redemption can be undone, through whichever instance is asked. */
export const expiry = ({ http, issue, open }: Lent): void => {
  const coupon = async (campaignId: number, userId: number) =>
    (await http().post("GetCoupon", { campaignId, userId })).json()["coupon"] as Fields
  const update = (campaignId: number, fields: Fields) => http().post("UpdateCampaign", { campaignId, ...fields })
  const redeem = (campaignId: number, userId: number, requestId: string) =>
    http().post("RedeemCoupon", { campaignId, userId, requestId })
  const undo = (campaignId: number, userId: number, requestId: string) =>
    http().post("UndoRedemption", { campaignId, userId, requestId })
  /** Waits until the ledger's clock has passed this coupon's time. */
  const expired = (campaignId: number, userId: number) =>
    expect.poll(async () => (await coupon(campaignId, userId))["state"], { timeout: 20_000, interval: 50 })
      .toBe("COUPON_STATE_EXPIRED")

  describe("how long coupons are valid", () => {
    it("is settled at their issue, whatever is set later", async () => {
      const campaignId = await open({ couponValidity: { after: "P30D" }, undoWindow: "P7D" })
      const shown = (await http().post("GetCampaign", { campaignId })).json()
      expect(shown).toMatchObject({
        couponValidity: { until: "", after: "P30D", endOfDayZone: "" }, undoWindow: "PT168H"
      })
      const issued = (await issue(campaignId, 1)).json()
      const first = await coupon(campaignId, 1)
      expect(issued["expiresAt"]).toBe(first["expiresAt"])
      expect(Date.parse(first["expiresAt"] as string)).toBe(Date.parse(first["issuedAt"] as string) + 30 * DAY)

      const changed = await update(campaignId, { couponValidity: { after: "P1D", endOfDayZone: "Asia/Seoul" } })
      expect(changed.json()["campaign"]).toMatchObject({
        version: "2", couponValidity: { until: "", after: "P1D", endOfDayZone: "Asia/Seoul" }, undoWindow: "PT168H"
      })
      // The same once more changes nothing.
      const again = await update(campaignId, { couponValidity: { after: "P1D", endOfDayZone: "Asia/Seoul" } })
      expect(again.json()["campaign"]).toMatchObject({ version: "2" })
      const { expiresAt } = (await issue(campaignId, 2)).json()
      const second = await coupon(campaignId, 2)
      expect(expiresAt).toBe(second["expiresAt"])
      const days = Math.floor((Date.parse(second["issuedAt"] as string) + 9 * 3_600_000) / DAY) + 2
      expect(Date.parse(second["expiresAt"] as string)).toBe(days * DAY - 9 * 3_600_000)

      await update(campaignId, { couponValidity: { until: LATER } })
      await issue(campaignId, 3)
      expect(await coupon(campaignId, 3)).toMatchObject({ expiresAt: LATER })
      const none = await update(campaignId, { couponValidity: {}, undoWindow: "" })
      expect(none.json()["campaign"]).not.toHaveProperty("couponValidity")
      expect(none.json()["campaign"]).toMatchObject({ undoWindow: "PT24H" })
      expect((await issue(campaignId, 4)).json()).not.toHaveProperty("expiresAt")
      expect(await coupon(campaignId, 4)).not.toHaveProperty("expiresAt")

      const { coupons } = (await http().post("ListCoupons", { campaignId })).json()
      expect((coupons as ReadonlyArray<Fields>).map(({ expiresAt }) => expiresAt))
        .toEqual([first["expiresAt"], second["expiresAt"], LATER, undefined])
      const { code } = second
      expect((await http().post("FindCoupon", { campaignId, code })).json()["coupon"]).toEqual(second)
    })

    it("ends redeeming, by the ledger's clock, and nothing else", async () => {
      const campaignId = await open({ couponValidity: { after: "PT2S" } })
      for (const user of [1, 2, 3]) await issue(campaignId, user)
      const done = await redeem(campaignId, 1, "in time")
      expect(done.json()["coupon"]).toMatchObject({
        state: "COUPON_STATE_REDEEMED", expiresAt: (await coupon(campaignId, 1))["expiresAt"]
      })
      // Longer validities are for later coupons.
      await update(campaignId, { couponValidity: { after: "P30D" } })
      await issue(campaignId, 4)
      await expired(campaignId, 2)
      const late = await redeem(campaignId, 2, "late")
      expect([late.status, late.json()["message"]]).toEqual([400, "COUPON_EXPIRED"])
      expect((await redeem(campaignId, 2, "late")).text).toBe(late.text)
      // Expired comes before redeemed, for requests that were not answered before.
      expect((await redeem(campaignId, 1, "in time")).text).toBe(done.text)
      expect((await redeem(campaignId, 1, "too late")).json()["message"]).toBe("COUPON_EXPIRED")
      expect(await coupon(campaignId, 1)).toMatchObject({ state: "COUPON_STATE_REDEEMED" })
      const undone = await undo(campaignId, 1, "undo")
      expect(undone.json()["coupon"]).toMatchObject({ state: "COUPON_STATE_EXPIRED" })
      expect((await undo(campaignId, 2, "nothing to undo")).json()["message"]).toBe("RECORD_NOT_FOUND")
      expect((await redeem(campaignId, 4, "other")).status).toBe(200)
      expect((await http().post("IssueCoupon", { campaignId, userId: 2 })).json()["message"])
        .toBe("COUPON_ALREADY_CLAIMED")

      const inStates = async (...states: ReadonlyArray<string>) => {
        const body = { campaignId, states: states.map((state) => `COUPON_STATE_${state}`) }
        const { coupons } = (await http().post("ListCoupons", body)).json()
        return (coupons as ReadonlyArray<Fields>).map(({ number }) => number)
      }
      expect(await inStates("EXPIRED")).toEqual([1, 2, 3])
      expect(await inStates("REDEEMED")).toEqual([4])
      expect(await inStates("ISSUED", "REVOKED")).toEqual([])
      expect(await inStates("EXPIRED", "REDEEMED")).toEqual([1, 2, 3, 4])
      const ofUser = { userId: 4, campaignId, states: ["COUPON_STATE_ISSUED"] }
      expect((await http().post("ListCoupons", ofUser)).json()["coupons"]).toEqual([])
      const first = { campaignId, states: ["COUPON_STATE_EXPIRED"], pageSize: 1, descending: true }
      const page = (await http().post("ListCoupons", first)).json()
      expect((page["coupons"] as ReadonlyArray<Fields>).map(({ number }) => number)).toEqual([3])
      const next = (await http().post("ListCoupons", { ...first, pageToken: page["nextPageToken"] })).json()
      expect((next["coupons"] as ReadonlyArray<Fields>).map(({ number }) => number)).toEqual([2])
      const other = await http().post("ListCoupons", {
        ...first, states: ["COUPON_STATE_REDEEMED"], pageToken: page["nextPageToken"]
      })
      expect(other.json()["message"]).toMatch(/^INVALID_ARGUMENT: pageToken /)
    })

    it("is a rule of its own for undoing", async () => {
      const campaignId = await open({ undoWindow: "PT1S" })
      for (const user of [1, 2]) await issue(campaignId, user)
      await redeem(campaignId, 1, "one")
      await redeem(campaignId, 2, "two")
      // An answer stands for good, so nothing is asked before the window has passed by the ledger's clock.
      const redeemedAt = Date.parse((await coupon(campaignId, 2))["redeemedAt"] as string)
      const now = async () =>
        Date.parse((await http().post("GetCampaign", { campaignId })).json()["serverTime"] as string)
      await expect.poll(now, { timeout: 20_000 }).toBeGreaterThan(redeemedAt + 1_000)
      expect((await undo(campaignId, 1, "late")).json()["message"]).toBe("COUPON_REDEEMED")
      await update(campaignId, { undoWindow: "PT1H" })
      expect((await undo(campaignId, 2, "undo")).status).toBe(200)
    })

    it("is not set to what makes no sense", async () => {
      const fields = { name: "x", couponLimit: 5, startTime: "2025-06-25T00:00:00Z" }
      const message = async (more: Fields) =>
        (await http().post("CreateCampaign", { ...fields, ...more })).json()["message"]
      const invalid = (reason: string) => `INVALID_ARGUMENT: ${reason}`
      const passed = invalid("couponValidity.until has passed already")
      expect(await message({ couponValidity: { until: "2025-06-26T00:00:00Z" } })).toBe(passed)
      expect(await message({ couponValidity: { until: LATER }, endTime: "2099-06-01T00:00:00Z" }))
        .toBe(invalid("couponValidity.until must not be earlier than endTime"))
      expect(await message({ couponValidity: { until: LATER, after: "P1D" } }))
        .toBe(invalid("couponValidity.after must be absent with couponValidity.until"))
      expect(await message({ couponValidity: { after: "P0D" } }))
        .toBe(invalid("couponValidity.after must be longer than zero"))
      expect(await message({ couponValidity: { after: "P101Y" } }))
        .toBe(invalid("couponValidity.after must be at most 100 years"))
      expect(await message({ couponValidity: { after: "30 days" } })).toBe(
        invalid("couponValidity.after must be a duration in ISO 8601 of whole numbers, such as P30D, P6M or PT12H")
      )
      expect(await message({ couponValidity: { after: "P1D", endOfDayZone: "Mars/Phobos" } }))
        .toBe(invalid("couponValidity.endOfDayZone must be a zone of the IANA database, such as Asia/Seoul"))
      expect(await message({ undoWindow: "PT0S" })).toBe(invalid("undoWindow must be longer than zero"))
      expect(await message({ undoWindow: "P1M" }))
        .toBe(invalid("undoWindow must be of weeks, days, hours, minutes and seconds"))
      expect(await message({ couponValidity: { before: "P1D" } })).toMatch(/^INVALID_ARGUMENT: couponValidity\.before /)

      const campaignId = await open({ endTime: LATER, couponValidity: { until: LATER } })
      const refused = async (more: Fields) => (await update(campaignId, more)).json()["message"]
      expect(await refused({ endTime: "2099-06-01T00:00:00Z" }))
        .toBe(invalid("endTime must not be later than couponValidity.until"))
      expect(await refused({ couponValidity: { until: "2098-06-01T00:00:00Z" } }))
        .toBe(invalid("couponValidity.until must not be earlier than endTime"))
      expect(await refused({ couponValidity: { until: "2025-06-26T00:00:00Z" }, endTime: "" })).toBe(passed)
      expect(await refused({})).toMatch(/couponValidity and undoWindow$/)
      const later = "2099-07-01T00:00:00Z"
      expect((await update(campaignId, { endTime: "2099-06-01T00:00:00Z", couponValidity: { until: later } })).status)
        .toBe(200)
    })
  })
}
