import type { Browser } from "playwright-core"
import { describe, expect, it } from "vitest"
import { temporaryDirectory } from "../../support/guardian.ts"
import { type Instance, startInstance } from "../../support/Instance.ts"
import { startProxy } from "../../support/FaultProxy.ts"
import { availableDatabases, databaseOn, startRedis } from "../../support/servers.ts"
import { claim, openCampaign, openTab } from "./Browser.ts"

/** What the page says when an instance or a store is gone. */
export const outage = (browserOf: () => Browser): void => {
  describe("what fails under the page", () => {
    it("an instance that is killed: the page says since when, and goes on where it was", async () => {
      const DATA_DIR = temporaryDirectory("console-outage")
      let instance: Instance = await startInstance({ DATA_DIR })
      const { port, url } = instance
      const campaignId = await openCampaign(url)
      const tab = await openTab(browserOf(), `${url}/console/campaigns/${campaignId}`)
      const { page } = tab
      const issued = page.getByTestId("issued")
      await claim(url, campaignId, 1)
      await issued.getByText("1", { exact: true }).waitFor()
      await page.getByText("Live", { exact: true }).waitFor()

      await instance.kill()
      await page.getByText("Disconnected").waitFor()
      await page.getByText(/^No data since \d\d:\d\d:\d\d/).first().waitFor()
      // What was known stays on the page.
      expect(await issued.innerText()).toBe("1")

      instance = await startInstance({ DATA_DIR, PORT: String(port) })
      await claim(url, campaignId, 2)
      await issued.getByText("2", { exact: true }).waitFor()
      await page.getByText("Live", { exact: true }).waitFor()
      await page.getByText(/^No data since/).first().waitFor({ state: "detached" })
      expect(tab.flaws).toEqual([])
      await tab.close()
      await instance.kill()
    })

    it("a ledger that is away and back", async () => {
      const database = await databaseOn(availableDatabases()[0]!)
      const [proxy, redis] = await Promise.all([startProxy(Number(new URL(database.url).port)), startRedis()])
      const instance = await startInstance({ MYSQL_URL: proxy.url(database.url), REDIS_URL: redis.url })
      const campaignId = await openCampaign(instance.url)
      const tab = await openTab(browserOf(), `${instance.url}/console/`)
      const { page } = tab
      await page.getByText("Nothing needs attention.").waitFor()

      proxy.refuse()
      proxy.reset()
      await page.getByText("The ledger (MySQL) does not answer").waitFor()
      proxy.accept()
      await page.getByText("The ledger (MySQL) does not answer").waitFor({ state: "detached" })
      await page.goto(`${instance.url}/console/campaigns/${campaignId}`)
      await claim(instance.url, campaignId, 7)
      await page.getByTestId("issued").getByText("1", { exact: true }).waitFor()
      expect(tab.flaws).toEqual([])
      await tab.close()
      await instance.kill()
      await Promise.all([proxy.stop(), redis.stop()])
      await database.drop()
    })
  })
}
