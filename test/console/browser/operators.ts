import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Instance, startInstance } from "../../support/Instance.ts"
import { call, isolated, openCampaign, openTab, overflowOf, violationsOf } from "./Browser.ts"

const ADMIN = "an-admin-key-of-the-tests-of-the-console"
const bearer = { authorization: `Bearer ${ADMIN}` }

const signIn = async (page: Page, key: string): Promise<void> => {
  await page.getByLabel("API key").fill(key)
  await page.getByRole("button", { name: "Sign in" }).click()
}

/** What operators of several roles see and do. */
export const operators = (browserOf: () => Browser): void => {
  describe("operators of several roles", () => {
    let instance: Instance
    let campaignId: number

    beforeAll(async () => {
      instance = await startInstance({ ADMIN_API_KEY: ADMIN })
      campaignId = await openCampaign(instance.url, {}, bearer)
    })
    afterAll(() => instance.kill())

    it("sign in by a key, see what they may do, and sign out", async () => {
      const tab = await openTab(browserOf(), `${instance.url}/console/`)
      const { page } = tab
      await signIn(page, "wrong")
      await page.getByRole("alert").getByText("The key is not valid").waitFor()
      await signIn(page, ADMIN)
      await page.getByRole("button", { name: "New campaign" }).waitFor()
      // The cookie is out of the reach of scripts, and the key is kept nowhere.
      expect(await page.evaluate("document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)"))
        .not.toContain(ADMIN.slice(0, 8))

      // A key of a lower role, made on the page; its secret is shown once.
      await page.getByRole("link", { name: "API keys" }).click()
      await page.getByRole("button", { name: "New API key" }).click()
      const dialog = page.getByRole("dialog")
      await dialog.getByLabel("Name").fill("watcher")
      await dialog.getByLabel("Role").selectOption("VIEWER")
      await dialog.getByRole("button", { name: "New API key" }).click()
      const secret = await dialog.locator("code").innerText()
      await dialog.getByRole("button", { name: "Close" }).last().click()

      const viewer = await openTab(browserOf(), `${instance.url}/console/campaigns/${campaignId}`)
      await signIn(viewer.page, secret)
      await viewer.page.getByRole("heading", { name: "Sale", level: 1 }).waitFor()
      await viewer.page.getByRole("button", { name: "Verify" }).waitFor()
      for (const name of ["Pause", "Edit", "End for good", "Rebuild gate"]) {
        expect(await viewer.page.getByRole("button", { name }).count()).toBe(0)
      }
      expect(await viewer.page.getByRole("link", { name: "API keys" }).count()).toBe(0)
      // What is not shown is refused all the same.
      const refused = await viewer.page.evaluate(async (id) => {
        const reply = await fetch("/coupon.v1.CouponService/PauseCampaign", {
          method: "POST",
          headers: { "content-type": "application/json", "x-coupon-console": "1" },
          body: JSON.stringify({ campaignId: id })
        })
        return reply.status
      }, campaignId)
      expect(refused).toBe(403)

      // A session ends under its page, and its key signs in again.
      await page.reload()
      const end = page.getByRole("button", { name: `End the session of ${isolated("watcher")}` })
      await end.waitFor()
      const size = page.viewportSize()!
      await page.setViewportSize({ width: 360, height: 740 })
      // Its tables scroll, and the page does not.
      expect(await overflowOf(page)).toBeLessThanOrEqual(0)
      await end.click()
      await dialog.waitFor()
      expect(await violationsOf(page)).toEqual([])
      await page.setViewportSize(size)
      await dialog.getByText("Its key stays valid").waitFor()
      await dialog.getByLabel("Reason (optional)").fill("left alone in the office")
      await dialog.getByRole("button", { name: "End session" }).click()
      await viewer.page.getByText("The session has ended. Sign in again.").waitFor()
      await signIn(viewer.page, secret)
      await viewer.page.getByRole("heading", { name: "Sale", level: 1 }).waitFor()
      await page.getByRole("link", { name: "Audit log" }).click()
      await page.getByRole("row").filter({ hasText: "session.end" }).getByText("left alone in the office").waitFor()
      await page.getByRole("link", { name: "API keys" }).click()

      // All of a key at once. Those that begin while the page is open are on it.
      const second = await openTab(browserOf(), `${instance.url}/console/`)
      await signIn(second.page, secret)
      await second.page.getByRole("heading", { name: "Campaigns", level: 1 }).waitFor()
      await page.getByRole("button", { name: `End all sessions of ${isolated("watcher")}` }).click()
      await dialog.getByText("out of all 2 browsers").waitFor()
      await dialog.getByRole("button", { name: "End all 2" }).click()
      for (const ended of [viewer.page, second.page]) {
        await ended.getByText("The session has ended. Sign in again.").waitFor()
      }
      await second.close()
      await signIn(viewer.page, secret)
      await viewer.page.getByRole("heading", { name: "Sale", level: 1 }).waitFor()
      await end.waitFor()

      // The session ends with its key, under the page.
      await page.getByRole("button", { name: `Revoke ${isolated("watcher")}` }).click()
      await dialog.getByLabel("Type watcher to confirm").fill("watcher")
      await dialog.getByRole("button", { name: "Revoke" }).click()
      await viewer.page.getByText("The session has ended. Sign in again.").waitFor()
      await end.waitFor({ state: "detached" })
      expect(viewer.flaws).toEqual([])
      await viewer.close()

      // A session that the service has not ended is not over.
      await page.route("**/console/session", (route) => route.fulfill({ status: 503, body: "" }))
      await page.getByRole("button", { name: "Sign out" }).click()
      await page.getByRole("alert").getByText("A store is down").waitFor()
      await page.unroute("**/console/session")
      await page.getByRole("button", { name: "Sign out" }).click()
      await page.getByLabel("API key").waitFor()
      await page.reload()
      await page.getByLabel("API key").waitFor()
      expect(tab.flaws).toEqual([])
      await tab.close()
    })

    it("at a till repeat an attempt whose answer was lost, and it redeems once", async () => {
      const { code } = await call(instance.url, "IssueCoupon", { campaignId, userId: "1" }, bearer)
      const tab = await openTab(browserOf(), `${instance.url}/console/keys`)
      await signIn(tab.page, ADMIN)
      await tab.page.getByRole("button", { name: "New API key" }).click()
      const dialog = tab.page.getByRole("dialog")
      await dialog.getByLabel("Name").fill("till 7")
      await dialog.getByLabel("Role").selectOption("REDEEMER")
      await dialog.getByRole("button", { name: "New API key" }).click()
      const secret = await dialog.locator("code").innerText()
      await tab.close()

      const till = await openTab(browserOf(), `${instance.url}/console/support`)
      const { page } = till
      await signIn(page, secret)
      await page.getByLabel("Campaign (number)").fill(String(campaignId))
      await page.getByLabel("Code").fill(String(code))
      let calls = 0
      await page.route("**/RedeemCoupon", async (route) => {
        const answer = await route.fetch()
        await (++calls === 1 ? route.abort() : route.fulfill({ response: answer }))
      })
      const redeem = page.getByRole("button", { name: "Redeem", exact: true })
      await redeem.click()
      await page.getByRole("alert").getByText("The service does not answer").waitFor()
      await redeem.click()
      await page.getByRole("status").getByText(String(code)).waitFor()
      expect(till.flaws).toEqual([])
      await till.close()
    })

    it("do not lock themselves out: the last ADMIN key stays", async () => {
      const open = await startInstance()
      try {
        const tab = await openTab(browserOf(), `${open.url}/console/keys`)
        const { page } = tab
        await page.getByRole("button", { name: "New API key" }).click()
        const dialog = page.getByRole("dialog")
        await dialog.getByLabel("Name").fill("only")
        await dialog.getByLabel("Role").selectOption("ADMIN")
        await dialog.getByRole("button", { name: "New API key" }).click()
        const secret = await dialog.locator("code").innerText()
        await page.reload()
        await signIn(page, secret)
        await page.getByRole("button", { name: `Revoke ${isolated("only")}` }).click()
        await dialog.getByLabel("Type only to confirm").fill("only")
        await dialog.getByRole("button", { name: "Revoke" }).click()
        await dialog.getByRole("alert").getByText("Make another ADMIN key first").waitFor()
        expect(tab.flaws).toEqual([])
        await tab.close()
      } finally {
        await open.kill()
      }
    })

    it("do not overwrite each other", async () => {
      const tab = await openTab(browserOf(), `${instance.url}/console/campaigns/${campaignId}`)
      const { page } = tab
      await signIn(page, ADMIN)
      await page.getByRole("button", { name: "Edit" }).click()
      const dialog = page.getByRole("dialog")
      await dialog.getByLabel("Name").fill("Summer sale")
      // Another operator is faster.
      await call(instance.url, "UpdateCampaign", { campaignId, couponLimit: "250" }, bearer)
      await dialog.getByRole("button", { name: "Save" }).click()
      await dialog.getByText("Someone else has changed it meanwhile").waitFor()
      await dialog.getByText("Limit (coupons): 100 → 250").waitFor()
      await dialog.getByRole("button", { name: "Go on from how it is now" }).click()
      // What the other one has set is taken over, and what was typed here stays.
      expect(await dialog.getByLabel("Limit (coupons)").inputValue()).toBe("250")
      expect(await dialog.getByLabel("Name").inputValue()).toBe("Summer sale")
      await dialog.getByLabel("some days after issue").check()
      await dialog.getByLabel("Days, to the end of the last one").fill("14")
      await dialog.getByText("Changed: Name, Coupons are valid.").waitFor()
      await dialog.getByLabel("Reason (optional)").fill("재고가 늘어 이름을 바꿈")
      await dialog.getByRole("button", { name: "Save" }).click()
      await page.getByRole("heading", { name: "Summer sale", level: 1 }).waitFor()
      const now = await call(instance.url, "GetCampaign", { campaignId }, bearer)
      expect([now["name"], now["couponLimit"]]).toEqual(["Summer sale", "250"])
      expect(now["couponValidity"]).toMatchObject({ after: "P14D", endOfDayZone: "Asia/Seoul" })
      await page.getByText("14 days from issue, to the end of the day in Asia/Seoul").first().waitFor()
      // The timeline says both in words.
      const timeline = page.getByRole("region", { name: "Timeline" })
      await timeline.getByText("Limit (coupons): 100 → 250", { exact: true }).waitFor()
      await timeline.getByText(/^Coupons are valid: without an end → 14 days from issue/).waitFor()
      // The reason is in the audit log.
      await page.getByRole("link", { name: "Audit log" }).click()
      await page.getByRole("row").filter({ hasText: "Summer sale" }).getByText("재고가 늘어 이름을 바꿈").waitFor()
      expect(tab.flaws).toEqual([])
      await tab.close()
    })
  })
}
