// Long and steady: what grows, shows. Five minutes unless DURATION says otherwise.
import { anyUser, arrivals, audit, claim, createCampaign, duration, rate, thresholds } from "./common.js"

export const options = {
  scenarios: { soak: arrivals(rate(300), duration("5m")) },
  thresholds: thresholds(50, 200)
}
export const setup = () => ({ campaignId: createCampaign(10000000) })
export default function({ campaignId }) {
  claim(campaignId, anyUser())
}
export const teardown = audit
