import * as Net from "node:net"
import { sameHost, showHost, type HostAddress } from "../../../config/StoreUrl.ts"
import type { AbandonedSessions } from "./AbandonedSessions.ts"
import type { Outage } from "./Outage.ts"

/** The server said nothing for so long that its connection is given up. */
export class ReplyTimeout extends Error {
  override readonly name = "ReplyTimeout"
}

/** No connection was tried: there is no server to write to, or too many sessions are left on it. */
export class NotConnected extends Error {
  override readonly name = "NotConnected"
}

/** The connection led to a server that is not the primary any more. */
export class PrimaryMoved extends Error {
  override readonly name = "PrimaryMoved"
}

/** What a connection is to its server, as far as its socket cannot see it. */
export interface SocketUse {
  /** The server's number of the session. */
  readonly id: number
  /** Whether the server owes an answer. */
  readonly isBusy: () => boolean
}

/** The sockets of a pool, which at any time all lead to one server. */
export interface MySqlSockets {
  /**
   * A socket to the primary; one that waits for `lead` while that is in question; one that fails at once if there is
   * none.
   */
  readonly open: () => Net.Socket
  /** The connection on a socket that `open` returned has logged in. */
  readonly ready: (socket: Net.Socket, use: SocketUse) => void
  /** The server that the sockets lead to. */
  readonly host: () => HostAddress | undefined
  /**
   * From now on leads there; sockets that lead elsewhere are closed first, whatever is under way on them. `confirmed`:
   * the server says that it takes writes; without that the sockets stay but no new ones are opened.
   */
  readonly lead: (host: HostAddress | undefined, confirmed: boolean, reason: string) => void
}

export interface SocketOptions {
  readonly replyTimeoutMillis: number
  /** Sessions on one server at most, those that were given up among them. */
  readonly limit: number
  readonly abandoned: AbandonedSessions
  /** With one server: whether it can be reached. */
  readonly outage?: Outage
  /**
   * With several: called when a connection ended. New sockets then wait until `lead` confirms the server once more: one
   * that was killed and started again may take writes without being the primary.
   */
  readonly lost?: () => void
}

interface Held {
  readonly host: HostAddress
  /** The port it comes from, once it is connected; a socket that is destroyed has forgotten it. */
  port: number | undefined
  /** The server ended it. */
  isEnded: boolean
  isGivenUp: boolean
  use: SocketUse | undefined
}

export const make = ({ abandoned, limit, lost, outage, replyTimeoutMillis }: SocketOptions): MySqlSockets => {
  const sockets = new Map<Net.Socket, Held>()
  const waiting = new Set<Net.Socket>()
  let primary: HostAddress | undefined
  let state: "Confirmed" | "InQuestion" | "Refused" = "InQuestion"
  let why = ""

  /** Its server may still be at work for it. */
  const giveUp = (held: Held) => {
    if (held.isGivenUp || held.isEnded || held.port === undefined || held.use?.isBusy() === false) return
    held.isGivenUp = true
    abandoned.add({ host: held.host, id: held.use?.id, port: held.port })
  }

  const start = (socket: Net.Socket) => {
    const held: Held = { host: primary!, port: undefined, isEnded: false, isGivenUp: false, use: undefined }
    sockets.set(socket, held)
    socket.once("connect", () => {
      held.port = socket.localPort
    })
    socket.once("end", () => {
      held.isEnded = true
    })
    socket.once("error", (error: NodeJS.ErrnoException) => {
      // By a reset, it was the server or what is left of it.
      if (error.code === "ECONNRESET" || error.code === "EPIPE") held.isEnded = true
      // Before the driver receives it, and those who wait for a connection.
      giveUp(held)
      if (held.use === undefined && !(error instanceof PrimaryMoved)) outage?.failed(error)
    })
    socket.once("close", () => {
      // By the driver, to which the login took too long; it had the first word if there was an error.
      if (held.use === undefined) giveUp(held)
      if (!sockets.delete(socket) || lost === undefined) return
      if (state === "Confirmed") state = "InQuestion"
      lost()
    })
    // A server that is stopped, or behind a partition that drops packets, answers nothing and closes nothing; without a
    // timeout of our own each such connection would keep its place in the pool for the quarter of an hour that TCP
    // takes to notice. Idle connections are closed too: the pool opens new ones when it needs them.
    socket.setTimeout(replyTimeoutMillis, () => {
      if (held.use?.isBusy() === true) outage?.suspect()
      socket.destroy(new ReplyTimeout(`MySQL at ${showHost(held.host)} was silent for ${replyTimeoutMillis} ms`))
    })
    socket.setNoDelay(true).setKeepAlive(true, 10_000).connect(held.host)
  }

  const fail = (socket: Net.Socket, error: Error) => {
    process.nextTick(() => socket.destroy(error))
    return socket
  }

  /** Why no further session is opened on the primary. */
  const refusal = (): Error | undefined => {
    const down = outage?.current()
    if (down !== undefined) return down
    const left = abandoned.count(primary)
    if (left === 0) return undefined
    let open = 0
    for (const socket of sockets.keys()) if (!socket.destroyed) open++
    return open + left < limit
      ? undefined
      : new NotConnected(
        `${left} sessions that were given up are still at work on MySQL at ${showHost(primary!)}: ` +
          "MYSQL_POOL_SIZE has no room for more"
      )
  }

  return {
    host: () => primary,
    ready: (socket, use) => {
      const held = sockets.get(socket)
      if (held === undefined) return
      held.use = use
      outage?.ended()
    },
    lead: (host, confirmed, reason) => {
      state = confirmed ? "Confirmed" : "Refused"
      why = reason
      if (!sameHost(host, primary)) {
        const former = primary === undefined ? "?" : showHost(primary)
        const moved = new PrimaryMoved(`MySQL at ${former} is not the primary any more`)
        primary = host
        const left = [...sockets]
        sockets.clear()
        for (const [socket, held] of left) {
          giveUp(held)
          socket.destroy(moved)
        }
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
      const refused = refusal()
      if (refused !== undefined) return fail(socket, refused)
      if (state === "InQuestion") {
        waiting.add(socket)
        socket.once("close", () => waiting.delete(socket))
        return socket
      }
      start(socket)
      return socket
    }
  }
}
