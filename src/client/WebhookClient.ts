import { type MessageInitShape, type MessageShape } from "@bufbuild/protobuf"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { WebhookService } from "../contract/gen/coupon/v1/webhook_pb.ts"
import { type CallFailure, methodsOf, transportOf } from "./Calls.ts"
import { type ClientOptions, DEFAULT_TIMEOUT_MILLIS } from "./ClientOptions.ts"

type Methods = (typeof WebhookService)["method"]

/**
 * Webhooks: one method for each RPC, described in proto/coupon/v1/webhook.proto. A method sends the call once and fails
 * by tag, see `CallFailure`.
 *
 * @example
 * import { WebhookClient } from "coupon-issuance"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.flatMap(WebhookClient, (client) =>
 *   client.createWebhook({ url: "https://shop.example/hook", types: ["coupon.issued"] }))
 * console.log(Effect.isEffect(program)) // true
 */
export class WebhookClient extends Context.Tag("coupon/client/WebhookClient")<WebhookClient, {
  readonly [Name in keyof Methods]: (
    request: MessageInitShape<Methods[Name]["input"]>
  ) => Effect.Effect<MessageShape<Methods[Name]["output"]>, CallFailure>
}>() {}

/** The client over Connect and HTTP/1.1. */
export const make = (options: ClientOptions): WebhookClient["Type"] =>
  methodsOf(WebhookService, transportOf(options), {
    url: options.url,
    timeoutMillis: options.timeoutMillis ?? DEFAULT_TIMEOUT_MILLIS
  }) as WebhookClient["Type"]

/**
 * The client of webhooks as a layer.
 *
 * @example
 * import { layerWebhooks } from "coupon-issuance"
 * import * as Redacted from "effect/Redacted"
 *
 * const live = layerWebhooks({ url: "https://coupons.example.com", key: Redacted.make("cpn_…") })
 */
export const layer = (options: ClientOptions): Layer.Layer<WebhookClient> =>
  Layer.sync(WebhookClient, () => make(options))
