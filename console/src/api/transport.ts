import { type CallOptions, createClient, type Interceptor } from "@connectrpc/connect"
import { createConnectTransport } from "@connectrpc/connect-web"
import * as ActReason from "$domain/audit/ActReason.ts"
import { CouponService } from "$contract/gen/coupon/v1/coupon_pb.ts"
import { WebhookService } from "$contract/gen/coupon/v1/webhook_pb.ts"

/** A header that no form and no other site can send: calls with the session's cookie count only with it. */
export const consoleHeader = { "x-coupon-console": "1" } as const

/** Why an operator acts, for the audit log. */
export const withReason = (reason: string): CallOptions => ({ headers: ActReason.headers(reason) })

/** A call with a single answer waits for it no longer than this. */
export const TIMEOUT_MILLIS = 15_000

const marked: Interceptor = (next) => (request) => {
  for (const [name, value] of Object.entries(consoleHeader)) request.header.set(name, value)
  return next(request)
}

const transport = createConnectTransport({
  baseUrl: location.origin,
  interceptors: [marked],
  defaultTimeoutMs: TIMEOUT_MILLIS
})

/** The public API at the console's own origin. */
export const coupons = createClient(CouponService, transport)
export const webhooks = createClient(WebhookService, transport)
