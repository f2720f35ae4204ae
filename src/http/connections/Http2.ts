import * as http2 from "node:http2"
import type { Socket } from "node:net"
import { protections } from "../../metrics/ProtectionMetrics.ts"
import type { Shares } from "../../rpc/admission/Shares.ts"
import { guarded } from "../../rpc/Guarded.ts"
import type { Request, Response } from "../../rpc/Request.ts"
import type { Patience } from "../Patience.ts"
import type { Bodies } from "../protection/Bodies.ts"
import { type ConnectionLimits, connectionOf, requestBegan, requestEnded } from "../protection/ConnectionLimits.ts"
import * as UnfinishedSessions from "../protection/UnfinishedSessions.ts"
import { dropRest } from "./DropRest.ts"
import { MAX_HEADER_BYTES } from "./Http1.ts"
import type { Offences } from "../protection/Offences.ts"
import * as WastedStreams from "../protection/WastedStreams.ts"

/** The HTTP/2 servers, and what is open on them. They listen nowhere: connections are handed to them. */
export interface Http2 {
  readonly clients: http2.Http2Server
  /** For connections of trusted proxies, which carry the streams of many clients. */
  readonly proxies: http2.Http2Server
  readonly sessions: ReadonlySet<http2.ServerHttp2Session>
  readonly streams: ReadonlySet<http2.ServerHttp2Stream>
  /** Ends sessions that come to nothing; runs from a timer. */
  readonly sweep: () => void
}

/** Of one session. */
const MAX_STREAMS = 100

/**
 * Streams that a client may open and reset again before nghttp2 ends its connection, which it does in the middle of
 * what one read brought. What a client wastes in all its connections is bounded by `WastedStreams`.
 */
const OF_CLIENTS = {
  streams: MAX_STREAMS,
  streamWindow: 65_535,
  sessionWindow: 65_535,
  streamResetBurst: 2_000,
  streamResetRate: 100
}

/**
 * A trusted proxy resets what its clients reset, and one of them must not end the connection of all: none of Node's
 * bounds on what goes wrong is ever reached. Each client is held to its own budget by `WastedStreams`. Node counts a
 * stream that was reset for a while longer than the proxy does, so it allows more than the 100 of envoy/envoy.yaml.
 */
const UNBOUNDED = 1_000_000_000
const PROXY_STREAMS = 10 * MAX_STREAMS
/** Of a body that is not read, as `Bodies` leaves some, so much arrives. */
const PROXY_STREAM_WINDOW = 8_192
const OF_PROXIES = {
  streams: PROXY_STREAMS,
  streamWindow: PROXY_STREAM_WINDOW,
  // As much for each stream: else one client's bodies, in all of them, would hold up those of others.
  sessionWindow: PROXY_STREAMS * PROXY_STREAM_WINDOW,
  // In MB. Beyond it Node refuses new streams, also those of clients that read their answers; HELD_BYTES bounds more.
  maxSessionMemory: 100,
  streamResetBurst: UNBOUNDED,
  streamResetRate: UNBOUNDED,
  maxSessionRejectedStreams: UNBOUNDED
}

/** A client that was sent GOAWAY for its idleness ends the connection within this time, or the server does. */
const GOODBYE_MILLIS = 1_000

/** A session that begins while `draining` is aborted is sent GOAWAY at once. */
export const make = (options: {
  readonly bodies: Bodies
  readonly clientOf: (request: Request) => number
  readonly draining: AbortSignal
  readonly limits: ConnectionLimits
  readonly offences: Offences
  readonly patience: Patience
  readonly report: (cause: unknown) => void
  readonly serve: (request: Request, response: Response) => void
  /** The streams that are open, of all clients. */
  readonly shares: Shares
}): Http2 => {
  const { bodies, clientOf, draining, limits, offences, patience, report, serve, shares } = options
  const sessions = new Set<http2.ServerHttp2Session>()
  const streams = new Set<http2.ServerHttp2Stream>()
  const wasted = WastedStreams.make({ limits, offences })
  /** Open streams of each session. */
  const open = new WeakMap<http2.Http2Session, number>()
  const unfinished = UnfinishedSessions.make({
    headersMillis: patience.headers,
    idleMillis: patience.http2Idle,
    openStreams: (session) => open.get(session) ?? 0,
    sessions
  })

  const begun = (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => {
    const { stream } = request
    const { session } = stream
    // Only a stream that has ended has none, and `WastedStreams.begins` lets none of those pass.
    if (session === undefined) return
    const client = clientOf(request)
    if (!wasted.admits(client, stream)) return
    if (!shares.take(client, 1)) {
      protections.streams.add()
      return stream.close(http2.constants.NGHTTP2_REFUSED_STREAM)
    }
    const beganAt = performance.now()
    requestBegan(session)
    bodies.guard(stream, client, connectionOf(session)?.client !== client)
    // HTTP/1.1 has requestTimeout. In HTTP/2, Node leaves a stream open whose body never ends.
    const cancel = guarded(report, () => request.stream.close(http2.constants.NGHTTP2_CANCEL))
    const timer = setTimeout(cancel, patience.request)
    const clear = () => clearTimeout(timer)
    request.once("end", clear)
    request.once("close", clear)
    streams.add(stream)
    open.set(session, (open.get(session) ?? 0) + 1)
    stream.once("close", () => {
      streams.delete(stream)
      open.set(session, open.get(session)! - 1)
      shares.give(client, 1)
      requestEnded(session)
      if (stream.aborted) wasted.givenUp(client, session, stream, beganAt)
    })
    stream.once("finish", () => dropRest(stream))
    serve(request, response)
  }

  const makeServer = ({ sessionWindow, streams: most, streamWindow, ...bounds }: {
    readonly streams: number
    readonly streamWindow: number
    readonly sessionWindow: number
  }): http2.Http2Server => {
    const settings = {
      maxConcurrentStreams: most,
      maxHeaderListSize: MAX_HEADER_BYTES,
      initialWindowSize: streamWindow,
      enablePush: false
    }
    const server = http2.createServer({ ...bounds, settings }, begun)
    server.setTimeout(patience.http2Idle)
    server.on("timeout", (session: http2.ServerHttp2Session) => {
      session.close()
      const { socket } = connectionOf(session) ?? {}
      if (socket !== undefined) setTimeout(() => socket.destroy(), GOODBYE_MILLIS).unref()
    })
    server.on("session", (session) => {
      sessions.add(session)
      session.setLocalWindowSize(sessionWindow)
      unfinished.begun(session)
      session.once("close", () => sessions.delete(session))
      // In place of Node's own listener, which makes a request and a response of each stream first.
      session.removeAllListeners("stream")
      session.on("stream", (stream: http2.ServerHttp2Stream, ...rest: ReadonlyArray<unknown>) => {
        unfinished.requested(session, stream.id!)
        if (wasted.begins(session, stream)) server.emit("stream", stream, ...rest)
      })
      if (draining.aborted) session.close()
    })
    // Without these listeners a connection that breaks would end the process.
    server.on("sessionError", () => {})
    server.on("clientError", (_error: Error, socket: Socket) => socket.destroy())
    return server
  }
  return {
    clients: makeServer(OF_CLIENTS),
    proxies: makeServer(OF_PROXIES),
    sessions,
    streams,
    sweep: unfinished.sweep
  }
}
