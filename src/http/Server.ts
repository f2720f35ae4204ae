import type * as http from "node:http"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { AppConfig } from "../config/AppConfig.ts"
import { Health as HealthService } from "../contract/gen/grpc/health/v1/health_pb.ts"
import * as RequestMetrics from "../metrics/RequestMetrics.ts"
import * as Metrics from "../metrics/Metrics.ts"
import * as AllRoutes from "../rpc/routes/AllRoutes.ts"
import * as Shares from "../rpc/admission/Shares.ts"
import * as Dispatcher from "../rpc/dispatch/Dispatcher.ts"
import { guarded } from "../rpc/Guarded.ts"
import type { Request, Response } from "../rpc/Request.ts"
import * as Routes from "../rpc/Route.ts"
import type { Route } from "../rpc/Route.ts"
import { watchCampaign } from "../rpc/events/EventStreams.ts"
import * as CouponStreams from "../rpc/coupons/CouponStreams.ts"
import type { StreamRoute } from "../rpc/streams/StreamRoute.ts"
import { Startup } from "../rpc/Startup.ts"
import * as Acceptors from "./connections/Acceptors.ts"
import * as Drain from "./connections/Drain.ts"
import * as Http1 from "./connections/Http1.ts"
import * as Http2 from "./connections/Http2.ts"
import { type Credentials, credentials, listen, type ListenFailed } from "./connections/Listening.ts"
import * as NewConnections from "./connections/NewConnections.ts"
import * as Bodies from "./protection/Bodies.ts"
import * as ConnectionLimits from "./protection/ConnectionLimits.ts"
import * as Entry from "./protection/Entry.ts"
import * as FairTurns from "./protection/FairTurns.ts"
import * as Offences from "./protection/Offences.ts"
import * as StuckClients from "./protection/StuckClients.ts"
import * as Health from "./Health.ts"
import * as LongCalls from "./protection/LongCalls.ts"
import { type Handler, mountOf, type Mounts } from "./Mounts.ts"
import * as Pages from "./Pages.ts"
import { DEFAULT_PATIENCE, type Patience } from "./Patience.ts"
import * as Reflection from "./Reflection.ts"
import * as Router from "./Router.ts"

/** The service listens, and this is where. */
export class Listener extends Context.Tag("coupon/transport/Listener")<Listener, {
  /** The address that is bound, e.g. `127.0.0.1` or `::`. */
  readonly host: string
  /** The port that is bound: the one the system picked if PORT is 0. */
  readonly port: number
  /** `http://host:port` (or `https`), brackets around IPv6. */
  readonly url: string
  /** The same of the port for operators: ADMIN_PORT, if that is set. */
  readonly operatorUrl: string
}>() {}

/** More sockets on the port of `h1`, if the port can be shared. With TLS, handshakes take far longer than accepting. */
const startAcceptors = (h1: http.Server, shares: boolean, options: Parameters<typeof Acceptors.start>[1]) =>
  shares
    ? Effect.promise(() => Acceptors.start(h1, options))
    : Effect.succeed<Acceptors.Acceptors>({ close: (closed) => closed() })

/** Of ADMIN_PORT: operators, probes and scrapes are few. */
export const ADMIN_CONNECTIONS = 64

/** Streams of HTTP/2 that may be open: of calls in progress, and as many whose rejections wait or are not read. */
const STREAMS_A_CALL = 2

/** Runs `sweep` every so often, until the scope closes. */
const sweepEvery = (millis: number, sweep: () => void, report: (cause: unknown) => void) =>
  Effect.acquireRelease(
    Effect.sync(() => setInterval(guarded(report, sweep), millis).unref()),
    (timer) => Effect.sync(() => clearInterval(timer))
  )

const measureConnections = (maxConnections: number, count: () => number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      RequestMetrics.connections.limit.set(maxConnections)
      return Metrics.onSample(() => RequestMetrics.connections.open.set(count()))
    }),
    (end) => Effect.sync(end)
  )

const measureHeld = (held: Shares.Shares) =>
  Effect.acquireRelease(
    Effect.sync(() => Metrics.onSample(() => RequestMetrics.heldBytes.set(held.total()))),
    (end) => Effect.sync(end)
  )

/** Methods whose calls last until their client ends them. */
const LONG_PATHS = new Set([
  `/${HealthService.typeName}/${HealthService.method.watch.name}`,
  ...Reflection.paths
])

type BoundLong = (handler: Handler, paths: ReadonlySet<string>) => Handler

/** Calls of which `MAX_WATCHERS` may last. */
const WATCH_PATHS = new Set([watchCampaign.path])

/** Bounds the calls that last, all of them together, and watches of campaigns apart. */
const makeBoundLong = (clientOf: (request: Request) => number, maxWatchers: number): BoundLong => {
  const calls = Shares.make(LongCalls.MOST_LONG_CALLS)
  const watches = Shares.make(maxWatchers)
  return (handler, paths) => {
    const of = (isWatch: boolean) => new Set([...paths].filter((path) => WATCH_PATHS.has(path) === isWatch))
    const watching = LongCalls.bound({ calls: watches, clientOf, handler, paths: of(true) })
    return LongCalls.bound({ calls, clientOf, handler: watching, paths: of(false) })
  }
}

const boundLongCalls = (mounts: Mounts, boundLong: BoundLong): Mounts =>
  Object.fromEntries(
    Object.entries(mounts).map(([path, mount]) => [path, boundLong(mountOf(mount).handler, LONG_PATHS)])
  )

/** Everything that answers requests, with gRPC's health and reflection among the mounts. */
const makeRouter = (
  given: Mounts,
  routes: ReadonlyArray<Route>,
  options: Omit<Parameters<typeof Router.make>[0], "boundLong" | "mounts" | "pages" | "routes"> & {
    readonly startup: Startup["Type"]
  }
) => {
  const { config, draining, startup } = options
  const isDraining = () => draining.aborted
  const pages = Pages.make(routes, startup, isDraining)
  const services = [...new Set(routes.map((route) => route.method.parent))]
  const names = services.map(({ typeName }) => typeName)
  const health = Health.make({ services: names, ready: pages.ready, draining: isDraining })
  const reflection = config.reflection === "on" ? Reflection.make([...services, HealthService]) : {}
  const boundLong = makeBoundLong(options.dispatcher.clientOf, config.maxWatchers)
  const long = boundLongCalls({ ...reflection, ...health.mounts }, boundLong)
  const router = Router.make({ ...options, boundLong, mounts: { ...long, ...given }, pages, routes })
  return { health, router }
}

/** What all ports of the service have in common. */
interface Shared {
  readonly config: AppConfig["Type"]
  readonly startup: Startup["Type"]
  readonly dispatcher: Dispatcher.Dispatcher
  readonly secure: Credentials | undefined
  readonly patience: Patience
  readonly routes: ReadonlyArray<Route>
  readonly streams: ReadonlyArray<StreamRoute>
  /** Aborted when the service begins to drain. */
  readonly draining: AbortSignal
  /** Drains all ports at once; each adds its own to `drains` when it listens. */
  readonly drainAll: Effect.Effect<void>
  readonly drains: Array<Effect.Effect<void>>
}

/** Where one port is, what is served there besides the RPCs and health, and for how many connections. */
interface Place {
  readonly host: string
  readonly port: number
  readonly mounts: Mounts
  readonly maxConnections: number
  /** The setting that names the port. */
  readonly setting: "PORT" | "ADMIN_PORT"
}

const open = (shared: Shared, { host, maxConnections, mounts, port, setting }: Place) =>
  Effect.gen(function*() {
    const { config, dispatcher, draining, patience, routes, secure, startup } = shared
    const tls = secure !== undefined
    const { report } = dispatcher
    const { health, router } = makeRouter(mounts, routes, {
      config,
      dispatcher,
      draining,
      startup,
      streams: shared.streams,
      tls
    })
    const turns = FairTurns.make(router.serve)
    const serve = (request: Request, response: Response) =>
      turns.take(dispatcher.clientOf(request), FairTurns.weightOf(request), request, response)
    const { clientOf, clientOfAddress, clientOfSocket, held } = dispatcher
    const offences = Offences.make(clientOfSocket)
    const limits = ConnectionLimits.make({ most: maxConnections, clientOf: clientOfSocket })
    const refuses = (client: number | undefined) => offences.bars(client) || !limits.admits(client)
    const refusesAddress = (address: string) => refuses(clientOfAddress(address))
    const bodies = Bodies.make({ clientOf, held, offences })
    const h1 = Http1.make({ bodies, credentials: secure, offences, patience, serve })
    const shares = Shares.make(STREAMS_A_CALL * config.maxInFlight)
    const h2 = Http2.make({ bodies, clientOf, draining, limits, offences, patience, report, serve, shares })
    Entry.guard(h1, refusesAddress)
    const connections = NewConnections.route(h1, h2, {
      clientOf: clientOfSocket,
      limits,
      refuses,
      secure: tls,
      patienceMillis: patience.headers
    })
    const { sockets } = connections
    const { streams } = h2

    const stuck = StuckClients.make({ sockets, streams, patienceMillis: patience.reading })
    yield* sweepEvery(Math.min(5_000, patience.reading / 4), stuck.sweep, report)
    yield* sweepEvery(Math.min(2_500, patience.headers / 4), h2.sweep, report)
    let acceptors: Acceptors.Acceptors = { close: (closed) => closed() }
    const drain = Effect.suspend(() => {
      health.changed()
      router.closeAfterAnswers()
      const cutAfterMillis = Drain.drainMillis(config.shutdownTimeout)
      return Drain.drain({ acceptors, connections, cutAfterMillis, h1, h2, report })
    })
    const sharesPort = setting === "PORT" && !tls && (yield* Effect.promise(() => Acceptors.mayShare(host, port)))
    const address = yield* Effect.acquireRelease(
      Effect.tap(listen(h1, { host, port, reusePort: sharesPort, setting }), () => {
        shared.drains.push(drain)
      }),
      () => shared.drainAll
    )
    h1.on("error", report)
    acceptors = yield* startAcceptors(h1, sharesPort, { maxConnections, refuses: refusesAddress, failed: report })
    if (setting === "PORT") yield* measureConnections(maxConnections, connections.count)

    const bracketed = address.family === "IPv6" ? `[${address.address}]` : address.address
    const url = `${tls ? "https" : "http"}://${bracketed}:${address.port}`
    return { host: address.address, port: address.port, url }
  })

const make = (mounts: Mounts, given: ReadonlyArray<Route>, patience: Patience, forOperators: Mounts) =>
  Effect.gen(function*() {
    const config = yield* AppConfig
    const startup = yield* Startup
    const secure = yield* credentials(config)
    const dispatcher = yield* Dispatcher.make
    const leaving = new AbortController()
    const drains: Array<Effect.Effect<void>> = []
    const drainAll = yield* Effect.cached(Effect.suspend(() => {
      leaving.abort()
      return Effect.all(drains, { concurrency: "unbounded", discard: true })
    }))
    const draining = leaving.signal
    const routes = given.map((route) => Routes.served(route, config))
    // The streams of the service go with its calls; a test's calls have none.
    const streams = given === AllRoutes.routes ? CouponStreams.streams : []
    const calls = { config, startup, dispatcher, routes, streams }
    const shared: Shared = { ...calls, secure, patience, draining, drainAll, drains }
    const { adminHost, adminPort, listenHost, maxConnections, port } = config
    const apart = Option.isSome(adminPort)
    let operatorUrl: string | undefined
    if (apart) {
      const place = { host: adminHost, port: adminPort.value, mounts: forOperators, maxConnections: ADMIN_CONNECTIONS }
      const bound = yield* open(shared, { ...place, setting: "ADMIN_PORT" })
      operatorUrl = bound.url
      yield* Effect.logInfo(`operators at port ${bound.port} of ${bound.host}`)
    }
    const all = apart ? mounts : { ...mounts, ...forOperators }
    const listener = yield* open(shared, { host: listenHost, port, mounts: all, maxConnections, setting: "PORT" })
    yield* measureHeld(dispatcher.held)
    return { ...listener, operatorUrl: operatorUrl ?? listener.url }
  })

/**
 * Listens on HOST and PORT for HTTP/1.1 and HTTP/2 (prior knowledge), and serves `mounts` next to the RPCs. What is
 * `forOperators` is served there too, unless ADMIN_PORT is set: then on that port alone, next to the RPCs and health.
 */
export const layerWith = (
  mounts: Mounts,
  routes: ReadonlyArray<Route> = AllRoutes.routes,
  patience: Partial<Patience> = {},
  forOperators: Mounts = {}
): Layer.Layer<Listener, ListenFailed, AppConfig | Startup> =>
  Layer.scoped(Listener, make(mounts, routes, { ...DEFAULT_PATIENCE, ...patience }, forOperators))

/**
 * The RPCs and health on HOST and PORT. When its scope closes, the server drains: it stops accepting, finishes what was
 * admitted, ends every connection after its answers, and cuts what remains shortly before SHUTDOWN_TIMEOUT.
 */
export const layer: Layer.Layer<Listener, ListenFailed, AppConfig | Startup> = layerWith({})
