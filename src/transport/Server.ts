import * as http from "node:http"
import * as http2 from "node:http2"
import * as net from "node:net"
import type { AddressInfo, Socket } from "node:net"
import type { Readable } from "node:stream"
import { Code } from "@connectrpc/connect"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../AppConfig.ts"
import { Startup } from "../issuance/Startup.ts"
import * as ConnectAdapter from "./ConnectAdapter.ts"
import * as CouponRoutes from "./CouponRoutes.ts"
import * as Dispatcher from "./Dispatcher.ts"
import { refusal } from "./ErrorCatalog.ts"
import { Health as HealthService } from "./gen/grpc/health/v1/health_pb.ts"
import * as Health from "./Health.ts"
import { sniff } from "./ProtocolSniffer.ts"
import * as Reflection from "./Reflection.ts"
import type { Route } from "./Route.ts"
import type { Request, Response } from "./UnaryLane.ts"
import * as UnaryLane from "./UnaryLane.ts"

/** The service listens, and this is where. */
export class Listener extends Context.Tag("coupon/transport/Listener")<Listener, {
  /** The address that is bound, e.g. `127.0.0.1` or `::`. */
  readonly host: string
  /** The port that is bound: the one the system picked if PORT is 0. */
  readonly port: number
  /** `http://host:port`, brackets around IPv6. */
  readonly url: string
}>() {}

/** HOST and PORT cannot be listened on; `message` says what to do. */
export class ListenFailed extends Data.TaggedError("ListenFailed")<{ readonly message: string; readonly cause: unknown }> {}

/**
 * Other things served on the same port, by path prefix (`/metrics`: it and all below `/metrics/`); the longest prefix wins.
 * `draining` is aborted when the server begins to drain, which waits for answers that are still being written.
 */
export type Mounts = Readonly<Record<string, (request: Request, response: Response, draining: AbortSignal) => void>>

/** Time for a connection's first bytes, and for the headers of any request. */
const HEADERS_TIMEOUT_MILLIS = 10_000
/** Time for a whole request: headers and at most 1 MiB of body. */
const REQUEST_RECEIVE_TIMEOUT_MILLIS = 30_000
/** Longer than the 60 s that load balancers keep an idle connection: the one that opened it closes it. */
const KEEP_ALIVE_MILLIS = 65_000
/** An HTTP/2 connection without a byte for this long is told GOAWAY. */
const HTTP2_IDLE_MILLIS = 300_000
const MAX_HEADER_BYTES = 16_384
const MAX_STREAMS = 250

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

const listen = (server: http.Server, host: string, port: number) =>
  Effect.async<AddressInfo, ListenFailed>((resume) => {
    const onError = (cause: NodeJS.ErrnoException) => {
      const why = cause.code === "EADDRINUSE"
        ? "something else listens there; stop it, or set PORT to another one (0 picks a free one)"
        : cause.code === "EACCES"
        ? "this user may not; set PORT to 1024 or more"
        : cause.code === "EADDRNOTAVAIL" || cause.code === "ENOTFOUND"
        ? "this machine has no such address; set HOST"
        : cause.message
      resume(Effect.fail(new ListenFailed({ message: `cannot listen on ${host} port ${port}: ${why}`, cause })))
    }
    server.once("error", onError)
    // A burst of new connections waits here while the process is busy; the kernel caps it at somaxconn.
    server.listen({ host, port, backlog: 4_096 }, () => {
      server.removeListener("error", onError)
      resume(Effect.succeed(server.address() as AddressInfo))
    })
  })

const make = (mounts: Mounts, routes: ReadonlyArray<Route>) =>
  Effect.gen(function*() {
    const config = yield* AppConfig
    const startup = yield* Startup
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
      else sendJson(response, 503, { status: "starting", waitingFor: startup.waitingFor() }, false)
    }
    const services = [...new Set(routes.map((route) => route.method.parent))]
    const health = Health.make({ services: services.map(({ typeName }) => typeName), ready, draining: () => draining })
    const mounted = Object.entries({ ...Reflection.make([...services, HealthService]), ...health.mounts, ...mounts })
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

    const route = (request: Request, response: Response) => {
      if (response instanceof http.ServerResponse) {
        if (draining) response.shouldKeepAlive = false
        unhurried.add(response)
        response.once("close", () => unhurried.delete(response))
        response.once("finish", () => dropRest(request))
      }
      if (adapter(request, response)) return
      const path = request.url!.split("?", 1)[0]!
      const mount = mounted.find(([prefix]) => path === prefix || path.startsWith(`${prefix}/`))
      if (mount !== undefined) mount[1](request, response, leaving.signal)
      else page(request, response, path)
    }

    const serve = (request: Request, response: Response) => {
      try {
        if (!lane(request, response)) route(request, response)
      } catch (defect) {
        dispatcher.report(defect)
        response.destroy()
      }
    }

    const h1 = http.createServer({
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MILLIS,
      requestTimeout: REQUEST_RECEIVE_TIMEOUT_MILLIS,
      keepAliveTimeout: KEEP_ALIVE_MILLIS,
      connectionsCheckingInterval: 1_000
    }, serve)
    h1.maxConnections = config.maxConnections

    const h2 = http2.createServer({
      settings: { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: MAX_HEADER_BYTES, enablePush: false }
    }, (request, response) => {
      // HTTP/1.1 has requestTimeout; a stream whose body never ends is ours to close.
      const timer = setTimeout(() => request.stream.close(http2.constants.NGHTTP2_CANCEL), REQUEST_RECEIVE_TIMEOUT_MILLIS)
      const clear = () => clearTimeout(timer)
      request.once("end", clear)
      request.once("close", clear)
      const { stream } = request
      stream.once("finish", () => dropRest(stream))
      serve(request, response)
    })
    h2.setTimeout(HTTP2_IDLE_MILLIS)
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

    // The HTTP/1.1 server owns the port, so that Node tracks its connections and enforces its timeouts; only what it does
    // with a new connection is put off until the protocol is known.
    const sockets = new Set<Socket>()
    const undecided = new Set<Socket>()
    const [serveHttp1] = h1.listeners("connection") as [(socket: Socket) => void]
    h1.removeAllListeners("connection")
    h1.on("connection", (socket: Socket) => {
      sockets.add(socket)
      undecided.add(socket)
      socket.once("close", () => {
        sockets.delete(socket)
        undecided.delete(socket)
      })
      sniff(socket, HEADERS_TIMEOUT_MILLIS, (protocol) => {
        undecided.delete(socket)
        if (protocol === "http1") serveHttp1.call(h1, socket)
        else {
          // Half-open connections are an affair of HTTP/1.1 clients; an HTTP/2 client that says FIN is gone.
          socket.allowHalfOpen = false
          h2.emit("connection", socket)
        }
      })
    })

    const drain = Effect.async<void>((resume) => {
      draining = true
      leaving.abort()
      health.changed()
      for (const socket of undecided) socket.destroy()
      for (const response of unhurried) if (!response.headersSent) response.shouldKeepAlive = false
      for (const session of sessions) session.close()
      // Node takes a connection for idle when its answer is written, though not sent: let answers leave first.
      const closeIdle = () => {
        for (const socket of sockets) if (socket.writableLength > 0) return
        h1.closeIdleConnections()
      }
      closeIdle()
      const sweep = setInterval(closeIdle, 20)
      const force = setTimeout(() => {
        for (const session of sessions) session.destroy()
        for (const socket of sockets) socket.destroy()
      }, drainMillis(config.shutdownTimeout))
      // Calls back when every connection, of either protocol, is closed. Not http's own close, which would begin by
      // closing connections that it takes for idle.
      net.Server.prototype.close.call(h1, () => {
        clearInterval(sweep)
        clearTimeout(force)
        // Ends the HTTP/1.1 server's checks of its timeouts; there is nothing left to close.
        h1.close(() => resume(Effect.void))
      })
    })

    const address = yield* Effect.acquireRelease(listen(h1, config.listenHost, config.port), () => drain)
    h1.on("error", (cause) => dispatcher.report(cause))
    const host = address.address
    return { host, port: address.port, url: `http://${address.family === "IPv6" ? `[${host}]` : host}:${address.port}` }
  })

/** Listens on HOST and PORT for HTTP/1.1 and HTTP/2 (prior knowledge), and serves `mounts` next to the RPCs. */
export const layerWith = (
  mounts: Mounts,
  routes: ReadonlyArray<Route> = CouponRoutes.routes
): Layer.Layer<Listener, ListenFailed, AppConfig | Startup> => Layer.scoped(Listener, make(mounts, routes))

/**
 * The RPCs and health on HOST and PORT. When its scope closes, it drains: it stops accepting, finishes what was admitted,
 * says goodbye on every connection, and cuts off what remains shortly before SHUTDOWN_TIMEOUT.
 */
export const layer: Layer.Layer<Listener, ListenFailed, AppConfig | Startup> = layerWith({})
