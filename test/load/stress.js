// The classic: 1,000 claims a second by random users, of whom a few come twice, in one large campaign.
import { anyUser, arrivals, audit, claim, createCampaign, duration, rate, thresholds } from "./common.js"

export const options = {
  scenarios: { stress: arrivals(rate(1000), duration("30s")) },
  thresholds: thresholds(50, 200)
}
export const setup = () => ({ campaignId: createCampaign(10000000) })
export default function({ campaignId }) {
  claim(campaignId, anyUser())
}
export const teardown = audit
