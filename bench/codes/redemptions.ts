import { generate, ISSUE_PATH } from "../Load.ts"
import { fillCampaign } from "../others.ts"
import { median } from "../Quantiles.ts"
import { freshUsers } from "../rates.ts"
import { type Figure, ratios } from "../Results.ts"
import { createCampaign, type Stage } from "../Stage.ts"

export interface RedemptionRates {
  /** A second in one round, and coupons issued a second right after, by the same generator. */
  readonly rounds: ReadonlyArray<{ readonly redeemedPerSecond: number; readonly issuedPerSecond: number }>
}

export const redemptionFigures = ({ rounds }: RedemptionRates): ReadonlyArray<Figure> => {
  const thousands = (value: number) => Math.round(value).toLocaleString("en")
  const redeemed = rounds.map(({ redeemedPerSecond }) => redeemedPerSecond)
  const issued = rounds.map(({ issuedPerSecond }) => issuedPerSecond)
  const { max, median: ratio, min } = ratios(redeemed, issued)
  const rate = median(redeemed)
  return [{
    name: "durable redemptions, 128 connections",
    target: ">= 5,000/s",
    measured: `${thousands(rate)}/s`,
    met: rate >= 5_000,
    detail: "of coupons of one campaign, each by its user, under a request id of its own"
  }, {
    name: "durable redemptions/s ÷ durable issues/s, 128 connections",
    target: ">= 0.25",
    measured: ratio.toFixed(2),
    met: ratio >= 0.25,
    detail: `${thousands(rate)}/s ÷ ${thousands(median(issued))}/s, ${rounds.length} rounds ` +
      `${min.toFixed(2)} to ${max.toFixed(2)}, both by bench/generator.ts`
  }]
}

const REDEEM_PATH = "/coupon.v1.CouponService/RedeemCoupon"
const CONNECTIONS = 128

/** More redemptions a second than any machine does: a campaign has coupons for all rounds. */
const MOST_PER_SECOND = 25_000

/** Rounds of redemptions in a closed loop and, right after, of claims. */
export const redemptions = async (
  stage: Stage,
  options: { readonly rounds: number; readonly seconds: number; readonly say: (text: string) => void }
): Promise<RedemptionRates> => {
  const { rounds, say, seconds } = options
  const instance = await stage.distributed({ LATENCY_TARGET: "1s" })
  try {
    const campaignId = await createCampaign(instance.url)
    await fillCampaign(stage, campaignId, (rounds + 1) * seconds * MOST_PER_SECOND, say)
    const load = { port: instance.port, users: 0, connections: CONNECTIONS, seconds }
    const found: Array<RedemptionRates["rounds"][number]> = []
    // Users and coupons have the same numbers.
    let nextUser = 1
    let redeemed = 0
    for (let round = 0; round <= rounds; round++) {
      const one = await generate({ ...load, path: REDEEM_PATH, kind: "redeem", campaignId, firstUser: nextUser })
      if (one.statuses["200"] !== one.requests) {
        throw new Error(`redemptions were answered ${JSON.stringify(one.statuses)}`)
      }
      nextUser += one.requests
      redeemed += one.requests
      const [row] = await stage.sql(
        `SELECT COUNT(*) AS n FROM redemptions WHERE campaign_id = ${campaignId} AND outcome = 'DONE'`
      )
      if (Number(row!["n"]) !== redeemed) {
        throw new Error(`${redeemed} redemptions were answered OK, but the ledger has ${String(row!["n"])}`)
      }
      const other = await generate({
        ...load,
        path: ISSUE_PATH,
        campaignId: await createCampaign(instance.url),
        firstUser: freshUsers()
      })
      if (other.statuses["200"] !== other.requests) {
        throw new Error(`claims were answered ${JSON.stringify(other.statuses)}`)
      }
      const [redeemedPerSecond, issuedPerSecond] = [one.requests / one.seconds, other.requests / other.seconds]
      const ratio = (redeemedPerSecond / issuedPerSecond).toFixed(2)
      say(`redemptions: ${Math.round(redeemedPerSecond)}/s ÷ ${Math.round(issuedPerSecond)}/s = ${ratio}`)
      // The first round warms up.
      if (round > 0) found.push({ redeemedPerSecond, issuedPerSecond })
    }
    return { rounds: found }
  } finally {
    await instance.stop()
  }
}
