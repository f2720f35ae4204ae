import { type MessageInitShape, type MessageShape } from "@bufbuild/protobuf"
import type { Transport } from "@connectrpc/connect"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Stream from "effect/Stream"
import { CouponService } from "../contract/gen/coupon/v1/coupon_pb.ts"
import { type CallFailure, methodsOf, transportOf } from "./Calls.ts"
import { type ClientOptions, DEFAULT_TIMEOUT_MILLIS } from "./ClientOptions.ts"

export type { CallFailure } from "./Calls.ts"

type AllMethods = (typeof CouponService)["method"]

/** The methods that answer with one message. */
type Methods = {
  [Name in keyof AllMethods as AllMethods[Name]["methodKind"] extends "unary" ? Name : never]: AllMethods[Name]
}

/** Those that answer with a stream of messages. */
type Streams = Omit<AllMethods, keyof Methods>

/**
 * The public API: one method for each RPC, described in proto/coupon/v1/coupon.proto. A method sends the call once. It
 * fails by tag, see `CallFailure`; interrupting it cancels the call, which may still be done.
 */
export class CouponClient extends Context.Tag("coupon/client/CouponClient")<
  CouponClient,
  & {
    readonly [Name in keyof Methods]: (
      request: MessageInitShape<Methods[Name]["input"]>
    ) => Effect.Effect<MessageShape<Methods[Name]["output"]>, CallFailure>
  }
  & {
    /** Its messages as they arrive. The timeout is for the first one, and for each after the one before. */
    readonly [Name in keyof Streams]: (
      request: MessageInitShape<Streams[Name]["input"]>
    ) => Stream.Stream<MessageShape<Streams[Name]["output"]>, CallFailure>
  }
>() {}

/** The client over a transport of connect-es, which may speak any of the protocols; `url` is for failures only. */
export const fromTransport = (
  transport: Transport,
  url: string,
  timeoutMillis = DEFAULT_TIMEOUT_MILLIS
): CouponClient["Type"] => methodsOf(CouponService, transport, url, timeoutMillis) as CouponClient["Type"]

/** The client over Connect and HTTP/1.1. */
export const make = (options: ClientOptions): CouponClient["Type"] =>
  fromTransport(transportOf(options), options.url, options.timeoutMillis)

export const layer = (options: ClientOptions): Layer.Layer<CouponClient> =>
  Layer.sync(CouponClient, () => make(options))
