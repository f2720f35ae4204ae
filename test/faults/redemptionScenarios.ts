import { setTimeout as pause } from "node:timers/promises"
import { query } from "../support/privateServers.ts"
import { foreignSession } from "../support/foreignSession.ts"
import { until, type Node } from "./Rig.ts"
import type { Scenario, Stage } from "./Scenario.ts"

/** `OK`, or the message of the failure. */
const ask = async (node: Node, method: string, body: Readonly<Record<string, unknown>>): Promise<string> => {
  const reply = await fetch(`${node.instance().url}/coupon.v1.CouponService/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body)
  })
  return reply.status === 200 ? "OK" : String((await reply.json() as Record<string, unknown>)["message"])
}

const done = async (node: Node, method: string, body: Readonly<Record<string, unknown>>): Promise<void> => {
  const answer = await ask(node, method, body)
  if (answer !== "OK") throw new Error(`${method} answered ${answer}`)
}

/** A campaign whose coupons users 1 to `count` hold, and which is sold out by that. */
const soldOut = async ({ a, load }: Stage, count: number): Promise<number> => {
  const campaignId = await load.openCampaign(a.instance().url, count)
  for (let userId = 1; userId <= count; userId++) await load.insist(() => [a.instance().url], { campaignId, userId })
  return campaignId
}

/** How many sessions wait for a lock. */
const waiting = async ({ rig }: Stage): Promise<number> =>
  (await query(rig.databaseUrl, "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'")).length

/** Mistakes in what becomes of coupons after they were issued. */
export const redemptionScenarios = {
  stateBeforeLock: {
    what: "two tills redeem a coupon at two instances, while a foreign session holds the head of the redemptions",
    play: async (stage: Stage) => {
      const { a, b, rig } = stage
      const campaignId = await soldOut(stage, 2)
      await done(a, "RedeemCoupon", { campaignId, userId: 2, requestId: "first" })
      const tills = await foreignSession(rig.databaseUrl, async (connection) => {
        await connection.query("START TRANSACTION")
        await connection.query(`SELECT sequence FROM redemption_heads WHERE campaign_id = ${campaignId} FOR UPDATE`)
        const asked = [a, b].map((node, k) =>
          ask(node, "RedeemCoupon", { campaignId, userId: 1, requestId: `till ${k}` })
        )
        await until(async () => await waiting(stage) === 2, 900)
        await connection.query("ROLLBACK")
        return asked
      })
      await Promise.all(tills)
    }
  },
  requestNotUnique: {
    what: "a redemption is undone, and then a copy of its request arrives at another instance",
    prepare: ["ALTER TABLE redemptions DROP PRIMARY KEY, ADD KEY redemptions_request (campaign_id, request_id)"],
    play: async (stage: Stage) => {
      const { a, b } = stage
      const campaignId = await soldOut(stage, 1)
      await done(a, "RedeemCoupon", { campaignId, userId: 1, requestId: "redeem" })
      await done(a, "UndoRedemption", { campaignId, userId: 1, requestId: "undo" })
      await ask(b, "RedeemCoupon", { campaignId, userId: 1, requestId: "redeem" })
    }
  },
  validityAtRedemption: {
    what: "a campaign's validity is made longer, and a coupon from before is redeemed when its own time has passed",
    play: async ({ a, b, load }: Stage) => {
      const campaignId = await load.openCampaign(a.instance().url, 5)
      await done(a, "UpdateCampaign", { campaignId, couponValidity: { after: "PT1S" } })
      await load.insist(() => [a.instance().url], { campaignId, userId: 1 })
      await done(b, "UpdateCampaign", { campaignId, couponValidity: { after: "PT3600S" } })
      await pause(1_300)
      // This instance has not seen the campaign before, so it learns of both validities.
      await ask(b, "RedeemCoupon", { campaignId, userId: 1, requestId: "late" })
    }
  },
  expiryByOwnClock: {
    what: "an instance whose wall clock is an hour ahead redeems a coupon that has half an hour left",
    preload: ["jumpyClock.ts"],
    play: async ({ a, load }: Stage) => {
      const campaignId = await load.openCampaign(a.instance().url, 5)
      await done(a, "UpdateCampaign", { campaignId, couponValidity: { after: "PT1800S" } })
      await load.insist(() => [a.instance().url], { campaignId, userId: 1 })
      process.kill(a.instance().pid, "SIGUSR2")
      await pause(100)
      await ask(a, "RedeemCoupon", { campaignId, userId: 1, requestId: "in time" })
    }
  },
  returnWithoutRaise: {
    what: "a slot of a campaign that is sold out is returned, and new users claim",
    play: async (stage: Stage) => {
      const { a, b, load } = stage
      const campaignId = await soldOut(stage, 2)
      await done(a, "RevokeCoupon", { campaignId, userId: 1, requestId: "revoke", returnSlot: true })
      const more: Array<number> = []
      for (const userId of [11, 12, 13]) {
        const { outcome } = await load.insist(() => [b.instance().url], { campaignId, userId })
        if (outcome === "OK") more.push(userId)
      }
      return more.length === 1
        ? []
        : [`R5 campaign ${campaignId}: ${more.length} more users got a coupon after one slot was returned`]
    }
  }
} satisfies Readonly<Record<string, Scenario>>
