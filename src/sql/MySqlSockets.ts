import * as Net from "node:net"
import { showHost, type HostAddress } from "../StoreUrl.ts"

/** The server said nothing for so long that its connection is given up. */
export class ReplyTimeout extends Error {
  override readonly name = "ReplyTimeout"
}

/** No connection was tried: there is no server to write to, or an attempt failed a moment ago. */
export class NotConnected extends Error {
  override readonly name = "NotConnected"
}

/** The connection led to a server that is not the primary any more. */
export class PrimaryMoved extends Error {
  override readonly name = "PrimaryMoved"
}

const FIRST_RETRY_MILLIS = 25
const LAST_RETRY_MILLIS = 500

/** Pause after the n-th failure in a row (from 1): 25 ms doubling to 500 ms, less up to a half, so that instances do not come in step. */
const retryDelay = (failures: number): number =>
  Math.min(FIRST_RETRY_MILLIS * 2 ** Math.min(failures - 1, 10), LAST_RETRY_MILLIS) * (0.5 + Math.random() / 2)

/**
 * Connects a socket. A server that is stopped, or behind a partition that drops packets, answers nothing and closes nothing;
 * without a timeout of our own each such connection would keep its place in the pool for the quarter of an hour that TCP takes to
 * notice. Idle connections are closed too: the pool opens new ones when it needs them.
 */
const connect = (socket: Net.Socket, host: HostAddress, replyTimeoutMillis: number): Net.Socket => {
  socket.setNoDelay(true).setKeepAlive(true, 10_000).connect(host)
  socket.setTimeout(replyTimeoutMillis, () =>
    socket.destroy(new ReplyTimeout(`MySQL at ${showHost(host)} was silent for ${replyTimeoutMillis} ms`)))
  return socket
}

/** A socket to that server, whatever it is. */
export const openSocket = (host: HostAddress, replyTimeoutMillis: number): Net.Socket => connect(new Net.Socket(), host, replyTimeoutMillis)

/** The sockets of a pool, which at any time all lead to one server. */
export interface MySqlSockets {
  /** A socket to the primary; one that waits for `lead` while that is in question; one that fails at once if there is none. */
  readonly open: () => Net.Socket
  /** The server that the sockets lead to. */
  readonly host: () => HostAddress | undefined
  /**
   * From now on leads there; sockets that lead elsewhere are closed first, whatever is under way on them. `confirmed`: the
   * server says that it takes writes; without that the sockets stay but no new ones are opened.
   */
  readonly lead: (host: HostAddress | undefined, confirmed: boolean, reason: string) => void
}

const sameHost = (one: HostAddress | undefined, other: HostAddress | undefined) => one?.host === other?.host && one?.port === other?.port

/**
 * With `lost`, which is called when a connection ended, new sockets wait until `lead` confirms the server once more: one that was
 * killed and started again may take writes without being the primary. Without, there is but one server to lead to.
 */
export const make = (replyTimeoutMillis: number, lost?: () => void): MySqlSockets => {
  const sockets = new Set<Net.Socket>()
  const waiting = new Set<Net.Socket>()
  let primary: HostAddress | undefined
  let state: "Confirmed" | "InQuestion" | "Refused" = "InQuestion"
  let why = ""
  let failures = 0
  let lastFailure: Error | undefined
  let retryAt = 0

  const start = (socket: Net.Socket) => {
    let connected = false
    sockets.add(socket)
    socket.once("connect", () => {
      connected = true
      failures = 0
      retryAt = 0
    })
    socket.once("error", (error) => {
      if (connected || !sockets.has(socket)) return
      lastFailure = error
      retryAt = performance.now() + retryDelay(++failures)
    })
    socket.once("close", () => {
      if (!sockets.delete(socket) || lost === undefined) return
      if (state === "Confirmed") state = "InQuestion"
      lost()
    })
    connect(socket, primary!, replyTimeoutMillis)
  }
  const fail = (socket: Net.Socket, error: Error) => {
    process.nextTick(() => socket.destroy(error))
    return socket
  }

  return {
    host: () => primary,
    lead: (host, confirmed, reason) => {
      state = confirmed ? "Confirmed" : "Refused"
      why = reason
      if (!sameHost(host, primary)) {
        const moved = new PrimaryMoved(`MySQL at ${primary === undefined ? "?" : showHost(primary)} is not the primary any more`)
        primary = host
        failures = 0
        retryAt = 0
        const left = [...sockets]
        sockets.clear()
        for (const socket of left) socket.destroy(moved)
      }
      const all = [...waiting]
      waiting.clear()
      for (const socket of all) {
        if (socket.destroyed) continue
        if (confirmed) start(socket)
        else socket.destroy(new NotConnected(reason))
      }
    },
    open: () => {
      const socket = new Net.Socket()
      if (state === "Refused") return fail(socket, new NotConnected(why))
      if (state === "InQuestion") {
        waiting.add(socket)
        socket.once("close", () => waiting.delete(socket))
        return socket
      }
      // Every batch that finds no connection tries one: a server that is starting must not meet all of them.
      if (performance.now() < retryAt) return fail(socket, lastFailure ?? new NotConnected("a connection failed a moment ago"))
      start(socket)
      return socket
    }
  }
}
