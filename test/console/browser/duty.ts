import * as Fs from "node:fs"
import type { Browser, Page, Route } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Instance, startInstance } from "../../support/Instance.ts"
import { call, claim, openCampaign, openTab, type Tab } from "./Browser.ts"

/** More than a page of the list of campaigns, and of the audit log, has. */
const OLD_CAMPAIGNS = 201

const focused = (page: Page): Promise<string> =>
  page.evaluate("`${document.activeElement.tagName} ${document.activeElement.textContent.trim()}`")

const focusIs = (page: Page, title: string): Promise<void> =>
  page.locator("h1:focus").filter({ hasText: title }).waitFor()

/** What a person on duty meets beside the sale itself. */
export const duty = (browserOf: () => Browser): void => {
  describe("on duty", () => {
    let instance: Instance
    let tab: Tab
    let page: Page
    const at = (path: string) => page.goto(`${instance.url}/console/${path}`)
    const dialog = () => page.getByRole("dialog")

    beforeAll(async () => {
      instance = await startInstance({
        SECRETS_KEY: `k1:${Buffer.alloc(32, 7).toString("base64")}`,
        WEBHOOK_ALLOW_HTTP: "on",
        WEBHOOK_ALLOWED_NETWORKS: "127.0.0.0/8"
      })
      tab = await openTab(browserOf(), `${instance.url}/console/`)
      page = tab.page
    })
    afterAll(() => instance.kill())

    it("the keyboard goes on where it was: on a new page, after a dialog, in another language", async () => {
      const campaignId = await openCampaign(instance.url)
      await claim(instance.url, campaignId, 41)
      for (const [name, title] of [["System", "System"], ["Support", "Support"], ["Campaigns", "Campaigns"]] as const) {
        await page.getByRole("link", { name, exact: true }).focus()
        await page.keyboard.press("Enter")
        await focusIs(page, title)
      }
      await page.getByRole("link", { name: "Sale", exact: true }).focus()
      await page.keyboard.press("Enter")
      // The page is loaded before its campaign is.
      await page.getByRole("button", { name: "Pause" }).waitFor()
      expect(await focused(page)).toBe("H1 Sale")

      await page.getByRole("button", { name: "한국어" }).focus()
      await page.keyboard.press("Enter")
      await page.getByRole("button", { name: "English" }).waitFor()
      expect(await focused(page)).toBe("BUTTON English")
      await page.keyboard.press("Enter")
      await page.getByRole("button", { name: "Pause" }).waitFor()

      // The act takes away the button that it began with.
      await at("support?by=user&q=41")
      await page.getByRole("button", { name: "Redeem", exact: true }).focus()
      await page.keyboard.press("Enter")
      await dialog().getByRole("button", { name: "Redeem" }).focus()
      await page.keyboard.press("Enter")
      await page.getByRole("button", { name: "Undo redemption" }).waitFor()
      await focusIs(page, "Support")
      expect(tab.flaws).toEqual([])
    })

    it("a limit is a whole number, or the form says so where it is", async () => {
      await at("")
      await page.getByRole("button", { name: "New campaign" }).click()
      const limit = dialog().getByLabel("Limit (coupons)")
      await dialog().getByLabel("Name").fill("Evening sale")
      // One that is pasted is not cut to another number.
      for (const text of ["1e3", "1.0", "100000000", "1,00"]) {
        await limit.fill(text)
        expect(await limit.inputValue()).toBe(text)
        await dialog().getByRole("button", { name: "Create campaign" }).click()
        await dialog().getByText("A whole number from 1 to 10,000,000.").waitFor()
        expect(await limit.evaluate((input) => input === input.ownerDocument.activeElement)).toBe(true)
      }
      await limit.fill("1,000")
      await dialog().getByText("will issue up to 1,000 coupons").waitFor()
      // Examples of few codes are often the same.
      await dialog().getByLabel("Alphabet").selectOption({ label: "Digits" })
      for (const pattern of ["#", "#-", "#", "#-", "#", "#-", "#", "#-"]) {
        await limit.fill("")
        await dialog().getByLabel("Pattern").fill(pattern)
        await dialog().getByText("10 different codes").waitFor()
      }
      await page.keyboard.press("Escape")
      expect(tab.flaws).toEqual([])
    })

    it("a creation whose answer was lost is not made again with other terms", async () => {
      await at("")
      await page.getByRole("button", { name: "New campaign" }).click()
      await dialog().getByLabel("Name").fill("Lost answer")
      await dialog().getByLabel("Limit (coupons)").fill("5")
      await page.route("**/CreateCampaign", async (route) => {
        await route.fetch()
        await route.abort()
      }, { times: 1 })
      const create = dialog().getByRole("button", { name: "Create campaign" })
      await create.click()
      await dialog().getByRole("alert").waitFor()
      await dialog().getByLabel("Limit (coupons)").fill("6")
      await create.click()
      await dialog().getByText("The first attempt has made the campaign after all").waitFor()
      expect(await dialog().getByRole("alert").count()).toBe(0)
      await page.keyboard.press("Escape")
      await page.getByRole("link", { name: "Lost answer" }).waitFor()
      expect(tab.flaws).toEqual([])
    })

    it("a link to the page that is open takes its filters away", async () => {
      await at("audit?actor=stranger")
      await page.getByText("No act matches").waitFor()
      expect(await page.getByLabel("Who").inputValue()).toBe("stranger")
      await page.getByRole("link", { name: "Audit log" }).click()
      await page.getByRole("row").filter({ hasText: "campaign.create" }).first().waitFor()
      expect(await page.getByLabel("Who").inputValue()).toBe("")
      expect(await focused(page)).toBe("H1 Audit log")
      await page.goBack()
      await page.getByText("No act matches").waitFor()
      expect(await page.getByLabel("Who").inputValue()).toBe("stranger")
      expect(tab.flaws).toEqual([])
    })

    it("an end says how many coupons are left now, not when the page was opened", async () => {
      const campaignId = await openCampaign(instance.url, { name: "Late sale", couponLimit: "10" })
      await at(`campaigns/${campaignId}`)
      await page.getByTestId("issued").getByText("0", { exact: true }).waitFor()
      for (const user of [1, 2, 3]) await claim(instance.url, campaignId, user)
      await page.getByTestId("issued").getByText("3", { exact: true }).waitFor()
      await page.getByRole("button", { name: "End for good" }).click()
      await dialog().getByText("7 coupons will stay unissued").waitFor()
      expect(tab.flaws).toEqual([])
    })

    it("a dialog that cannot be loaded says so", async () => {
      const own = await openTab(browserOf(), `${instance.url}/console/campaigns/1`)
      await own.page.route("**/assets/LimitDialog*", (route) => route.fulfill({ status: 404, body: "" }))
      await own.page.getByRole("button", { name: "Raise limit" }).click()
      await own.page.getByRole("alert").getByText("nothing was done").waitFor()
      await own.close()
    })

    it("pages that are open show what others do", async () => {
      const made = await call(instance.url, "CreateWebhook", { url: "http://127.0.0.1:9/hook", types: ["codes.low"] })
      const { id, version } = made["webhook"] as { readonly id: string; readonly version: number }
      await at("webhooks")
      const row = page.getByRole("row").filter({ hasText: "127.0.0.1:9" })
      await row.getByText("enabled").waitFor()
      await call(instance.url, "UpdateWebhook", { id, expectedVersion: version, enabled: false })
      await row.getByText("disabled").waitFor()
      await at("audit")
      await page.getByRole("cell", { name: "changed a webhook" }).first().waitFor()
      await call(instance.url, "DeleteWebhook", { id })
      await page.getByRole("cell", { name: "deleted a webhook" }).waitFor()
      expect(tab.flaws).toEqual([])
    })

    it("what runs is listed, and codes go into the pool that a link names, however many are newer", async () => {
      const { url } = instance
      const pool = await openCampaign(url, { name: "Old pool", codeSource: "CODE_SOURCE_POOL" })
      await openCampaign(url, { name: "New pool", codeSource: "CODE_SOURCE_POOL" })
      await call(url, "EndCampaign", { campaignId: pool })
      const past = { endTime: "2025-06-26T00:00:00Z", allowPastEnd: true }
      for (let k = 0; k < OLD_CAMPAIGNS; k++) await openCampaign(url, { ...past, name: `Old ${k}` })
      await at("")
      await page.getByRole("link", { name: "Old 200", exact: true }).waitFor()
      await page.getByRole("link", { name: "Late sale", exact: true }).waitFor()
      // What is read again keeps the pages that were opened.
      await page.getByRole("button", { name: "Show more" }).click()
      await page.getByRole("link", { name: "Old 20", exact: true }).waitFor()
      await openCampaign(url, { name: "Newest" })
      await page.getByRole("link", { name: "Newest", exact: true }).waitFor()
      expect(await page.getByRole("link", { name: "Old 20", exact: true }).count()).toBe(1)

      await at(`codes?campaign=${pool}`)
      const chosen = page.getByRole("combobox", { name: "Campaign" })
      await page.getByText("0 of 0 codes issued").waitFor()
      expect(await chosen.inputValue()).toBe(String(pool))
      await at("codes?campaign=1")
      await page.getByText("Campaign 1 has no codes of its own").waitFor()
      expect(await page.locator("input[type=file]").count()).toBe(0)

      // The next page of the audit log is of the filter that the first one was of.
      await at("audit?action=campaign.create")
      await page.getByRole("button", { name: "Show more" }).waitFor()
      await page.getByLabel("Who").fill("stranger")
      await page.getByRole("button", { name: "Show more" }).click()
      await page.getByRole("cell", { name: "Evening" }).or(page.getByRole("link", { name: "#1", exact: true })).first()
        .waitFor()
      // Where further pages are shown, newer acts wait until they are asked for.
      await openCampaign(url, { name: "Latest" })
      await page.getByText("Acts have been recorded since").waitFor()
      await page.getByLabel("Who").fill("")
      await page.getByRole("button", { name: "Refresh" }).click()
      await page.getByText("Latest", { exact: true }).waitFor()
      await page.getByText("Acts have been recorded since").waitFor({ state: "detached" })
      expect(tab.flaws).toEqual([])
    })

    it("an export goes on after it broke, and a record of a sale is read until it is whole", async () => {
      const campaignId = await openCampaign(instance.url, { couponLimit: "3", couponValidity: { after: "P30D" } })
      for (const user of [1, 2, 3]) await claim(instance.url, campaignId, user)
      const first = async (call: string, answer: (route: Route) => Promise<void>) => {
        let calls = 0
        await page.route(`**/coupon.v1.CouponService/${call}`, (route) =>
          ++calls === 1 ? answer(route) : route.continue())
      }
      await first("ExportCoupons", (route) => route.abort())
      await at(`support?campaign=${campaignId}`)
      const download = page.waitForEvent("download")
      await page.getByRole("button", { name: "Export CSV" }).click()
      const lines = Fs.readFileSync(await (await download).path(), "utf8").trim().split("\r\n")
      expect(lines.map((line) => line.split(",").length)).toEqual([5, 5, 5, 5])
      expect(lines[1]).toMatch(/^1,1,[^,]+,[^,]+Z,[^,]+Z$/)
      await page.getByText("3 coupons exported.").waitFor()

      await first("ListEvents", (route) => route.fulfill({ contentType: "application/json", body: "{}" }))
      await at(`campaigns/${campaignId}`)
      await page.getByText(/^busiest second: \d/).waitFor()
      expect(tab.flaws).toEqual([])
    })

    it("an import goes on while another page is shown, and only the whole of a file is added", async () => {
      const campaignId = await openCampaign(instance.url, { name: "Imported", codeSource: "CODE_SOURCE_POOL" })
      const file = { name: "codes.txt", mimeType: "text/plain", buffer: Buffer.from("AAA-1\nAAA-2\n") }
      await at(`codes?campaign=${campaignId}`)
      const input = page.locator("input[type=file]")
      await input.setInputFiles(file)
      await page.getByRole("button", { name: "Add 2 codes to the pool" }).waitFor()
      await page.getByRole("link", { name: "System", exact: true }).click()
      await page.getByRole("heading", { name: "System", level: 1 }).waitFor()
      await page.goBack()
      await page.getByRole("button", { name: "Add 2 codes to the pool" }).waitFor()
      await page.getByRole("button", { name: "Give up" }).first().click()
      await dialog().getByLabel("Type 1 to confirm").fill("1")
      await dialog().getByRole("button", { name: "Give up" }).click()
      await page.getByText("The import was given up").waitFor()

      // The service refuses what comes after the first chunk.
      await page.route("**/coupon.v1.CouponService/AppendCodes", (route) =>
        route.fulfill({
          status: 400,
          contentType: "application/json",
          body: JSON.stringify({ code: "invalid_argument", message: "INVALID_ARGUMENT: no more" })
        }))
      await input.setInputFiles(file)
      await page.getByText("Only a part of the file was sent").waitFor()
      expect(await page.getByRole("button", { name: /^Add/ }).count()).toBe(0)
      await page.unroute("**/coupon.v1.CouponService/AppendCodes")
      // A file that misses the field is not opened in place of the console.
      const isTaken = await page.evaluate(
        "!document.body.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true }))"
      )
      expect(isTaken).toBe(true)
      expect(tab.flaws).toEqual([])
    })
  })
}
