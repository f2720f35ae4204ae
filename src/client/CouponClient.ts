import type { MessageInitShape, MessageShape } from "@bufbuild/protobuf"
import type { Transport } from "@connectrpc/connect"
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as CouponDetail from "../contract/CouponDetail.ts"
import { type CampaignEvent, CouponService, type WatchCampaignResponse } from "../contract/gen/coupon/v1/coupon_pb.ts"
import type { IssuedCoupon } from "../domain/redemption/Redemption.ts"
import { type CallFailure, methodsOf, transportOf } from "./Calls.ts"
import { claim, type ClaimFailure, type ClaimOutcome } from "./Claim.ts"
import { UnexpectedAnswer } from "./ClientFailure.ts"
import { type ClientOptions, DEFAULT_TIMEOUT_MILLIS } from "./ClientOptions.ts"
import { resumed } from "./Resumption.ts"
import { repeating } from "./Retry.ts"
import * as RetryBudget from "./RetryBudget.ts"
import { DEFAULT_RETRY, DEFAULT_THROTTLING } from "./RetryPolicy.ts"

export type { CallFailure } from "./Calls.ts"

type AllMethods = (typeof CouponService)["method"]

/** The methods that answer with one message. */
type Methods = {
  [Name in keyof AllMethods as AllMethods[Name]["methodKind"] extends "unary" ? Name : never]: AllMethods[Name]
}

/** Those that answer with a stream of messages. */
type Streams = Omit<AllMethods, keyof Methods>

/** One method for each RPC, which sends the call once. */
type Rpcs =
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

/** What is made of several calls: claims that are repeated until they are decided, and streams that go on. */
interface Compounds {
  /**
   * Repeats a call of this client by its retry policy, within the budget that all its calls share (`retryThrottling`).
   * For calls that are safe to repeat alone: those that read, and those with a `requestId`.
   */
  readonly retrying: <A, E extends { readonly _tag: string }, R>(
    call: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
  /**
   * Claims a coupon for a user, and repeats the call as `retrying` does until it is decided. What a claim may
   * come to is a value; it fails if it was not decided, and may then be repeated at any time.
   */
  readonly claim: (request: {
    readonly campaignId: number
    readonly userId: bigint
  }) => Effect.Effect<ClaimOutcome, ClaimFailure>
  /**
   * A campaign's events after a sequence (0: from the first on; absent: those from now on), each once and in order. It
   * goes on when a call ends or an instance leaves, and never ends by itself.
   */
  readonly events: (request: {
    readonly campaignId: number
    readonly afterSequence?: bigint | undefined
  }) => Stream.Stream<CampaignEvent, CallFailure>
  /** As `events`, with the campaign as it is at the beginning of each call, and a bookmark where nothing happens. */
  readonly watch: (request: {
    readonly campaignId: number
    readonly afterSequence?: bigint | undefined
  }) => Stream.Stream<NonNullable<WatchCampaignResponse["message"]>, CallFailure>
  /**
   * The coupons of a campaign after a number (0: all), in the order of issue, up to the last one that was issued when
   * the last call began. It goes on where a call failed.
   */
  readonly coupons: (request: {
    readonly campaignId: number
    readonly afterNumber?: number | undefined
  }) => Stream.Stream<IssuedCoupon, CallFailure>
}

/**
 * The public API of the service. There is one method for each RPC of proto/coupon/v1/coupon.proto, which sends the call
 * once and fails by tag (`CallFailure`); interrupting it cancels the call, which may still be done. `claim`, `events`,
 * `watch` and `coupons` repeat their calls as is right for each.
 *
 * @example
 * import { CouponClient } from "coupon-issuance"
 * import { layerMemory } from "coupon-issuance/testing"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const client = yield* CouponClient
 *   const { campaignId } = yield* client.createCampaign({
 *     name: "first", couponLimit: 1n, startTime: "2025-06-25T00:00:00Z"
 *   })
 *   for (const userId of [1n, 1n, 2n]) {
 *     const outcome = yield* client.claim({ campaignId, userId })
 *     console.log(outcome._tag)
 *   }
 *   // Claimed
 *   // AlreadyHeld
 *   // SoldOut
 * })
 *
 * await Effect.runPromise(Effect.provide(program, layerMemory))
 */
export class CouponClient extends Context.Tag("coupon/client/CouponClient")<CouponClient, Rpcs & Compounds>() {}

/** A watch that works is silent for 15 s at most, so a shorter timeout would end it again and again. */
const WATCH_TIMEOUT_MILLIS = 60_000

/** What the service answered is no coupon of this version. */
const unreadable = (url: string) => new UnexpectedAnswer({ url, status: undefined, text: "a coupon without its time" })

/**
 * The client over a transport of connect-es, which may speak any of the protocols. `url` is for failures and telemetry.
 *
 * @example
 * import { createConnectTransport } from "@connectrpc/connect-web"
 * import { fromTransport } from "coupon-issuance"
 *
 * const url = "https://coupons.example.com"
 * const client = fromTransport(createConnectTransport({ baseUrl: url, useHttpGet: true }), { url })
 * console.log(typeof client.claim) // function
 */
export const fromTransport = (
  transport: Transport,
  { retry = DEFAULT_RETRY, retryThrottling = DEFAULT_THROTTLING, timeoutMillis = DEFAULT_TIMEOUT_MILLIS, url }: Pick<
    ClientOptions,
    "retry" | "retryThrottling" | "timeoutMillis" | "url"
  >
): CouponClient["Type"] => {
  const budget = RetryBudget.make(retryThrottling)
  const rpcs = methodsOf(CouponService, transport, { url, timeoutMillis, ended: budget.note }) as Rpcs
  const patient = methodsOf(CouponService, transport, {
    url,
    timeoutMillis: Math.max(timeoutMillis, WATCH_TIMEOUT_MILLIS)
  }) as Rpcs
  const retrying: Compounds["retrying"] = (call) => repeating(call, retry, budget)

  const watch: Compounds["watch"] = ({ afterSequence, campaignId }) =>
    Stream.suspend(() => {
      let last = afterSequence
      return resumed({
        goesOn: true,
        open: () =>
          Stream.map(
            patient.watchCampaign({ campaignId, ...last === undefined ? {} : { afterSequence: last } }),
            ({ message }) => message
          ),
        came: (message) => {
          if (message.case === "snapshot") last ??= message.value.sequence
          if (message.case === "event") last = message.value.sequence
        }
      })
    })

  return {
    ...rpcs,
    retrying,
    claim: ({ campaignId, userId }) =>
      claim(
        Effect.flatMap(rpcs.issueCoupon({ campaignId, userId }), (reply) => {
          const coupon = CouponDetail.ofIssued({ campaignId, userId }, reply)
          return coupon === undefined ? Effect.fail(unreadable(url)) : Effect.succeed(coupon)
        }),
        retrying
      ),
    watch,
    events: (request) =>
      Stream.filterMap(watch(request), (message) =>
        message.case === "event" ? Option.some(message.value) : Option.none()),
    coupons: ({ afterNumber = 0, campaignId }) =>
      Stream.suspend(() => {
        let last = afterNumber
        return resumed<IssuedCoupon>({
          goesOn: false,
          open: () =>
            rpcs.exportCoupons({ campaignId, afterNumber: last }).pipe(
              Stream.mapConcat(({ coupons }) => coupons),
              Stream.mapEffect((message) => {
                const coupon = CouponDetail.ofMessage(message)
                return coupon === undefined ? Effect.fail(unreadable(url)) : Effect.succeed(coupon)
              })
            ),
          came: ({ id }) => {
            last = id
          }
        })
      })
  }
}

/**
 * The client over Connect and `fetch`.
 *
 * @example
 * import { CouponClient, make } from "coupon-issuance"
 * import * as Effect from "effect/Effect"
 *
 * const client = make({ url: "http://127.0.0.1:9", timeoutMillis: 500 })
 * const outcome = await Effect.runPromise(Effect.either(client.getCampaign({ campaignId: 1 })))
 * if (outcome._tag === "Left") console.log(outcome.left._tag) // Unreachable
 */
export const make = (options: ClientOptions): CouponClient["Type"] => fromTransport(transportOf(options), options)

/**
 * The client as a layer.
 *
 * @example
 * import { CouponClient, layer } from "coupon-issuance"
 * import * as Redacted from "effect/Redacted"
 *
 * const live = layer({ url: "https://coupons.example.com", key: Redacted.make("cpn_…") })
 */
export const layer = (options: ClientOptions): Layer.Layer<CouponClient> =>
  Layer.sync(CouponClient, () => make(options))

/**
 * The settings of a client, read from the configuration: `COUPON_URL`, `COUPON_API_KEY`, and `COUPON_TIMEOUT`, e.g.
 * `3 seconds`.
 *
 * @example
 * import { clientConfig } from "coupon-issuance"
 * import * as ConfigProvider from "effect/ConfigProvider"
 * import * as Effect from "effect/Effect"
 *
 * const given = ConfigProvider.fromMap(new Map([
 *   ["COUPON_URL", "http://127.0.0.1:8080"],
 *   ["COUPON_TIMEOUT", "3 seconds"]
 * ]))
 * const options = Effect.runSync(Effect.withConfigProvider(clientConfig, given))
 * console.log(options.url, options.timeoutMillis) // http://127.0.0.1:8080 3000
 */
export const clientConfig: Config.Config<ClientOptions> = Config.all({
  url: Config.map(Config.url("COUPON_URL"), ({ href }) => href.replace(/\/+$/, "")),
  key: Config.withDefault(Config.redacted("COUPON_API_KEY"), undefined),
  timeoutMillis: Config.withDefault(
    Config.map(Config.duration("COUPON_TIMEOUT"), Duration.toMillis),
    DEFAULT_TIMEOUT_MILLIS
  )
})

/**
 * The client as a layer whose settings come from the configuration, the environment unless another one is given; more
 * options may be given here.
 *
 * @example
 * import { layerConfig } from "coupon-issuance"
 * import * as ConfigProvider from "effect/ConfigProvider"
 * import * as Layer from "effect/Layer"
 *
 * const given = ConfigProvider.fromMap(new Map([["COUPON_URL", "http://127.0.0.1:8080"]]))
 * const live = Layer.provide(layerConfig(), Layer.setConfigProvider(given))
 */
export const layerConfig = (
  more: Partial<ClientOptions> = {}
): Layer.Layer<CouponClient, ConfigError> =>
  Layer.effect(CouponClient, Effect.map(clientConfig, (options) => make({ ...options, ...more })))
