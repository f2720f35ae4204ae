import type { Browser } from "playwright-core"
import { afterAll, beforeAll } from "vitest"
import { buildConsole, startBrowser } from "./Browser.ts"
import { duty } from "./duty.ts"
import { operators } from "./operators.ts"
import { outage } from "./outage.ts"
import { sale } from "./sale.ts"

// Of one browser: to start one takes as long as some of these.
let browser: Browser
beforeAll(async () => {
  buildConsole()
  browser = await startBrowser()
})
afterAll(() => (browser as Browser | undefined)?.close())

sale(() => browser)
operators(() => browser)
duty(() => browser)
outage(() => browser)
