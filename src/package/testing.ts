/**
 * The service itself for tests, in the process of the test: `coupon-issuance/testing`. It needs the package
 * `@libsql/client`.
 *
 * @module
 */

import { create, toBinary } from "@bufbuild/protobuf"
import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect"
import { createTransport } from "@connectrpc/connect/protocol-connect"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type CouponClient, fromTransport } from "../client/CouponClient.ts"
import * as CouponClients from "../client/CouponClient.ts"
import { DEFAULT_RETRY, type RetryPolicy, type RetryThrottling } from "../client/RetryPolicy.ts"
import * as CouponDetail from "../contract/CouponDetail.ts"
import * as FailureTable from "../contract/FailureTable.ts"
import { CouponSchema, type CouponService } from "../contract/gen/coupon/v1/coupon_pb.ts"
import { InProcess, layer as layerInProcess, URL_IN_PROCESS } from "../InProcess.ts"

/** A method of the API, such as `issueCoupon`. */
export type MethodName = keyof (typeof CouponService)["method"]

/**
 * What a call comes to instead of its answer: a failure of the API, before anything is done; `NeverSent`, a connection
 * that could not be made; or `LostReply`, a call that is done and whose answer does not arrive.
 */
export type ScriptedFailure = FailureTable.WireFailure | "NeverSent" | "LostReply"

/**
 * The hands of a test on the service in memory: its clock, and failures that are to come.
 *
 * @example
 * import { CouponClient } from "coupon-issuance"
 * import { layerMemory, TestService } from "coupon-issuance/testing"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const { advance, now, script } = yield* TestService
 *   const client = yield* CouponClient
 *   const { campaignId } = yield* client.createCampaign({
 *     name: "at noon", couponLimit: 10n, startTime: new Date((yield* now).getTime() + 3_600_000).toISOString()
 *   })
 *   const early = yield* client.claim({ campaignId, userId: 1n })
 *   yield* advance("1 hour")
 *   yield* script("issueCoupon", "LostReply")
 *   const again = yield* client.claim({ campaignId, userId: 1n })
 *   console.log(early._tag, again._tag) // NotStarted AlreadyHeld
 * })
 *
 * await Effect.runPromise(Effect.provide(program, layerMemory))
 */
export class TestService extends Context.Tag("coupon-issuance/TestService")<TestService, {
  /** What the service's clock shows. It runs, and begins at the time of the machine. */
  readonly now: Effect.Effect<Date>
  /** Sets the clock, forward or back. */
  readonly set: (to: Date) => Effect.Effect<void>
  /** Moves the clock forward. Work that the service does at intervals goes on at the machine's pace. */
  readonly advance: (by: Duration.DurationInput) => Effect.Effect<void>
  /** The next calls of a method come to these, one after the other; then it works again. */
  readonly script: (method: MethodName, ...failures: ReadonlyArray<ScriptedFailure>) => Effect.Effect<void>
  /** For clients of connect-es; what is scripted counts here too. */
  readonly transport: Transport
  /** Sends plain HTTP requests to the service, past what is scripted: to `http://coupons.invalid`. */
  readonly fetch: typeof globalThis.fetch
}>() {}

/** As the client would get it from the service. */
const errorOf = (failure: FailureTable.WireFailure): ConnectError => {
  const { code, coupon, retryAfter } = FailureTable.entryOf(failure._tag)
  const seconds = retryAfter?.(failure)
  const error = new ConnectError(
    FailureTable.textOf(failure),
    Code[code],
    seconds === undefined ? undefined : { "retry-after": String(Math.ceil(seconds)) }
  )
  if (coupon !== undefined) {
    const value = toBinary(CouponSchema, create(CouponSchema, CouponDetail.fields(coupon(failure))))
    error.details.push({ type: CouponSchema.typeName, value })
  }
  return error
}

const cut = (message: string, code: string): ConnectError =>
  new ConnectError(message, Code.Unavailable, undefined, undefined, Object.assign(new Error(message), { code }))

const scripted = (scripts: Map<string, Array<ScriptedFailure>>): Interceptor => (next) => async (request) => {
  const failure = scripts.get(request.method.localName)?.shift()
  if (failure === "NeverSent") throw cut("connection refused", "ECONNREFUSED")
  if (failure === "LostReply") {
    await next(request)
    throw cut("connection reset", "ECONNRESET")
  }
  if (failure !== undefined) throw errorOf(failure)
  return next(request)
}

/** What a service in memory may be given. */
export interface MemoryOptions {
  /** The client's; unless given, `DEFAULT_RETRY`. */
  readonly retry?: RetryPolicy
  /** The client's; unless given, `DEFAULT_THROTTLING`. */
  readonly retryThrottling?: RetryThrottling
  /** The client's longest wait for an answer, in milliseconds; unless given, 10 s. */
  readonly timeoutMillis?: number
  /** Settings of the service as its environment has them, e.g. `{ PUBLIC_ACCESS: "key", ADMIN_API_KEY: "…" }`. */
  readonly settings?: Readonly<Record<string, string>>
}

/**
 * As `layerMemory`, with options.
 *
 * @example
 * import { CouponClient, DEFAULT_RETRY, Failures } from "coupon-issuance"
 * import { layerMemoryWith, TestService } from "coupon-issuance/testing"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const { script } = yield* TestService
 *   const client = yield* CouponClient
 *   yield* script("issueCoupon", new Failures.Unavailable({ retryAfterSeconds: 1 }))
 *   const failure = yield* Effect.flip(client.claim({ campaignId: 1, userId: 1n }))
 *   console.log(failure._tag) // Unavailable
 * })
 *
 * const impatient = layerMemoryWith({ retry: { ...DEFAULT_RETRY, attempts: 1 } })
 * await Effect.runPromise(Effect.provide(program, impatient))
 */
export const layerMemoryWith = (
  { retry = DEFAULT_RETRY, retryThrottling, settings = {}, timeoutMillis = 10_000 }: MemoryOptions = {}
): Layer.Layer<CouponClient | TestService> =>
  Layer.unwrapEffect(Effect.sync(() => {
    let shift = 0
    const now = () => Date.now() + shift
    const scripts = new Map<string, Array<ScriptedFailure>>()
    const clients = Effect.map(InProcess, ({ fetch, send }) => {
      const transport = createTransport({
        httpClient: send,
        baseUrl: URL_IN_PROCESS,
        useBinaryFormat: true,
        interceptors: [scripted(scripts)],
        acceptCompression: [],
        sendCompression: null,
        compressMinBytes: 1 << 20,
        readMaxBytes: 1 << 27,
        writeMaxBytes: 1 << 27,
        defaultTimeoutMs: timeoutMillis
      })
      const service = TestService.of({
        now: Effect.sync(() => new Date(now())),
        set: (to) =>
          Effect.sync(() => {
            shift = to.getTime() - Date.now()
          }),
        advance: (by) =>
          Effect.sync(() => {
            shift += Duration.toMillis(by)
          }),
        script: (method, ...failures) =>
          Effect.sync(() => void scripts.set(method, [...scripts.get(method) ?? [], ...failures])),
        transport,
        fetch
      })
      const client = fromTransport(transport, { url: URL_IN_PROCESS, retry, retryThrottling, timeoutMillis })
      return Context.make(TestService, service).pipe(Context.add(CouponClients.CouponClient, client))
    })
    return Layer.provide(Layer.effectContext(clients), layerInProcess(now, settings))
  }))

/**
 * The client over the service itself, with its ledger in memory. Each time that it is built there is a new service,
 * which has no campaigns. Administration is open, so no key is needed.
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
 *   const outcomes = yield* Effect.forEach([1n, 2n], (userId) => client.claim({ campaignId, userId }))
 *   console.log(outcomes.map(({ _tag }) => _tag)) // [ 'Claimed', 'SoldOut' ]
 * })
 *
 * await Effect.runPromise(Effect.provide(program, layerMemory))
 */
export const layerMemory: Layer.Layer<CouponClient | TestService> = Layer.fresh(layerMemoryWith())
