// The doors open: from next to nothing to 3,000 claims a second within two seconds, and back.
import { anyUser, audit, claim, createCampaign, duration, rate, thresholds, users } from "./common.js"

const peak = rate(3000)
export const options = {
  scenarios: {
    spike: {
      executor: "ramping-arrival-rate",
      startRate: Math.ceil(peak / 20),
      timeUnit: "1s",
      ...users(peak),
      gracefulStop: "10s",
      stages: [
        { target: Math.ceil(peak / 20), duration: "3s" },
        { target: peak, duration: "2s" },
        { target: peak, duration: duration("10s") },
        { target: Math.ceil(peak / 20), duration: "2s" },
        { target: Math.ceil(peak / 20), duration: "3s" }
      ]
    }
  },
  thresholds: thresholds(250, 1000)
}
export const setup = () => ({ campaignId: createCampaign(10000000) })
export default function({ campaignId }) {
  claim(campaignId, anyUser())
}
export const teardown = audit
