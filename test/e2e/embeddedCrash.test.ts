import { setTimeout as pause } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { checkInvariants } from "../invariants/invariants.ts"
import { openStores } from "../invariants/Snapshot.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import { newcomers } from "./load.ts"
import { clock, deferral, fillUp, loadFor, since, startFor } from "./scenario.ts"

describe("an embedded instance", () => {
  const defer = deferral()

  const directory = () => {
    const dataDir = temporaryDirectory("embedded")
    defer(() => removeDirectory(dataDir))
    return dataDir
  }

  it("that is killed under load, twice, has every coupon that was promised when it starts again", async () => {
    const dataDir = directory()
    const load = loadFor(defer)
    let instance: Instance = await startFor(defer, { DATA_DIR: dataDir })
    const urls = () => [instance.url]
    const campaignIds = [await load.openCampaign(instance.url, 1_500), await load.openCampaign(instance.url, 100)]
    const running = load.keepClaiming(urls, newcomers(campaignIds, 1), 20)
    defer(running.stop)
    const moreOk = (count: number) => {
      const from = clock()
      return expect.poll(() => since(load.history, from).filter(({ outcome }) => outcome === "OK").length)
        .toBeGreaterThanOrEqual(count)
    }
    for (let time = 0; time < 2; time++) {
      await moreOk(100)
      await instance.kill()
      await checkInvariants({ dataDir }, load.history, { atRest: false })
      instance = await startFor(defer, { DATA_DIR: dataDir })
    }
    await moreOk(100)
    await running.stop()
    await fillUp(load, urls, campaignIds)
    await checkInvariants({ dataDir }, load.history)
  })

  it("that has to stop under load answers what it admitted, forgets nothing and exits with 0 within 10 s", async () => {
    const dataDir = directory()
    const load = loadFor(defer)
    const instance = await startFor(defer, { DATA_DIR: dataDir })
    const campaignId = await load.openCampaign(instance.url, 100_000)
    const running = load.keepClaiming(() => [instance.url], newcomers([campaignId], 1), 50)
    defer(running.stop)
    await expect.poll(() => load.history.length).toBeGreaterThan(300)
    const bound = new AbortController()
    const code = await Promise.race([instance.stop(), pause(10_000, "still running", { signal: bound.signal })])
    bound.abort()
    await running.stop()
    expect(code).toBe(0)
    await checkInvariants({ dataDir }, load.history)

    // Each user asked once: a claim without an answer was never admitted, so it left no coupon.
    const reader = await openStores({ dataDir })
    const holders = new Set((await reader.ledger(campaignId)).coupons.map(({ userId }) => userId))
    await reader.close()
    expect(load.history.filter(({ outcome, userId }) => outcome !== "OK" && holders.has(userId))).toEqual([])
    expect(holders.size).toBe(load.history.filter(({ outcome }) => outcome === "OK").length)
  })

  it("owns its directory: a second instance fails to start until the first has ended", async () => {
    const dataDir = directory()
    const first = await startFor(defer, { DATA_DIR: dataDir })
    const load = loadFor(defer)
    const campaignId = await load.openCampaign(first.url, 10)
    expect(await load.claim(first.url, { campaignId, userId: 1 })).toMatchObject({ outcome: "OK" })
    await expect(startInstance({ DATA_DIR: dataDir })).rejects.toThrow(
      /exit code 1\b[^]*in use by another process[^]*DATA_DIR/
    )
    expect(await load.claim(first.url, { campaignId, userId: 2 })).toMatchObject({ outcome: "OK" })
    await first.kill()
    const second = await startFor(defer, { DATA_DIR: dataDir })
    expect(await load.claim(second.url, { campaignId, userId: 1 })).toMatchObject({ outcome: "COUPON_ALREADY_CLAIMED" })
    await checkInvariants({ dataDir }, load.history)
  })
})
