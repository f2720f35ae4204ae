import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import { createRequire } from "node:module"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"
import { install, installable } from "../../support/install.ts"
import { nodeProgram } from "../../support/Instance.ts"

const root = Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../../..")
const PROGRAM = "/usr/bin/chromium"

/** Starts Debian's chromium, which is installed first if it is missing and that may be done. */
export const startBrowser = async (): Promise<Browser> => {
  if (!Fs.existsSync(PROGRAM)) {
    if (!installable()) throw new Error(`the console's tests need ${PROGRAM}: apt-get install chromium`)
    install(["chromium"])
  }
  return chromium.launch({ executablePath: PROGRAM, args: ["--no-sandbox", "--disable-gpu"] })
}

/** Builds the pages that instances serve, if they are older than their sources. */
export const buildConsole = (): void => {
  execFileSync(nodeProgram, ["scripts/console.mjs"], { cwd: root, stdio: ["ignore", "ignore", "inherit"] })
}

/** A page, and what went wrong on it. */
export interface Tab {
  readonly page: Page
  /** Errors of scripts, and what the page's policy has stopped. */
  readonly flaws: ReadonlyArray<string>
  /** Paths that the page has asked for, in order. */
  readonly requests: Array<string>
  readonly close: () => Promise<void>
}

/** A name as it stands in sentences: its marks of direction turn nothing around it. */
export const isolated = (name: string): string => `\u2068${name}\u2069`

/** A tab of its own browser profile. The console is in English unless `options` say otherwise. */
export const openTab = async (browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Tab> => {
  const context = await browser.newContext({
    locale: "en-US",
    timezoneId: "Asia/Seoul",
    // Without a graphics processor, each frame of a transition takes a core's time.
    reducedMotion: "reduce",
    ...options
  })
  context.setDefaultTimeout(30_000)
  const page = await context.newPage()
  const flaws: Array<string> = []
  const requests: Array<string> = []
  page.on("pageerror", (error) => flaws.push(error.message))
  page.on("console", (message) => {
    // A call that fails is logged as an error by the browser itself.
    if (message.type() === "error" && !message.text().includes("Failed to load resource")) flaws.push(message.text())
  })
  page.on("request", (request) => {
    const path = new URL(request.url()).pathname
    requests.push(path)
    if (path === "/console/csp") flaws.push(`policy: ${request.postData() ?? ""}`)
  })
  await page.goto(url)
  return { page, flaws, requests, close: () => context.close() }
}

const axe = Fs.readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8")

/** Rules of accessibility that the page breaks, with where. The check runs beside the page's own scripts. */
export const violationsOf = async (page: Page): Promise<ReadonlyArray<string>> => {
  // A world of its own: the policy of the page takes no scripts but its own.
  const session = await page.context().newCDPSession(page)
  try {
    const { frameTree } = await session.send("Page.getFrameTree")
    const { executionContextId } = await session.send("Page.createIsolatedWorld", {
      frameId: frameTree.frame.id,
      worldName: "axe"
    })
    const evaluate = (expression: string) =>
      session.send("Runtime.evaluate", {
        expression,
        contextId: executionContextId,
        awaitPromise: true,
        returnByValue: true
      })
    await evaluate(axe)
    const { exceptionDetails, result } = await evaluate(
      "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations.flatMap(({ id, nodes }) => " +
        "nodes.map(({ failureSummary, target }) => `${id}: ${target} ${failureSummary}`)))"
    )
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description)
    return result.value as ReadonlyArray<string>
  } finally {
    await session.detach()
  }
}

/** By how many pixels the page is wider than its window. */
export const overflowOf = (page: Page): Promise<number> =>
  page.evaluate("document.documentElement.scrollWidth - innerWidth")

/** A call of the API as a user's application makes it. */
export const call = async (
  url: string,
  method: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {}
): Promise<Record<string, unknown>> => {
  const service = /Webhook|Parked/.test(method) ? "WebhookService" : "CouponService"
  const reply = await fetch(`${url}/coupon.v1.${service}/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body)
  })
  return await reply.json() as Record<string, unknown>
}

/** A campaign that is open; its id. */
export const openCampaign = async (
  url: string,
  fields: Readonly<Record<string, unknown>> = {},
  headers: Readonly<Record<string, string>> = {}
): Promise<number> => {
  const { campaignId } = await call(url, "CreateCampaign", {
    name: "Sale",
    couponLimit: "100",
    startTime: "2025-06-25T00:00:00Z",
    ...fields
  }, headers)
  return campaignId as number
}

export const claim = (url: string, campaignId: number, userId: number): Promise<Record<string, unknown>> =>
  call(url, "IssueCoupon", { campaignId, userId: String(userId) })
