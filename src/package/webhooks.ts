/**
 * Receives webhooks of coupon-issuance: `coupon-issuance/webhooks`. It needs nothing but a platform with Web Crypto.
 *
 * @module
 */

import * as Receiving from "../contract/webhooks/Receiving.ts"

export type {
  CampaignChanged,
  CouponChanged,
  CouponIssued,
  CouponsIssued,
  PoolChanged,
  ReceivedRequest,
  Verification,
  VerificationOptions,
  WebhookEvent
} from "../contract/webhooks/Receiving.ts"

/**
 * Verifies a request by Standard Webhooks before anything of it is used, and reads its events. Answer 400 to one that
 * is rejected. One that is verified may be a repetition: leave out events whose `id` within its `source` was seen.
 *
 * @example
 * import { verify } from "coupon-issuance/webhooks"
 *
 * const receive = async (request: Request): Promise<Response> => {
 *   const body = await request.text()
 *   const verified = await verify({ headers: request.headers, body }, { secret: "whsec_c2VjcmV0IGZvciBhbiBleGFtcGxl" })
 *   if (verified._tag === "Rejected") return new Response(verified.reason, { status: 400 })
 *   for (const event of verified.events) {
 *     if (event.type === "coupon.issued" && "code" in event.data) console.log(event.data.userId, event.data.code)
 *   }
 *   return new Response(null, { status: 204 })
 * }
 *
 * const stranger = await receive(new Request("https://shop.example/hook", { method: "POST", body: "{}" }))
 * console.log(stranger.status, await stranger.text()) // 400 a header of Standard Webhooks is missing
 */
export const verify: typeof Receiving.verify = Receiving.verify

/**
 * Reads the events of a body that was verified by other means, such as the package `standardwebhooks`. Throws a
 * SyntaxError for what is no body of a webhook.
 *
 * @example
 * import { decode } from "coupon-issuance/webhooks"
 *
 * const [event] = decode(JSON.stringify({
 *   specversion: "1.0",
 *   id: "1-8",
 *   source: "/campaigns/1",
 *   type: "campaign.paused",
 *   time: "2025-06-25T00:00:00Z",
 *   datacontenttype: "application/json",
 *   sequence: "0000000000000008",
 *   data: { campaignId: 1, version: 2 }
 * }))
 * console.log(event?.type, event?.data.campaignId) // campaign.paused 1
 */
export const decode: typeof Receiving.decode = Receiving.decode
