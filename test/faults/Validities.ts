import { setTimeout as pause } from "node:timers/promises"
import { makeRandom } from "./Random.ts"

/** An operator who changes a campaign's validity again and again, under whatever faults there are. */
export interface ValidityChanges {
  /** Resolves with how many changes were acknowledged. */
  readonly stop: () => Promise<number>
}

const PAUSE_MILLIS = [200, 700] as const
const REPLY_MILLIS = 5_000

/** Short ones are over before tills have redeemed all coupons; long ones, or none, must not make up for them. */
const VALIDITIES = [{ after: "PT1S" }, { after: "PT2S" }, { after: "PT3600S" }, {}] as const

export const startValidityChanges = (
  urls: () => ReadonlyArray<string>,
  campaignId: number,
  seed: number
): ValidityChanges => {
  const random = makeRandom(seed * 100 + 99)
  let stopping = false
  let acknowledged = 0
  const running = (async () => {
    for (let turn = 0; !stopping; turn++) {
      const all = urls()
      const reply = await fetch(`${all[turn % all.length]!}/coupon.v1.CouponService/UpdateCampaign`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ campaignId, couponValidity: random.pick(VALIDITIES) }),
        signal: AbortSignal.timeout(REPLY_MILLIS)
      }).catch(() => undefined)
      if (reply?.status === 200) acknowledged++
      await reply?.arrayBuffer().catch(() => undefined)
      await pause(random.integer(...PAUSE_MILLIS))
    }
  })()
  return {
    stop: async () => {
      stopping = true
      await running
      return acknowledged
    }
  }
}
