// Takes the screenshots of docs/guides/console.md: npm run console:screenshots
import * as Fs from "node:fs"
import * as Path from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import type { Browser, Page } from "playwright-core"
import { temporaryDirectory } from "../../support/guardian.ts"
import { type Instance, startInstance } from "../../support/Instance.ts"
import { buildConsole, call, claim, openCampaign, openTab, startBrowser } from "./Browser.ts"

const folder = Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../../../docs/guides/console")

const desktop = { viewport: { width: 1280, height: 860 }, deviceScaleFactor: 1 }
const phone = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 1, hasTouch: true, isMobile: true }
const english = { locale: "en-US", timezoneId: "Asia/Seoul" }
const korean = { locale: "ko-KR", timezoneId: "Asia/Seoul" }
const light = { colorScheme: "light" as const }
const dark = { colorScheme: "dark" as const }

/** WebP is a third of PNG, and the text stays sharp. */
const QUALITY = 88

const shoot = async (page: Page, name: string): Promise<void> => {
  const session = await page.context().newCDPSession(page)
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: QUALITY })
  Fs.writeFileSync(Path.join(folder, `${name}.webp`), Buffer.from(data, "base64"))
  // For a look at what was taken, where no viewer knows WebP.
  const copies = process.env["PNG_COPIES"]
  if (copies !== undefined) await page.screenshot({ path: Path.join(copies, `${name}.png`) })
  await session.detach()
}

/** Opens a page, waits until `ready`, lets some seconds of samples come, and takes it. */
const take = async (
  browser: Browser,
  url: string,
  name: string,
  options: Parameters<typeof openTab>[2],
  { act, seconds = 1 }: { readonly act?: (page: Page) => Promise<void>; readonly seconds?: number } = {}
): Promise<void> => {
  const tab = await openTab(browser, url, options)
  await tab.page.getByRole("heading", { level: 1 }).waitFor()
  await pause(seconds * 1_000)
  await act?.(tab.page)
  await shoot(tab.page, name)
  if (tab.flaws.length > 0) throw new Error(`${name}: ${tab.flaws.join(", ")}`)
  await tab.close()
}

/** Claims of random users, so many a second until the result is called: some come twice. */
const rush = (url: string, campaignId: number, perSecond: number): () => void => {
  const timer = setInterval(() => {
    for (let turn = 0; turn < perSecond / 10; turn++) {
      claim(url, campaignId, 10_000_000 + Math.floor(Math.random() * 40_000)).catch(() => {})
    }
  }, 100)
  return () => clearInterval(timer)
}

const at = (millis: number): string => new Date(Date.now() + millis).toISOString()

Fs.mkdirSync(folder, { recursive: true })
buildConsole()
const browser = await startBrowser()
const DATA_DIR = temporaryDirectory("console-screenshots")
const env = { DATA_DIR, SECRETS_KEY: `k1:${Buffer.alloc(32, 7).toString("base64")}` }
let instance: Instance = await startInstance(env)
const { port, url } = instance

await take(browser, `${url}/console/`, "empty", { ...desktop, ...english, ...light })

const noon = await openCampaign(url, { name: "정오 선착순 쿠폰", couponLimit: "20000" })
await openCampaign(url, { name: "Weekend coupons", couponLimit: "50000", startTime: at(83_000_000) })
await openCampaign(url, {
  name: "파트너 코드",
  couponLimit: "2000",
  startTime: at(9_000_000),
  endTime: at(900_000_000),
  codeSource: "CODE_SOURCE_POOL"
})
const small = await openCampaign(url, { name: "Early birds", couponLimit: "600", couponValidity: { after: "P30D" } })
const soon = await openCampaign(url, { name: "Autumn sale", couponLimit: "3000", startTime: at(754_000) })

await take(browser, `${url}/console/campaigns/${soon}`, "scheduled", { ...phone, ...english, ...light })
await take(browser, `${url}/console/`, "create", { ...desktop, ...english, ...light }, {
  act: async (page) => {
    await page.getByRole("button", { name: "New campaign" }).click()
    const dialog = page.getByRole("dialog")
    await dialog.getByLabel("Name").fill("Summer sale")
    await dialog.getByLabel("Limit (coupons)").fill("20000")
    await dialog.getByLabel("Alphabet").selectOption({ label: "Crockford Base 32" })
    await dialog.getByLabel("Pattern").fill("SUMMER-####-####-C")
    await dialog.getByText(/^SUMMER-/).first().waitFor()
    await dialog.locator("fieldset").last().scrollIntoViewIfNeeded()
  }
})

const stopSmall = rush(url, small, 60)
const stopNoon = rush(url, noon, 240)
const busyTab = openTab(browser, `${url}/console/campaigns/${noon}`, { ...desktop, ...english, ...light })
await pause(25_000)
// On a slow machine it takes longer.
while ((await call(url, "GetCampaign", { campaignId: small }))["phase"] !== "CAMPAIGN_PHASE_SOLD_OUT") await pause(500)
stopSmall()
const busy = await busyTab
await shoot(busy.page, "busy")
await take(browser, `${url}/console/`, "overview", { ...desktop, ...korean, ...dark }, { seconds: 6 })
await take(browser, `${url}/console/campaigns/${noon}`, "busy-phone", { ...phone, ...korean, ...dark }, { seconds: 6 })
await take(browser, `${url}/console/campaigns/${noon}`, "pause", { ...phone, ...korean, ...light }, {
  act: async (page) => {
    await page.getByRole("button", { name: "일시중지" }).click()
    await page.getByRole("dialog").waitFor()
  }
})
await take(browser, `${url}/console/campaigns/${small}`, "sold-out", { ...desktop, ...korean, ...light }, {
  seconds: 3
})

// The instance is killed under the page.
await pause(1_000)
await instance.kill()
await pause(9_000)
await shoot(busy.page, "outage")
await busy.close()
stopNoon()
instance = await startInstance({ ...env, PORT: String(port) })

const { coupons } = await call(url, "ListCoupons", { campaignId: small, pageSize: 1 }) as {
  readonly coupons: ReadonlyArray<{ readonly code: string; readonly userId: string }>
}
const [{ code, userId } = { code: "", userId: "" }] = coupons
await call(url, "RedeemCoupon", {
  campaignId: small,
  code,
  requestId: "till-7-0042",
  terminalId: "till-7",
  orderRef: "A-1042"
})
await take(browser, `${url}/console/support?by=user&q=${userId}`, "support", { ...desktop, ...english, ...dark }, {
  seconds: 2
})
await take(browser, `${url}/console/codes`, "codes", { ...phone, ...korean, ...light }, {
  act: async (page) => {
    const codes = Array.from({ length: 900 }, (_, index) => `PARTNER-${String(index % 880).padStart(4, "0")}`)
    const buffer = Buffer.from(`${codes.join("\n")}\nnot a code\n`)
    await page.locator("input[type=file]").setInputFiles({ name: "codes.txt", mimeType: "text/plain", buffer })
    await page.getByRole("button", { name: /풀에 추가/ }).waitFor()
  }
})
const reason = encodeURIComponent("협력사 물량이 늘어 한도를 올림")
await call(url, "UpdateCampaign", { campaignId: soon, couponLimit: "4000" }, { "x-coupon-reason": reason })
await take(browser, `${url}/console/audit`, "audit", { ...desktop, ...korean, ...light }, { seconds: 2 })
await take(browser, `${url}/console/system`, "system", { ...desktop, ...english, ...dark }, { seconds: 3 })

await browser.close()
await instance.stop()
for (const name of Fs.readdirSync(folder)) {
  process.stdout.write(`${name} ${Math.round(Fs.statSync(Path.join(folder, name)).size / 1_000)} kB\n`)
}
