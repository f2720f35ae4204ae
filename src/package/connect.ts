/**
 * The API for programs without Effect, `coupon-issuance/connect`: clients of connect-es, and what their failures mean.
 *
 * @module
 */

import {
  type Client,
  type Code,
  ConnectError,
  createClient,
  type Interceptor,
  type Transport
} from "@connectrpc/connect"
import { createConnectTransport } from "@connectrpc/connect-web"
import type { FailureMessage } from "../contract/FailureTable.ts"
import { type Coupon, CouponSchema, CouponService } from "../contract/gen/coupon/v1/coupon_pb.ts"
import { WebhookService } from "../contract/gen/coupon/v1/webhook_pb.ts"

/** Where the service is, and how to call it. */
export interface TransportOptions {
  /** E.g. `https://coupons.example.com`, without a slash at the end. */
  readonly url: string
  /** An API key, or for some calls a user's token; sent as `Authorization: Bearer`. */
  readonly key?: string
  /** Longest wait for the answer to a single call, in milliseconds; unless given, 10 s. Streams give their own. */
  readonly timeoutMillis?: number
  /** What sends requests; unless given, the platform's `fetch`. */
  readonly fetch?: typeof globalThis.fetch
}

/**
 * Connect over `fetch`, in its binary form.
 *
 * @example
 * import { createClient } from "@connectrpc/connect"
 * import { createTransport } from "coupon-issuance/connect"
 * import { CouponService } from "coupon-issuance/gen"
 *
 * const client = createClient(CouponService, createTransport({ url: "https://coupons.example.com", key: "cpn_…" }))
 * console.log(typeof client.issueCoupon) // function
 */
export const createTransport = ({ fetch, key, timeoutMillis = 10_000, url }: TransportOptions): Transport => {
  const authorize: Interceptor = (next) => (request) => {
    if (key !== undefined) request.header.set("authorization", `Bearer ${key}`)
    return next(request)
  }
  return createConnectTransport({
    baseUrl: url,
    useBinaryFormat: true,
    defaultTimeoutMs: timeoutMillis,
    interceptors: [authorize],
    ...fetch === undefined ? {} : { fetch }
  })
}

/**
 * The client of campaigns and coupons.
 *
 * @example
 * import { createCouponClient, failureOf } from "coupon-issuance/connect"
 *
 * const client = createCouponClient({ url: "http://127.0.0.1:9", timeoutMillis: 500 })
 * const outcome = await client.issueCoupon({ campaignId: 1, userId: 1001n }).then(
 *   ({ code }) => code,
 *   (error) => failureOf(error)?.message ?? "no answer: claim again"
 * )
 * console.log(outcome) // no answer: claim again
 */
export const createCouponClient = (options: TransportOptions): Client<typeof CouponService> =>
  createClient(CouponService, createTransport(options))

/**
 * The client of webhooks.
 *
 * @example
 * import { createWebhookClient } from "coupon-issuance/connect"
 *
 * const client = createWebhookClient({ url: "https://coupons.example.com", key: "cpn_…" })
 * console.log(typeof client.createWebhook) // function
 */
export const createWebhookClient = (options: TransportOptions): Client<typeof WebhookService> =>
  createClient(WebhookService, createTransport(options))

/** A failure as the service sent it. */
export interface ApiFailure {
  /** Such as `COUPON_SOLD_OUT`. A later version of the service may have more of them than this package knows. */
  readonly message: FailureMessage | (string & {})
  /** What follows the message, e.g. the field of INVALID_ARGUMENT; mostly empty. */
  readonly reason: string
  /** Connect's code, by which a message is handled that is not known. */
  readonly code: Code
  /** Of OVERLOADED, UNAVAILABLE and RATE_LIMITED: call again after so many seconds. */
  readonly retryAfterSeconds: number | undefined
  /** Of COUPON_ALREADY_CLAIMED, COUPON_REDEEMED, COUPON_EXPIRED and COUPON_REVOKED: the coupon. */
  readonly coupon: Coupon | undefined
}

/**
 * Reads what a call failed with; `undefined` if that is no answer of the service: the connection was cut, say, or a
 * timeout ran out. A call that may have been done is safe to repeat if it reads, claims, or has a `requestId`.
 *
 * @example
 * import { Code, ConnectError } from "@connectrpc/connect"
 * import { failureOf } from "coupon-issuance/connect"
 *
 * const failure = failureOf(new ConnectError("OVERLOADED", Code.ResourceExhausted, { "retry-after": "2" }))
 * console.log(failure?.message, failure?.retryAfterSeconds) // OVERLOADED 2
 * console.log(failureOf(new Error("socket hang up"))) // undefined
 */
export const failureOf = (error: unknown): ApiFailure | undefined => {
  if (!(error instanceof ConnectError)) return undefined
  const [, message, reason = ""] = /^([A-Z]+(?:_[A-Z]+)*)(?:: (.*))?$/s.exec(error.rawMessage) ?? []
  if (message === undefined) return undefined
  const retryAfter = error.metadata.get("retry-after")
  return {
    message,
    reason,
    code: error.code,
    retryAfterSeconds: retryAfter === null ? undefined : Number(retryAfter),
    coupon: error.findDetails(CouponSchema)[0]
  }
}
