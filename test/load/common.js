// What the k6 scenarios share. k6 runs these files itself (not Node): `npm run k6 -- stress`.
import { check } from "k6"
import exec from "k6/execution"
import http from "k6/http"
import { Counter, Gauge } from "k6/metrics"

const base = __ENV.BASE_URL || "http://127.0.0.1:8080"
const url = (method) => `${base}/coupon.v1.CouponService/${method}`
const key = __ENV.COUPON_API_KEY
const params = {
  headers: { "Content-Type": "application/json", ...key ? { Authorization: `Bearer ${key}` } : {} }
}

/** `RATE=100 DURATION=5s npm run k6 -- stress` makes a scenario smaller or larger. */
export const rate = (initial) => Number(__ENV.RATE || initial)
export const duration = (initial) => __ENV.DURATION || initial

// The answers of clients: `scripts/LoadBooks.ts` compares them with the campaign's coupons afterwards.
const issued = new Counter("coupons_issued")
const inDoubt = new Counter("coupons_in_doubt")
const campaign = new Gauge("campaign_id")
const claimed = new Counter("coupons_already_claimed")
const soldOut = new Counter("coupons_sold_out")

// Rejections are answers, too: only unexpected ones count as failed.
http.setResponseCallback(http.expectedStatuses(200, 400, 409))

const post = (method, body) => http.post(url(method), JSON.stringify(body), params)

export const createCampaign = (couponLimit) => {
  const draft = { name: "k6", couponLimit: String(couponLimit), startTime: "2025-01-01T00:00:00Z" }
  const response = post("CreateCampaign", draft)
  if (response.status !== 200) exec.test.abort(`CreateCampaign: ${response.status} ${response.body}`)
  const campaignId = response.json("campaignId")
  campaign.add(campaignId)
  return campaignId
}

/** Failures after which a coupon may have been issued. */
const MAYBE = ["OUTCOME_UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL_SERVER_ERROR"]

/** Claims a coupon; the message it is answered. Any answer but those three fails the check `known answer`. */
export const claim = (campaignId, userId) => {
  const response = post("IssueCoupon", { campaignId, userId })
  const message = response.status === 0 ? response.error : response.json("message")
  if (message === "OK") issued.add(1)
  if (message === "COUPON_ALREADY_CLAIMED") claimed.add(1)
  if (message === "COUPON_SOLD_OUT") soldOut.add(1)
  if (MAYBE.includes(message) || response.status === 0) inDoubt.add(1)
  check(response, {
    "known answer": ({ status }) =>
      message === "OK" && status === 200 ||
      message === "COUPON_ALREADY_CLAIMED" && status === 409 ||
      message === "COUPON_SOLD_OUT" && status === 400,
    "a coupon has a code": () => message !== "OK" || Array.from(response.json("code")).length === 10
  })
  return message
}

/** For `teardown`: checks the campaign's limit, while k6 still counts its checks. */
export const audit = ({ campaignId }) => {
  const state = post("GetCampaign", { campaignId, pageSize: 1 }).json()
  check(state, {
    "never more than the limit": ({ couponLimit, currentCoupon }) => Number(currentCoupon) <= Number(couponLimit)
  })
}

export const anyUser = () => 1 + Math.floor(Math.random() * 2147483647)

/**
 * Every scenario: only documented answers, and no request that the load generator could not send. The limits are what a
 * machine of two cores meets with k6 beside the service; P95 and P99 (milliseconds) set others.
 */
export const thresholds = (p95, p99) => ({
  checks: ["rate==1"],
  http_req_failed: ["rate==0"],
  dropped_iterations: ["count==0"],
  http_req_duration: [`p(95)<${__ENV.P95 || p95}`, `p(99)<${__ENV.P99 || p99}`]
})

/**
 * Enough users in advance that a pause of a second, at full rate, drops no request: k6 adds users too late.
 * A user takes some 0.3 MB and a connection.
 */
export const users = (perSecond) => ({
  preAllocatedVUs: Math.max(200, perSecond),
  maxVUs: Math.max(400, perSecond * 2)
})

/** A constant rate of arrivals, whatever the service does. */
export const arrivals = (perSecond, time) => ({
  executor: "constant-arrival-rate",
  rate: perSecond,
  timeUnit: "1s",
  duration: time,
  ...users(perSecond),
  gracefulStop: "10s"
})
