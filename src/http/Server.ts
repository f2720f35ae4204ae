import * as http from "node:http"
import * as http2 from "node:http2"
import * as https from "node:https"
import * as net from "node:net"
import type { Socket } from "node:net"
import type { Readable } from "node:stream"
import { Code } from "@connectrpc/connect"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../config/AppConfig.ts"
import * as Metrics from "../metrics/Metrics.ts"
import { Startup } from "../rpc/Startup.ts"
import * as Acceptors from "./Acceptors.ts"
import * as BrowserHeaders from "./BrowserHeaders.ts"
import * as ConnectAdapter from "../rpc/ConnectAdapter.ts"
import * as Cors from "./Cors.ts"
import * as CouponRoutes from "../rpc/CouponRoutes.ts"
import * as Dispatcher from "../rpc/dispatch/Dispatcher.ts"
import { refusal } from "../rpc/ErrorCatalog.ts"
import { Health as HealthService } from "../contract/gen/grpc/health/v1/health_pb.ts"
import { guarded } from "../rpc/Guarded.ts"
import * as Health from "./Health.ts"
import { credentials, listen, type ListenFailed } from "./Listening.ts"
import * as NewConnections from "./NewConnections.ts"
import * as Reflection from "./Reflection.ts"
import * as RequestHead from "../rpc/RequestHead.ts"
import type { Route } from "../rpc/Route.ts"
import * as StuckClients from "./StuckClients.ts"
import type { Request, Response } from "../rpc/Request.ts"
import * as UnaryLane from "../rpc/UnaryLane.ts"
import type { Mounts } from "./Mounts.ts"

/** The service listens, and this is where. */
export class Listener extends Context.Tag("coupon/transport/Listener")<Listener, {
  /** The address that is bound, e.g. `127.0.0.1` or `::`. */
  readonly host: string
  /** The port that is bound: the one the system picked if PORT is 0. */
  readonly port: number
  /** `http://host:port` (or `https`), brackets around IPv6. */
  readonly url: string
}>() {}

/** How long clients may take, in milliseconds. */
export interface Patience {
  /** For a connection's first bytes, a TLS handshake, and the headers of any request. */
  readonly headers: number
  /** For a whole request: headers and at most 1 MiB of body. */
  readonly request: number
  /** For a client to ask again on its connection. */
  readonly keepAlive: number
  /** For an HTTP/2 connection without a byte; then it is told GOAWAY. */
  readonly http2Idle: number
  /** For a client to take 64 KiB of an answer. */
  readonly reading: number
}

const patient: Patience = {
  headers: 10_000,
  request: 30_000,
  // Longer than the 60 s that load balancers keep an idle connection: the one that opened it closes it.
  keepAlive: 65_000,
  http2Idle: 300_000,
  reading: 30_000
}

const MAX_HEADER_BYTES = 16_384
const MAX_STREAMS = 250
/**
 * Streams that a client may open and reset again ("rapid reset", CVE-2023-44487) before its connection is ended: many at once, as
 * when users behind one proxy give up together, and so many a second for ever.
 */
const STREAM_RESET_BURST = 2_000
const STREAM_RESETS_A_SECOND = 100

/** Time kept back from SHUTDOWN_TIMEOUT for the stores to close after the transport. */
const drainMillis = (shutdownTimeout: Duration.Duration) => {
  const all = Duration.toMillis(shutdownTimeout)
  return all - Math.min(1_000, all / 4)
}

const sendJson = (response: Response, status: number, value: unknown, last: boolean) => {
  const body = `${JSON.stringify(value)}\n`
  UnaryLane.send(response, status, "application/json", body, Buffer.byteLength(body), last)
}

const guide = {
  service: "coupon.v1.CouponService",
  protocols: ["Connect", "gRPC", "gRPC-Web"],
  rpcs: CouponRoutes.routes.map((route) => `POST ${route.path}`),
  health: ["GET /livez", "GET /readyz", "grpc.health.v1.Health"],
  reflection: ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]
}

/**
 * For a request that is answered before its body was read to the end (it is too large): what still comes is dropped. Else an
 * HTTP/2 stream stays open until the client has sent it all to nobody, and an HTTP/1.1 connection never reads its next request.
 */
const dropRest = (body: Readable) => {
  if (body.readableEnded || body.destroyed) return
  body.removeAllListeners("data")
  body.resume()
}

const make = (mounts: Mounts, routes: ReadonlyArray<Route>, patience: Patience) =>
  Effect.gen(function*() {
    const config = yield* AppConfig
    const startup = yield* Startup
    const secure = yield* credentials(config)
    const dispatcher = yield* Dispatcher.make
    const maxBodyBytes = config.maxBodyBytes
    let draining = false
    const leaving = new AbortController()

    const lane = UnaryLane.make(routes, { dispatcher, maxBodyBytes, draining: () => draining })
    const adapter = ConnectAdapter.make(routes, { dispatcher, maxBodyBytes })

    const ready = () => startup.current() !== undefined && startup.waitingFor().length === 0
    const readiness = (response: Response) => {
      if (draining) sendJson(response, 503, { status: "draining" }, true)
      else if (ready()) sendJson(response, 200, { status: "ready" }, false)
      else {
        const status = startup.current() === undefined ? "starting" : "unavailable"
        sendJson(response, 503, { status, waitingFor: startup.waitingFor() }, false)
      }
    }
    const services = [...new Set(routes.map((route) => route.method.parent))]
    const health = Health.make({ services: services.map(({ typeName }) => typeName), ready, draining: () => draining })
    const reflection = config.reflection === "on" ? Reflection.make([...services, HealthService]) : {}
    const mounted = Object.entries({ ...reflection, ...health.mounts, ...mounts })
      .sort(([a], [b]) => b.length - a.length)

    const refuse = (request: Request, response: Response, status: number, code: Code, message: string) => {
      const { body, type } = refusal(request.headers["content-type"], code, message)
      UnaryLane.send(response, status, type, body, Buffer.byteLength(body), draining)
    }
    const rpcs = `RPCs are ${routes.map((route) => `POST ${route.path}`).join(", ")}`

    const page = (request: Request, response: Response, path: string) => {
      const known = path === "/livez" || path === "/readyz" || path === "/"
      if (!known) {
        refuse(request, response, 404, Code.Unimplemented, `there is no such path; ${rpcs}`)
      } else if (request.method !== "GET" && request.method !== "HEAD") {
        (response as http.ServerResponse).setHeader("Allow", "GET, HEAD")
        refuse(request, response, 405, Code.Unknown, `${path} takes GET`)
      } else if (path === "/livez") sendJson(response, 200, { status: "alive" }, draining)
      else if (path === "/readyz") readiness(response)
      else sendJson(response, 200, guide, draining)
    }

    /** HTTP/1.1 responses that the lane does not write, so that draining can ask them to be the last on their connection. */
    const unhurried = new Set<http.ServerResponse>()

    const readHead = RequestHead.make()
    /** Whether the request is to be answered; else it has been, with 400. */
    const isWellFormed = (request: Request, response: Response) => {
      const problem = readHead(request)
      if (problem === undefined) return true
      refuse(request, response, 400, Code.InvalidArgument, `INVALID_ARGUMENT: ${problem}`)
      return false
    }

    const route = (request: Request, response: Response) => {
      if (response instanceof http.ServerResponse) {
        if (draining) response.shouldKeepAlive = false
        unhurried.add(response)
        response.once("close", () => unhurried.delete(response))
        response.once("finish", () => dropRest(request))
      }
      if (request.method !== "POST") BrowserHeaders.set(response, secure !== undefined)
      if (!isWellFormed(request, response)) return
      if (adapter(request, response)) return
      const path = request.url!.split("?", 1)[0]!
      const mount = mounted.find(([prefix]) => path === prefix || path.startsWith(`${prefix}/`))
      if (mount !== undefined) mount[1](request, response, leaving.signal)
      else page(request, response, path)
    }

    const cors = config.corsOrigins.length === 0 ? undefined : Cors.make(config.corsOrigins)

    const serve = (request: Request, response: Response) => {
      try {
        // Only a preflight is answered without going further.
        if (cors !== undefined && request.method === "OPTIONS" && !isWellFormed(request, response)) return
        if (cors !== undefined && cors(request, response)) return
        if (!lane(request, response)) route(request, response)
      } catch (defect) {
        dispatcher.report(defect)
        response.destroy()
      }
    }

    const h1Options = {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: patience.headers,
      requestTimeout: patience.request,
      keepAliveTimeout: patience.keepAlive,
      connectionsCheckingInterval: Math.min(1_000, patience.headers / 4)
    }
    const h1 = secure === undefined ? http.createServer(h1Options, serve) : https.createServer({
      ...h1Options,
      ...secure,
      minVersion: "TLSv1.2",
      ALPNProtocols: ["h2", "http/1.1"],
      handshakeTimeout: patience.headers
    }, serve)
    h1.maxConnections = config.maxConnections
    h1.on("drop", () => Metrics.connectionsRefused.add())

    const streams = new Set<http2.ServerHttp2Stream>()
    const h2 = http2.createServer({
      streamResetBurst: STREAM_RESET_BURST,
      streamResetRate: STREAM_RESETS_A_SECOND,
      settings: { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: MAX_HEADER_BYTES, enablePush: false }
    }, (request, response) => {
      // HTTP/1.1 has requestTimeout; a stream whose body never ends is ours to close.
      const cancel = guarded(dispatcher.report, () => request.stream.close(http2.constants.NGHTTP2_CANCEL))
      const timer = setTimeout(cancel, patience.request)
      const clear = () => clearTimeout(timer)
      request.once("end", clear)
      request.once("close", clear)
      const { stream } = request
      streams.add(stream)
      stream.once("close", () => streams.delete(stream))
      stream.once("finish", () => dropRest(stream))
      serve(request, response)
    })
    h2.setTimeout(patience.http2Idle)
    h2.on("timeout", (session: http2.ServerHttp2Session) => session.close())
    const sessions = new Set<http2.ServerHttp2Session>()
    h2.on("session", (session) => {
      sessions.add(session)
      session.once("close", () => sessions.delete(session))
      if (draining) session.close()
    })
    // A connection that breaks is its client's business; without listeners it would be ours.
    h2.on("sessionError", () => {})
    h2.on("clientError", (_error: Error, socket: Socket) => socket.destroy())

    const { count, sockets, undecided } = NewConnections.route(h1, h2, {
      secure: secure !== undefined,
      patienceMillis: patience.headers
    })

    const stuck = StuckClients.make({ sockets, streams, patienceMillis: patience.reading })
    const sweepStuck = guarded(dispatcher.report, stuck.sweep)
    const stuckSweep = setInterval(sweepStuck, Math.min(5_000, patience.reading / 4)).unref()

    const drain = Effect.async<void>((resume) => {
      draining = true
      leaving.abort()
      health.changed()
      for (const socket of undecided) socket.destroy()
      for (const response of unhurried) if (!response.headersSent) response.shouldKeepAlive = false
      for (const session of sessions) session.close()
      // Node takes a connection for idle when its answer is written, though not sent: let answers leave first.
      const closeIdle = guarded(dispatcher.report, () => {
        for (const socket of sockets) if (socket.writableLength > 0) return
        h1.closeIdleConnections()
      })
      closeIdle()
      const sweep = setInterval(closeIdle, 20)
      const cut = guarded(dispatcher.report, () => {
        for (const session of sessions) session.destroy()
        for (const socket of sockets) socket.destroy()
      })
      const force = setTimeout(cut, drainMillis(config.shutdownTimeout))
      // Calls back when every connection, of either protocol, is closed. Not http's own close, which would begin by
      // closing connections that it takes for idle.
      let open = 2
      const closed = () => {
        if (--open > 0) return
        clearInterval(sweep)
        clearInterval(stuckSweep)
        clearTimeout(force)
        // Ends the HTTP/1.1 server's checks of its timeouts; there is nothing left to close.
        h1.close(() => resume(Effect.void))
      }
      net.Server.prototype.close.call(h1, closed)
      acceptors.close(closed)
    })

    // Handshakes take so long that accepting does not matter.
    const shares = secure === undefined && (yield* Effect.promise(() => Acceptors.mayShare(config.listenHost, config.port)))
    let acceptors: Acceptors.Acceptors = { close: (closed) => closed() }
    const address = yield* Effect.acquireRelease(listen(h1, config.listenHost, config.port, shares), () => drain)
    h1.on("error", dispatcher.report)
    if (shares) {
      const { maxConnections } = config
      acceptors = yield* Effect.promise(() => Acceptors.start(h1, { maxConnections, failed: dispatcher.report }))
    }
    Metrics.connections.limit.set(config.maxConnections)
    yield* Effect.acquireRelease(
      Effect.sync(() => Metrics.onSample(() => Metrics.connections.open.set(count()))),
      (end) => Effect.sync(end)
    )
    const host = address.address
    const scheme = secure === undefined ? "http" : "https"
    return { host, port: address.port, url: `${scheme}://${address.family === "IPv6" ? `[${host}]` : host}:${address.port}` }
  })

/** Listens on HOST and PORT for HTTP/1.1 and HTTP/2 (prior knowledge), and serves `mounts` next to the RPCs. */
export const layerWith = (
  mounts: Mounts,
  routes: ReadonlyArray<Route> = CouponRoutes.routes,
  patience: Partial<Patience> = {}
): Layer.Layer<Listener, ListenFailed, AppConfig | Startup> => Layer.scoped(Listener, make(mounts, routes, { ...patient, ...patience }))

/**
 * The RPCs and health on HOST and PORT. When its scope closes, it drains: it stops accepting, finishes what was admitted,
 * says goodbye on every connection, and cuts off what remains shortly before SHUTDOWN_TIMEOUT.
 */
export const layer: Layer.Layer<Listener, ListenFailed, AppConfig | Startup> = layerWith({})
