import { spawnSync } from "node:child_process"
import { describe, expect, it } from "vitest"
import { endCampaign, flawsOf, isPlainlyTest, readBooks } from "../../scripts/LoadBooks.ts"
import { deferral, loadFor, startFor } from "../e2e/scenario.ts"
import { nodeProgram } from "../support/Instance.ts"
import { root } from "../readme/blocks.ts"

describe("the target of a load test", () => {
  const tests = ["127.0.0.1", "localhost", "[::1]", "10.0.3.4", "172.20.0.5", "staging.shop.example", "a.test"]
  it.each(tests)("may be %s", (hostname) => expect(isPlainlyTest(hostname)).toBe(true))
  it.each(["shop.example", "172.32.0.1", "8.8.8.8", "prod.internal", "www.test.example", "contest.example"])(
    "needs --yes if it is %s",
    (hostname) => {
      expect(isPlainlyTest(hostname)).toBe(false)
      const env = { PATH: process.env["PATH"] }
      const args = ["scripts/k6.mjs", "stress", "--url", `https://${hostname}`]
      const { status, stderr } = spawnSync(nodeProgram, args, { cwd: root, env, encoding: "utf8" })
      expect({ status, stderr }).toMatchObject({ status: 1, stderr: expect.stringContaining("say --yes") as string })
    }
  )
})

describe("the books of a load test", () => {
  const defer = deferral()

  it("are the coupons that the campaign lists, over several pages", async () => {
    const instance = await startFor(defer, {})
    const load = loadFor(defer)
    const campaignId = await load.openCampaign(instance.url, 1_200)
    await load.claimAll([instance.url], Array.from({ length: 1_300 }, (_, k) => ({ campaignId, userId: k + 1 })), 100)
    const books = await readBooks(instance.url, undefined, campaignId)
    expect(books).toEqual({ issued: 1_200, limit: 1_200, listed: 1_200, inOrder: true, users: 1_200, codes: 1_200 })
    expect(flawsOf(books, { answered: 1_200, inDoubt: 0 })).toEqual([])
    await endCampaign(instance.url, undefined, campaignId)
    expect(await load.claim(instance.url, { campaignId, userId: 5_000 })).toMatchObject({ outcome: "CAMPAIGN_ENDED" })
  })

  it("have each flaw named", () => {
    const books = { issued: 10, limit: 10, listed: 10, inOrder: true, users: 10, codes: 10 }
    expect(flawsOf(books, { answered: 8, inDoubt: 2 })).toEqual([])
    expect(flawsOf(books, { answered: 8, inDoubt: 1 })).toHaveLength(1)
    expect(flawsOf(books, { answered: 11, inDoubt: 5 })).toHaveLength(1)
    const flaws = [{ limit: 9 }, { listed: 9, users: 9, codes: 9 }, { inOrder: false }, { users: 9 }, { codes: 9 }]
    for (const flaw of flaws) {
      expect(flawsOf({ ...books, ...flaw }, { answered: 10, inDoubt: 0 })).toHaveLength(1)
    }
  })
})
