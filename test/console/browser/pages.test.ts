import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Instance, startInstance } from "../../support/Instance.ts"
import {
  buildConsole, call, claim, openCampaign, openTab, overflowOf, startBrowser, type Tab, violationsOf
} from "./Browser.ts"

const PHONE = { width: 360, height: 740 }

/** Markup, scripts of both directions without the characters that the API rejects, and as many emoji as fit. */
const HOSTILE = "<img src=x onerror=alert(1)>{{7*7}}${1} שלום مرحبا \"'`"
const EMOJI = "🎟️".repeat(50)

const paths = ["", "campaigns/1", "campaigns/2", "support?by=user&q=11", "codes", "webhooks", "keys", "audit", "system"]

/** How each page is looked at. */
const looks = [
  { language: "한국어", live: "실시간", colorScheme: "dark", viewport: PHONE },
  { language: "English", live: "Live", colorScheme: "light", viewport: { width: 1280, height: 800 } }
] as const

/** The page of the webhook that the tests make. */
const ONE_WEBHOOK = "webhooks/{id}"

describe("every page", () => {
  let browser: Browser
  let instance: Instance
  let webhookId = ""
  /** In English, and wide. */
  let tab: Tab

  beforeAll(async () => {
    buildConsole()
    ;[browser, instance] = await Promise.all([
      startBrowser(),
      startInstance({
        SECRETS_KEY: `k1:${Buffer.alloc(32, 1).toString("base64")}`,
        ISSUE_BATCH_SIZE: "32",
        WEBHOOK_ALLOW_HTTP: "on",
        WEBHOOK_ALLOWED_NETWORKS: "127.0.0.0/8"
      })
    ])
    const { url } = instance
    // Nothing listens there: its deliveries fail, and are set aside.
    const hook = {
      url: "http://127.0.0.1:9/hook",
      description: HOSTILE,
      onFailure: "WEBHOOK_ON_FAILURE_PARK",
      maxAttempts: 1
    }
    const { webhook } = await call(url, "CreateWebhook", hook) as { readonly webhook: { readonly id: string } }
    webhookId = webhook.id
    await openCampaign(url, { name: HOSTILE })
    await openCampaign(url, { name: EMOJI, couponLimit: "2" })
    await openCampaign(url, { name: "여름 쿠폰", codeSource: "CODE_SOURCE_POOL" })
    for (const user of [11, 12]) for (const id of [1, 2]) await claim(url, id, user)
    tab = await openTab(browser, `${instance.url}/console/`)
  })
  afterAll(async () => {
    await browser?.close()
    await instance?.stop()
  })

  /** The reason that the audit log keeps of the latest act of a kind, as its page shows it. */
  const reasonIs = async (page: Page, action: string, reason: string): Promise<void> => {
    await page.goto(`${instance.url}/console/audit?action=${action}`)
    await page.locator("tbody tr").first().getByText(`Reason: ${reason}`).waitFor()
  }

  describe("is accessible and fits", () => {
    let tab: Tab
    beforeAll(async () => {
      tab = await openTab(browser, `${instance.url}/console/`, { locale: "ko-KR" })
    })
    afterAll(() => (tab as Tab | undefined)?.close())

    it.each([...paths, ONE_WEBHOOK])("/%s, in both languages, themes and widths", async (path) => {
      const { page } = tab
      await page.goto(`${instance.url}/console/${path === ONE_WEBHOOK ? `webhooks/${webhookId}` : path}`)
      await page.getByRole("heading", { level: 1 }).waitFor()
      // In the language that the page before was left in.
      const isKorean = await page.evaluate("document.documentElement.lang") === "ko"
      for (const { colorScheme, language, live, viewport } of isKorean ? looks : looks.toReversed()) {
        await page.setViewportSize(viewport)
        await page.emulateMedia({ colorScheme })
        const other = page.getByRole("button", { name: language, exact: true })
        if (await other.count() > 0) await other.click()
        await page.getByText(live, { exact: true }).waitFor()
        await page.getByRole("heading", { level: 1 }).waitFor()
        expect(await violationsOf(page), language).toEqual([])
        expect(await overflowOf(page), language).toBeLessThanOrEqual(0)
        expect(tab.flaws, language).toEqual([])
      }
    })

    it.each(["New campaign", "Edit", "End for good", "Verify"])("the dialog of %s", async (name) => {
      const { page } = tab
      await page.setViewportSize(PHONE)
      await page.goto(`${instance.url}/console/${name === "New campaign" ? "" : "campaigns/1"}`)
      await page.getByRole("heading", { level: 1 }).waitFor()
      const english = page.getByRole("button", { name: "English", exact: true })
      if (await english.count() > 0) await english.click()
      await page.getByRole("button", { name }).click()
      await page.getByRole("dialog").waitFor()
      expect(await violationsOf(page)).toEqual([])
      expect(await overflowOf(page)).toBeLessThanOrEqual(0)
      expect(tab.flaws).toEqual([])
    })
  })

  it("shows what the doctor advises, on the system's page and first of all", async () => {
    const texts = {
      한국어: ["누구나 관리할 수 있는 상태입니다.", "ISSUE_BATCH_SIZE=32이면", "512로 두세요.", "실시간"],
      English: ["Administration is open to every client.", "ISSUE_BATCH_SIZE=32 makes", "Leave it at 512.", "Live"]
    } as const
    const { page } = tab
    for (const [language, [open, advised, hint, live]] of Object.entries(texts)) {
      await page.goto(`${instance.url}/console/`)
      await page.getByRole("button", { name: language, exact: true }).click()
      // The list is whole once the campaigns and a sample have come; until then its items move.
      await page.getByRole("link", { name: "여름 쿠폰", exact: true }).waitFor()
      await page.getByText(live, { exact: true }).waitFor()
      // A banner says that administration is open, and no item repeats it.
      await page.getByRole("link", { name: advised }).waitFor()
      expect(await page.getByRole("link", { name: open }).count()).toBe(0)
      await page.getByRole("link", { name: advised }).click()
      for (const text of [open, advised, hint]) await page.getByText(text).waitFor()
      expect(tab.flaws).toEqual([])
    }
  })

  it("shows what users have typed as text", async () => {
    const { page } = tab
    await page.goto(`${instance.url}/console/`)
    await page.getByText(HOSTILE).waitFor()
    await page.getByText(EMOJI).waitFor()
    await page.getByText(HOSTILE).click()
    await page.getByRole("heading", { name: HOSTILE }).waitFor()
    expect(await page.locator("img").count()).toBe(0)
    expect(tab.flaws).toEqual([])
  })

  it("is in Korean for a Korean browser, and changes by its switch", async () => {
    const tab = await openTab(browser, `${instance.url}/console/`, { locale: "ko-KR" })
    const { page } = tab
    await page.getByRole("heading", { name: "캠페인", level: 1 }).waitFor()
    expect(await page.evaluate("document.documentElement.lang")).toBe("ko")
    await page.getByRole("button", { name: "English" }).click()
    await page.getByRole("heading", { name: "Campaigns", level: 1 }).waitFor()
    await page.reload()
    await page.getByRole("heading", { name: "Campaigns", level: 1 }).waitFor()
    await tab.close()
  })

  it("can be used by the keyboard alone", async () => {
    const { page } = tab
    await page.goto(`${instance.url}/console/campaigns/1`)
    await page.getByRole("heading", { level: 1 }).waitFor()
    await page.keyboard.press("Tab")
    expect(await page.evaluate("document.activeElement.textContent")).toBe("Skip to the content")
    const isOn = async (name: string) =>
      await page.evaluate("document.activeElement.textContent.trim()") === name
    for (let presses = 0; presses < 40 && !await isOn("Pause"); presses++) await page.keyboard.press("Tab")
    expect(await isOn("Pause")).toBe(true)
    await page.keyboard.press("Enter")
    const dialog = page.getByRole("dialog")
    await dialog.waitFor()
    // The focus is inside, stays there, and comes back when the dialog is left.
    expect(await page.evaluate("document.querySelector('[role=dialog]').contains(document.activeElement)")).toBe(true)
    for (let presses = 0; presses < 8; presses++) await page.keyboard.press("Tab")
    expect(await page.evaluate("document.querySelector('[role=dialog]').contains(document.activeElement)")).toBe(true)
    await page.keyboard.press("Escape")
    await dialog.waitFor({ state: "detached" })
    expect(await isOn("Pause")).toBe(true)

    await page.keyboard.press("Enter")
    await dialog.getByLabel("Type 1 to confirm").focus()
    await page.keyboard.type("1")
    await page.keyboard.press("Enter")
    await page.getByText("Claims are refused").waitFor()
    expect((await claim(instance.url, 1, 99))["message"]).toBe("CAMPAIGN_PAUSED")
    expect(tab.flaws).toEqual([])
  })

  it("finds a coupon, redeems it, undoes that and revokes it", async () => {
    const { page } = tab
    await page.goto(`${instance.url}/console/support`)
    const { coupon } = await call(instance.url, "GetCoupon", { campaignId: 1, userId: "12" })
    const { code } = coupon as { readonly code: string }
    await page.getByLabel("Find by").selectOption("code")
    await page.getByLabel("Code", { exact: true }).fill(code)
    await page.getByLabel("Campaign (number)").fill("1")
    await page.getByRole("button", { name: "Find" }).click()
    const card = page.getByRole("region", { name: "Coupon 2 of campaign 1" })
    await card.getByRole("button", { name: "Redeem" }).click()
    const dialog = page.getByRole("dialog")
    await dialog.getByLabel("Order (optional)").fill("A-1")
    await dialog.getByRole("button", { name: "Redeem" }).click()
    await card.getByText("Order: A-1").waitFor()
    await card.getByRole("button", { name: "Undo redemption" }).click()
    await dialog.getByLabel("Reason (optional)").fill("wrong customer")
    await dialog.getByRole("button", { name: "Undo redemption" }).click()
    await card.getByText("Reason: wrong customer").waitFor()
    await card.getByRole("button", { name: "Revoke" }).click()
    await dialog.getByLabel("Reason (optional)").fill("fraud")
    await dialog.getByLabel("Type 2 to confirm").fill("2")
    await dialog.getByRole("button", { name: "Revoke" }).click()
    await card.getByText("Revoked", { exact: true }).waitFor()
    await card.getByText("Reason: fraud").waitFor()

    await page.getByLabel("Find by").selectOption("number")
    await page.getByLabel("Number", { exact: true }).fill("1")
    await page.getByRole("button", { name: "Find" }).click()
    await page.getByRole("region", { name: "Coupon 1 of campaign 1" }).waitFor()

    const download = page.waitForEvent("download")
    await page.getByRole("button", { name: "Export CSV" }).click()
    const text = await (await download).createReadStream()
    let csv = ""
    for await (const chunk of text) csv += String(chunk)
    expect(csv.split("\r\n").filter((line) => line !== "")).toHaveLength(3)
    expect(csv).toContain(code)
    expect(tab.flaws).toEqual([])
  })

  it("imports codes from a file, with a report", async () => {
    const { page } = tab
    await page.goto(`${instance.url}/console/codes?campaign=3`)
    const buffer = Buffer.from("CODE-1\nCODE-2\r\n\nCODE-1\nno code\n")
    await page.getByLabel("Drop a file here").setInputFiles({ name: "codes.txt", mimeType: "text/plain", buffer })
    await page.getByRole("button", { name: "Add 2 codes to the pool" }).waitFor()
    await page.getByText("Rejected codes (2)").click()
    await page.getByRole("cell", { name: "no code", exact: true }).waitFor()
    await page.getByRole("button", { name: "Add 2 codes to the pool" }).click()
    const dialog = page.getByRole("dialog")
    await dialog.getByText("2 codes of the file were rejected").waitFor()
    expect(await violationsOf(page)).toEqual([])
    const add = dialog.getByRole("button", { name: /^Add \d codes? to the pool$/ })
    expect(await add.isDisabled()).toBe(true)
    await dialog.getByLabel("Type 3 to confirm").fill("3")
    await add.click()
    await page.getByText("2 codes are in the pool.").waitFor()
    await page.getByText("0 of 2 codes issued").waitFor()

    // The files that `coupon codes import` reads.
    const more = [
      ["more.csv", "id,code\n1,\"CSV-1\"\n", "1 codes are in the pool."],
      ["more.ndjson", "{\"code\":\"JSON-1\"}\n\"JSON-2\"\n", "2 codes are in the pool."]
    ] as const
    for (const [name, text, done] of more) {
      await page.getByLabel("Drop a file here").setInputFiles({ name, mimeType: "", buffer: Buffer.from(text) })
      await page.getByRole("button", { name: /^Add \d codes to the pool$/ }).click()
      await dialog.getByLabel("Type 3 to confirm").fill("3")
      await dialog.getByLabel("Reason (optional)").fill(`${name} of a partner`)
      await add.click()
      await page.getByText(done).waitFor()
    }
    await page.getByText("0 of 5 codes issued").waitFor()
    const broken = Buffer.from("\"JSON-3\"\nno JSON\n")
    await page.getByLabel("Drop a file here").setInputFiles({ name: "broken.jsonl", mimeType: "", buffer: broken })
    await page.getByText("Line 2 of the file is no JSON").waitFor()
    await page.getByText("The import was given up; the pool is as it was.").waitFor()
    await page.getByText("0 of 5 codes issued").waitFor()
    await reasonIs(page, "codes.import.finish", "more.ndjson of a partner")
    expect(tab.flaws).toEqual([])
  })

  it("gives an import up, from the file's report and from the list, once that is confirmed", async () => {
    const { page } = tab
    const dialog = page.getByRole("dialog")
    const { codeImports } = await call(instance.url, "ListImports", { campaignId: 3 }) as {
      readonly codeImports?: ReadonlyArray<unknown>
    }
    let latest = codeImports?.length ?? 0
    for (const where of ["report", "list"] as const) {
      await page.goto(`${instance.url}/console/codes?campaign=3`)
      const buffer = Buffer.from("WRONG-1\nWRONG-2\n")
      await page.getByLabel("Drop a file here").setInputFiles({ name: "codes.txt", mimeType: "text/plain", buffer })
      await page.getByRole("button", { name: "Add 2 codes to the pool" }).waitFor()
      latest++
      // The list has what an earlier visit has left open.
      if (where === "list") await page.reload()
      const name = where === "list" ? `Give up import ${latest}` : "Give up"
      await page.getByRole("button", { name, exact: true }).click()
      await dialog.getByText(`Import ${latest} is given up and its 2 codes are removed`).waitFor()
      const giveUp = dialog.getByRole("button", { name: "Give up" })
      expect(await giveUp.isDisabled()).toBe(true)
      await dialog.getByLabel("Reason (optional)").fill(`wrong file, by the ${where}`)
      expect(await violationsOf(page)).toEqual([])
      await dialog.getByLabel(`Type ${latest} to confirm`).fill(String(latest))
      await giveUp.click()
      await dialog.waitFor({ state: "detached" })
      await page.getByRole("row").filter({ hasText: "given up" }).first().getByRole("cell", {
        name: String(latest),
        exact: true
      }).first().waitFor()
      await reasonIs(page, "codes.import.abort", `wrong file, by the ${where}`)
    }
    expect(tab.flaws).toEqual([])
  })

  it("sends a webhook an example, and again what was set aside, each for a reason", async () => {
    const { page } = tab
    const dialog = page.getByRole("dialog")
    const parked = async () => (await call(instance.url, "ListParkedDeliveries", { id: webhookId }))["deliveries"]
    // Each look is a call; the test's own time bounds them.
    for (let found = await parked(); found === undefined;) found = await parked()
    await page.goto(`${instance.url}/console/webhooks/${webhookId}`)
    const acts = [
      ["Send", "with an example of coupon.issued", "webhook.test", "is it up?"],
      ["Send again", "may receive it twice", "webhook.retry_parked", "one to begin with"],
      ["Send all again", "may receive them twice", "webhook.retry_parked", "the receiver is back"]
    ] as const
    for (const [name, what, action, reason] of acts) {
      await page.goto(`${instance.url}/console/webhooks/${webhookId}`)
      await page.getByRole("button", { name, exact: true }).first().click()
      await dialog.getByText(what).waitFor()
      expect(await violationsOf(page)).toEqual([])
      await dialog.getByLabel("Reason (optional)").fill(reason)
      await dialog.getByRole("button", { name, exact: true }).click()
      await dialog.waitFor({ state: "detached" })
      const answer = action === "webhook.test" ? "failed" : "are sent again"
      await page.getByRole("status").filter({ hasText: answer }).waitFor()
      await reasonIs(page, action, reason)
    }
    expect(tab.flaws).toEqual([])
  })

  it("says in words what the audit log holds, and keeps what is recorded at hand", async () => {
    const { page } = tab
    await page.goto(`${instance.url}/console/audit`)
    const created = page.locator("tbody tr").filter({ hasText: HOSTILE }).filter({ hasText: "created the campaign" })
    await created.getByText("Limit (coupons):").waitFor()
    await created.getByText("06/25/2025 09:00:00 GMT+9").waitFor()
    const lines = await page.locator("tbody ul li").allInnerTexts()
    expect(lines.length).toBeGreaterThan(10)
    // Each begins with a name in words; that of a field would begin small.
    expect(lines.filter((line) => !/^[A-Z]/.test(line) || /\d{4}-\d\d-\d\dT/.test(line))).toEqual([])
    await created.getByText("As it is recorded").click()
    await created.getByText("\"couponLimit\": 100").waitFor()
    expect(await violationsOf(page)).toEqual([])
    expect(tab.flaws).toEqual([])
  })

  it("disables a webhook and deletes it, which leads back to the list", async () => {
    const tab = await openTab(browser, `${instance.url}/console/webhooks/${webhookId}`)
    const { page } = tab
    const dialog = page.getByRole("dialog")
    await page.getByRole("button", { name: "Disable" }).click()
    await dialog.getByLabel("Reason (optional)").fill("moves to another host")
    await dialog.getByRole("button", { name: "Disable" }).click()
    await page.getByRole("button", { name: "Enable" }).waitFor()
    await page.getByRole("button", { name: "Delete" }).click()
    await dialog.getByLabel("Type 127.0.0.1:9 to confirm").fill("127.0.0.1:9")
    await dialog.getByRole("button", { name: "Delete" }).click()
    await page.getByRole("heading", { name: "Webhooks", level: 1 }).waitFor()
    await dialog.waitFor({ state: "detached" })
    expect(tab.flaws).toEqual([])
    await tab.close()
  })
})
