import { setTimeout as pause } from "node:timers/promises"
import { query } from "../support/privateServers.ts"
import type { Held } from "../support/FaultProxy.ts"
import { until, type Node } from "./Rig.ts"
import type { Scenario, Stage } from "./Scenario.ts"

/** Coupons that are younger than REQUEST_TIMEOUT, which is a second here, are not erased yet. */
const SETTLED_MILLIS = 1_200

const relayed = async ({ rig }: Stage, campaignId: number): Promise<void> => {
  const rows = () =>
    query(rig.databaseUrl, `SELECT 1 FROM outbox WHERE kind = 'ISSUED' AND campaign_id = ${campaignId} LIMIT 1`)
  if (!await until(async () => (await rows()).length === 0, 10_000)) throw new Error("the relay settled nothing")
}

const userOf = async ({ rig }: Stage, campaignId: number, id: number): Promise<number> => {
  const [row] = await query(
    rig.databaseUrl,
    `SELECT user_id AS userId FROM coupons WHERE campaign_id = ${campaignId} AND id = ${id}`
  )
  return Number(row!["userId"])
}

/** Erases a user in all campaigns; a failure is repeated, as its caller would. */
const erase = async (node: Node, userId: number): Promise<void> => {
  const call = () =>
    fetch(`${node.instance().url}/coupon.v1.CouponService/EraseUser`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ userId })
    })
  if (!await until(async () => (await call()).status === 200, 10_000)) throw new Error("EraseUser failed for 10 s")
}

/** Users who claim until a confirmation is held. */
const MOST_CLAIMS = 40

/** Matches what brings coupons to the gate: it names the event stream, and a code is no ASCII. */
const isConfirmation = (bytes: Buffer): boolean => bytes.includes("}:e") && bytes.some((byte) => byte > 0x7f)

/** Mistakes in the erasure of users. */
export const erasureScenarios = {
  forgottenBeforeGate: {
    what: "an instance erases a user while Redis is away, and dies before the gate has it",
    play: async (stage: Stage) => {
      const { a, b, load, rig } = stage
      const campaignId = await load.openCampaign(a.instance().url, 4)
      for (const userId of [1, 2]) await load.insist(() => [a.instance().url], { campaignId, userId })
      await relayed(stage, campaignId)
      await pause(SETTLED_MILLIS)
      // A Redis that is only silent would execute later what it was sent.
      await rig.redis.save()
      await rig.redis.kill()
      await erase(a, 1)
      await a.instance().kill()
      await rig.redis.restart()
      const isForgotten = async () =>
        (await query(rig.databaseUrl, "SELECT 1 FROM erased_coupons WHERE user_id IS NOT NULL")).length === 0
      if (!await until(isForgotten, 10_000)) return ["erasure: the ledger still has the user 10 s later"]
      for (const userId of [2, 3, 4]) await load.insist(() => [b.instance().url], { campaignId, userId })
      return await userOf(stage, campaignId, 1) === -1 ? [] : ["erasure: the coupon still has its user"]
    }
  },
  erasedComesBack: {
    what: "a confirmation is held before Redis; another instance repeats it, the user is erased, and it arrives",
    // No reconciliation mends it meanwhile.
    env: { EVENT_STREAM: "off", AUDIT_INTERVAL: "60 seconds" },
    play: async (stage: Stage) => {
      const { a, b, load } = stage
      const campaignId = await load.openCampaign(a.instance().url, MOST_CLAIMS)
      const held: Array<Held> = []
      void b.redis.holdRequests(isConfirmation).then((confirmation) => {
        // The instance gives the connection up; what it has sent is still on its way.
        confirmation.sever()
        held.push(confirmation)
      })
      let userId = 0
      // Either relay may take a coupon; this is about one of the other instance's.
      while (held.length === 0 && userId < MOST_CLAIMS) {
        await load.insist(() => [b.instance().url], { campaignId, userId: ++userId })
        await relayed(stage, campaignId)
      }
      const [confirmation] = held
      if (confirmation === undefined) throw new Error(`none of ${userId} confirmations was held`)
      await pause(SETTLED_MILLIS)
      for (let user = 1; user <= userId; user++) await erase(a, user)
      confirmation.release()
      await pause(500)
      return await userOf(stage, campaignId, userId) === -userId ? [] : ["erasure: the coupon still has its user"]
    }
  }
} satisfies Readonly<Record<string, Scenario>>
