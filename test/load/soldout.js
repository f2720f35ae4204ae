// A sold-out storm: 1,000 claims a second for 500 coupons, which are gone within a second. Exactly 500 are answered OK.
import exec from "k6/execution"
import { arrivals, audit, claim, createCampaign, duration, rate, thresholds } from "./common.js"

const LIMIT = 500
export const options = {
  scenarios: { soldout: arrivals(rate(1000), duration("20s")) },
  thresholds: { ...thresholds(50, 200), coupons_issued: [`count==${LIMIT}`], coupons_already_claimed: ["count==0"] }
}
export const setup = () => ({ campaignId: createCampaign(LIMIT) })
export default function({ campaignId }) {
  claim(campaignId, 1 + exec.scenario.iterationInTest)
}
export const teardown = audit
