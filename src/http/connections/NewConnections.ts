import type * as http from "node:http"
import type * as http2 from "node:http2"
import type { Socket } from "node:net"
import type { TLSSocket } from "node:tls"
import { belongs, type Connection, type ConnectionLimits, connectionOf } from "../protection/ConnectionLimits.ts"
import { sniff } from "./ProtocolSniffer.ts"

/** The connections of a port. */
export interface NewConnections {
  /** All that are open, whose TLS handshake, if any, is over. */
  readonly sockets: ReadonlySet<Socket>
  /** Those that belong to neither server yet: in their handshake, or silent. */
  readonly undecided: ReadonlySet<Socket>
  /** How many there are of both. */
  readonly count: () => number
}

/**
 * Hands each new connection of `h1` to the server whose protocol it speaks, which it shows within `patienceMillis`. The
 * HTTP/1.1 server owns the port, so that Node tracks its connections and enforces its timeouts.
 */
export const route = (
  h1: http.Server,
  h2: { readonly clients: http2.Http2Server; readonly proxies: http2.Http2Server },
  { clientOf, limits, patienceMillis, refuses, secure }: {
    /** `undefined`: a trusted proxy. */
    readonly clientOf: (socket: Socket) => number | undefined
    readonly limits: ConnectionLimits
    /** Whether a client's new connections are closed at once. */
    readonly refuses: (client: number | undefined) => boolean
    readonly secure: boolean
    readonly patienceMillis: number
  }
): NewConnections => {
  const sockets = new Set<Socket>()
  const undecided = new Set<Socket>()
  // Raw ones whose handshake goes on, by their client's address: TLS hands on a socket that does not name the one
  // beneath it.
  const handshaking = new Map<string, Socket>()
  const peer = (socket: Socket) => `${socket.remoteAddress} ${socket.remotePort}`
  const connected = secure ? "secureConnection" : "connection"
  const [serveHttp1] = h1.listeners(connected) as [(socket: Socket) => void]
  h1.removeAllListeners(connected)
  const serveHttp2 = (socket: Socket) => {
    // Half-open connections are an affair of HTTP/1.1 clients; an HTTP/2 client that says FIN is gone.
    socket.allowHalfOpen = false
    const connection = connectionOf(socket)
    const begun = (session: http2.ServerHttp2Session) => {
      if (connection !== undefined) limits.beginsSession(connection, session)
    }
    const server = clientOf(socket) === undefined ? h2.proxies : h2.clients
    // Node makes the session in this call.
    server.once("session", begun)
    server.emit("connection", socket)
    server.removeListener("session", begun)
  }
  if (secure) {
    h1.on("connection", (raw: Socket) => {
      if (refuses(clientOf(raw))) return void raw.destroy()
      limits.take(raw)
      const name = peer(raw)
      handshaking.set(name, raw)
      undecided.add(raw)
      raw.once("close", () => {
        if (handshaking.get(name) === raw) handshaking.delete(name)
        undecided.delete(raw)
      })
    })
  }
  h1.on(connected, (socket: Socket) => {
    if (!secure && refuses(clientOf(socket))) return void socket.destroy()
    if (!secure) limits.take(socket)
    sockets.add(socket)
    socket.once("close", () => {
      sockets.delete(socket)
      undecided.delete(socket)
    })
    if (secure) {
      const name = peer(socket)
      const raw = handshaking.get(name)
      const connection: Connection | undefined = raw === undefined ? undefined : connectionOf(raw)
      if (connection !== undefined) {
        connection.socket = socket
        belongs(socket, connection)
      }
      undecided.delete(raw!)
      handshaking.delete(name)
      // Agreed upon in the handshake: nothing to guess.
      if ((socket as TLSSocket).alpnProtocol === "h2") serveHttp2(socket)
      else serveHttp1.call(h1, socket)
      return
    }
    undecided.add(socket)
    sniff(socket, patienceMillis, (protocol) => {
      undecided.delete(socket)
      if (protocol === "http1") serveHttp1.call(h1, socket)
      else serveHttp2(socket)
    })
  })
  return { sockets, undecided, count: () => secure ? sockets.size + undecided.size : sockets.size }
}
