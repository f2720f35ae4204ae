// A duplicate storm: 1,000 claims a second by 200 impatient users. Each gets one coupon, and the same one ever after.
import { arrivals, audit, claim, createCampaign, duration, rate, thresholds } from "./common.js"

const USERS = 200
export const options = {
  scenarios: { duplicates: arrivals(rate(1000), duration("20s")) },
  thresholds: { ...thresholds(50, 200), coupons_issued: [`count<=${USERS}`], coupons_sold_out: ["count==0"] }
}
export const setup = () => ({ campaignId: createCampaign(10000000) })
export default function({ campaignId }) {
  claim(campaignId, 1 + Math.floor(Math.random() * USERS))
}
export const teardown = audit
