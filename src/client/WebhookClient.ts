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
 */
export class WebhookClient extends Context.Tag("coupon/client/WebhookClient")<WebhookClient, {
  readonly [Name in keyof Methods]: (
    request: MessageInitShape<Methods[Name]["input"]>
  ) => Effect.Effect<MessageShape<Methods[Name]["output"]>, CallFailure>
}>() {}

/** The client over Connect and HTTP/1.1. */
export const make = (options: ClientOptions): WebhookClient["Type"] =>
  methodsOf(
    WebhookService,
    transportOf(options),
    options.url,
    options.timeoutMillis ?? DEFAULT_TIMEOUT_MILLIS
  ) as WebhookClient["Type"]

export const layer = (options: ClientOptions): Layer.Layer<WebhookClient> =>
  Layer.sync(WebhookClient, () => make(options))
