import { IncomingMessage, ServerResponse } from "node:http"
import { Socket } from "node:net"
import {
  createFetchHandler,
  type UniversalClientFn,
  type UniversalServerRequest,
  type UniversalServerResponse
} from "@connectrpc/connect/protocol"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { KeyWatch } from "./agents/KeyWatch.ts"
import { layerMemory } from "./EmbeddedBackend.ts"
import * as AppConfig from "./config/AppConfig.ts"
import { WallClock } from "./base/WallClock.ts"
import * as BrowserHeaders from "./http/BrowserHeaders.ts"
import * as ConnectHandlers from "./rpc/connect/ConnectHandlers.ts"
import * as CouponStreams from "./rpc/coupons/CouponStreams.ts"
import * as Dispatcher from "./rpc/dispatch/Dispatcher.ts"
import * as Routes from "./rpc/Route.ts"
import * as AllRoutes from "./rpc/routes/AllRoutes.ts"
import { Startup } from "./rpc/Startup.ts"
import { ProductionNote } from "./security/ProductionNote.ts"
import * as Security from "./security/Security.ts"
import * as RefusedActsLog from "./operator/audit/RefusedActsLog.ts"
import * as UseCases from "./UseCases.ts"

/** The service in this process, on stores in memory, without a socket: the same routes and use cases as a server's. */
export class InProcess extends Context.Tag("coupon/InProcess")<InProcess, {
  /** Answers requests of any protocol that the service speaks; for transports of connect-es. */
  readonly send: UniversalClientFn
  /** The same for HTTP in the form of `fetch`. */
  readonly fetch: typeof globalThis.fetch
}>() {}

/** The base of the URLs that requests have. No name server knows it. */
export const URL_IN_PROCESS = "http://coupons.invalid"

/** The clock of the service alone: it decides by `now`, and sleeps as the machine does. */
const clockOf = (now: () => number): Clock.Clock => {
  const live = Clock.make()
  const nanos = () => BigInt(Math.trunc(now())) * 1_000_000n
  return {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: now,
    currentTimeMillis: Effect.sync(now),
    unsafeCurrentTimeNanos: nanos,
    currentTimeNanos: Effect.sync(nanos),
    sleep: (duration) => live.sleep(duration)
  }
}

/** Every request comes from here. */
const socket = Object.defineProperty(new Socket(), "remoteAddress", { value: "127.0.0.1" })

const NOT_FOUND: UniversalServerResponse = { status: 404 }

const make = Effect.gen(function*() {
  const config = yield* AppConfig.AppConfig
  const { maxBodyBytes } = config
  const dispatcher = yield* Dispatcher.make
  const leaving = yield* Effect.acquireRelease(
    Effect.sync(() => new AbortController()),
    (controller) => Effect.sync(() => controller.abort())
  )
  const routes = AllRoutes.routes.map((route) => Routes.served(route, config))
  const rpcs = { routes, streams: CouponStreams.streams }
  const handlers = ConnectHandlers.make(rpcs, { dispatcher, maxBodyBytes, draining: leaving.signal })

  const answer = async (request: UniversalServerRequest): Promise<UniversalServerResponse> => {
    const path = new URL(request.url).pathname
    if (!handlers.has(path)) return NOT_FOUND
    const message = new IncomingMessage(socket)
    const response = new ServerResponse(message)
    message.headers = Object.fromEntries(request.header)
    const from = { request: message, response, client: dispatcher.clientOf(message) }
    const answered = await handlers.handle(path, request, from)
    const header = new Headers(answered.header)
    for (const [name, value] of Object.entries(BrowserHeaders.api)) header.set(name, value)
    const { body } = answered
    if (body === undefined || body === null) return { ...answered, header }
    return {
      ...answered,
      header,
      body: (async function*() {
        try {
          yield* body
        } finally {
          response.emit("close")
        }
      })()
    }
  }
  const fetched = createFetchHandler(answer)

  return InProcess.of({
    fetch: (input, init) => fetched(new Request(input, init)),
    send: async ({ body, header, method, signal, url }) => {
      const { body: answered, header: headers, status, trailer } = await answer({
        httpVersion: "2.0",
        url,
        method,
        header,
        body: body ?? (async function*() {})(),
        signal: signal ?? new AbortController().signal
      })
      return {
        status,
        header: new Headers(headers),
        body: answered ?? (async function*() {})(),
        // The same one: an error's trailers are written when the body has ended.
        trailer: trailer ?? new Headers()
      }
    }
  })
})

const startup = Layer.effect(Startup, Effect.map(UseCases.served, (served) =>
  Startup.of({ current: () => served, waitingFor: () => [] })))

/** What a service needs that lasts: no key expires here, and none of it was ever in production. */
const shortLived = Layer.merge(
  Layer.succeed(KeyWatch, { runOnce: Effect.void }),
  Layer.succeed(ProductionNote, { found: Effect.succeed(false), leave: Effect.void })
)

/**
 * One service for each time that the layer is built. It reads no environment: administration is open, and the settings
 * are the defaults with `environment` in their place. It decides by `now`. Of its log only errors are shown.
 */
export const layer = (
  now: () => number,
  environment: Readonly<Record<string, string>> = {}
): Layer.Layer<InProcess> =>
  Layer.scoped(InProcess, make).pipe(
    Layer.provide(startup),
    Layer.provide(UseCases.layer),
    Layer.provide(Layer.provide(Security.layer, RefusedActsLog.layer)),
    Layer.provide(shortLived),
    Layer.provide(layerMemory),
    Layer.provide(AppConfig.layerTest({ OPEN_ADMINISTRATION: "yes", NODE_ENV: "test", ...environment })),
    Layer.provide(Layer.mergeAll(
      Layer.succeed(WallClock, { now }),
      Layer.setClock(clockOf(now)),
      Logger.minimumLogLevel(LogLevel.Error)
    )),
    Layer.orDie
  )
