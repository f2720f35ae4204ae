import type { Browser } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Instance, startInstance } from "../../support/Instance.ts"
import { claim, openCampaign, openTab } from "./Browser.ts"

/** A sale on its page, by the browser that is given when the tests run. */
export const sale = (browserOf: () => Browser): void => {
  describe("a sale, from its creation to its record", () => {
    let instance: Instance

    beforeAll(async () => {
      instance = await startInstance()
    })
    afterAll(() => instance.kill())

    it("is created, seen live, paused, resumed, sold out and kept, on one page", async () => {
      const { url } = instance
      const tab = await openTab(browserOf(), `${url}/console/`)
      const { page } = tab
      await page.getByText("There is no campaign yet.").waitFor()
      // The banner says that anyone may do this.
      expect(await page.getByRole("complementary").innerText()).toContain("Administration is open")

      await page.getByRole("button", { name: "New campaign" }).click()
      const dialog = page.getByRole("dialog")
      await dialog.getByLabel("Name").fill("Noon sale")
      await dialog.getByLabel("Limit (coupons)").fill("4")
      await dialog.getByLabel("Start", { exact: true }).fill("2025-06-25T00:00:00")
      await dialog.getByLabel("Pattern").fill("NOON-####-####-####")
      await dialog.getByText(/^NOON-.{4}-.{4}-.{4}$/).first().waitFor()
      await dialog.getByRole("button", { name: "Create campaign" }).click()

      await page.getByRole("heading", { name: "Noon sale", level: 1 }).waitFor()
      await page.getByText("Open for", { exact: true }).waitFor()
      const issued = page.getByTestId("issued")
      expect(await issued.innerText()).toBe("0")

      // The claim is pushed: between it and its number on the page, nothing asks for the campaign.
      tab.requests.length = 0
      const began = performance.now()
      const first = await claim(url, 1, 10_000_001)
      expect(first["code"]).toMatch(/^NOON-/)
      await issued.getByText("1", { exact: true }).waitFor()
      process.stdout.write(`a claim was on the page after ${Math.round(performance.now() - began)} ms\n`)
      expect(tab.requests.filter((path) => path.includes("Campaign"))).toEqual([])
      // The next one as well: a few coupons are not gathered.
      const again = performance.now()
      await claim(url, 1, 10_000_002)
      await issued.getByText("2", { exact: true }).waitFor()
      process.stdout.write(`the next one was on it after ${Math.round(performance.now() - again)} ms\n`)
      expect(tab.requests.filter((path) => path.includes("Campaign"))).toEqual([])
      // The latest coupons have masked users, and no codes.
      const latest = page.getByRole("region", { name: "Latest coupons" })
      await latest.getByText(/01$/).first().waitFor()
      expect(await latest.innerText()).not.toContain(String(first["code"]))

      await page.getByRole("button", { name: "Pause" }).click()
      const pause = dialog.getByRole("button", { name: "Pause" })
      expect(await pause.isDisabled()).toBe(true)
      await dialog.getByLabel("Type 1 to confirm").fill("1")
      await pause.click()
      await page.getByText("Claims are refused").waitFor()
      expect((await claim(url, 1, 2))["message"]).toBe("CAMPAIGN_PAUSED")

      await page.getByRole("button", { name: "Resume" }).click()
      await dialog.getByRole("button", { name: "Resume" }).click()
      await page.getByText("Open for", { exact: true }).waitFor()
      for (const user of [2, 3]) expect((await claim(url, 1, user))["message"]).toBe("OK")
      expect((await claim(url, 1, 4))["message"]).toBe("COUPON_SOLD_OUT")

      await page.getByText("Sold out after").waitFor()
      await page.getByRole("region", { name: "Record of the sale" }).waitFor()
      const timeline = page.getByRole("region", { name: "Timeline" })
      for (const text of ["created the campaign", "paused it", "resumed it", "Sold out"]) {
        await timeline.getByText(text).first().waitFor()
      }

      // The page of the record is the same one, also when it is opened later.
      await page.reload()
      await page.getByText("Sold out after").waitFor()
      expect(await issued.innerText()).toBe("4")
      const funnel = page.getByRole("region", { name: "Claims, from arrival to delivery" })
      await funnel.getByText("counted since").waitFor()
      for (const [step, count] of Object.entries({ Arrived: "6", Admitted: "6", Committed: "4", Delivered: "4" })) {
        await funnel.getByRole("listitem").filter({ hasText: step }).getByText(count, { exact: true }).waitFor()
      }
      const outcomes = page.getByRole("region", { name: "Answers by kind" })
      await outcomes.getByRole("button", { name: "whole sale" }).click()
      await outcomes.getByRole("button", { name: "Table" }).click()
      await outcomes.getByRole("cell").first().waitFor()
      expect(tab.flaws).toEqual([])
      await tab.close()
    })

    it("raises the limit, verifies, rebuilds the gate and ends", async () => {
      const { url } = instance
      const tab = await openTab(browserOf(), `${url}/console/campaigns/1`)
      const { page } = tab
      const dialog = page.getByRole("dialog")
      await page.getByRole("button", { name: "Raise limit" }).click()
      await dialog.getByLabel("New limit").fill("6")
      await dialog.getByText("2 more coupons").waitFor()
      await dialog.getByRole("button", { name: "Raise limit" }).click()
      await page.getByText("of 6", { exact: true }).waitFor()
      expect((await claim(url, 1, 4))["message"]).toBe("OK")
      await page.getByTestId("issued").getByText("5", { exact: true }).waitFor()

      await page.getByRole("button", { name: "Verify" }).click()
      await dialog.getByText("All invariants hold.").waitFor()
      await dialog.getByRole("button", { name: "Close" }).last().click()

      await page.getByRole("button", { name: "Rebuild gate" }).click()
      await dialog.getByRole("button", { name: "Rebuild gate" }).click()
      await dialog.getByText(/Rebuilt from 5 coupons/).waitFor()
      await dialog.getByRole("button", { name: "Close" }).last().click()

      await page.getByRole("button", { name: "End for good" }).click()
      await dialog.getByLabel("Type 1 to confirm").fill("1")
      await dialog.getByRole("button", { name: "End for good" }).click()
      await page.getByText("Ended with").waitFor()
      expect((await claim(url, 1, 5))["message"]).toBe("CAMPAIGN_ENDED")
      // What can be done no more is not shown.
      expect(await page.getByRole("button", { name: "Pause" }).count()).toBe(0)
      expect(tab.flaws).toEqual([])
      await tab.close()
    })

    it("shows the coupons of a busy sale each second, however seldom the watch has them", async () => {
      const { url } = instance
      const campaignId = await openCampaign(url, { couponLimit: "1000" })
      const tab = await openTab(browserOf(), `${url}/console/`)
      const { page } = tab
      const asked: Array<string> = []
      // For longer than the test waits for anything.
      await page.route("**/coupon.v1.CouponService/WatchCampaign", async (route) => {
        const body = route.request().postData() ?? ""
        asked.push(body)
        await route.continue({ postData: body.replace('"issuedIntervalSeconds":10', '"issuedIntervalSeconds":60') })
      })
      await page.goto(`${url}/console/campaigns/${campaignId}`)
      const issued = page.getByTestId("issued")
      await issued.getByText("0", { exact: true }).waitFor()
      expect(asked.map((body) => body.includes('"issuedIntervalSeconds":10'))).toEqual([true])
      for (const [first, total] of [[1, "100"], [101, "200"]] as const) {
        await Promise.all(Array.from({ length: 100 }, (_, k) => claim(url, campaignId, first + k)))
        await issued.getByText(total, { exact: true }).waitFor()
      }
      expect(tab.flaws).toEqual([])
      await tab.close()
    })
  })
}
