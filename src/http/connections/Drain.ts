import type * as http from "node:http"
import * as net from "node:net"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { guarded } from "../../rpc/Guarded.ts"
import type { Acceptors } from "./Acceptors.ts"
import type { Http2 } from "./Http2.ts"
import type { NewConnections } from "./NewConnections.ts"

const CLOSE_IDLE_MILLIS = 20

/** The part of SHUTDOWN_TIMEOUT that connections get. The rest, at most 1 s, is for the stores to close. */
export const drainMillis = (shutdownTimeout: Duration.Duration): number => {
  const all = Duration.toMillis(shutdownTimeout)
  return all - Math.min(1_000, all / 4)
}

/**
 * Stops accepting, closes each connection after its answers, and cuts the rest after `cutAfterMillis`. Ends when all
 * connections of both protocols are closed.
 */
export const drain = (options: {
  readonly acceptors: Acceptors
  readonly connections: NewConnections
  readonly cutAfterMillis: number
  readonly h1: http.Server
  readonly h2: Http2
  readonly report: (cause: unknown) => void
}): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    const { acceptors, connections: { sockets, undecided }, h1, h2: { sessions }, report } = options
    for (const socket of undecided) socket.destroy()
    for (const session of sessions) session.close()
    // For Node a connection is idle when its answer is written, even if it is not sent. So answers leave first.
    const closeIdle = guarded(report, () => {
      for (const socket of sockets) if (socket.writableLength > 0) return
      h1.closeIdleConnections()
    })
    closeIdle()
    const sweep = setInterval(closeIdle, CLOSE_IDLE_MILLIS)
    const cut = guarded(report, () => {
      for (const session of sessions) session.destroy()
      for (const socket of sockets) socket.destroy()
    })
    const force = setTimeout(cut, options.cutAfterMillis)
    let open = 2
    const closed = () => {
      if (--open > 0) return
      clearInterval(sweep)
      clearTimeout(force)
      // Ends the HTTP/1.1 server's checks of its timeouts; there is nothing left to close.
      h1.close(() => resume(Effect.void))
    }
    // Not http's own close, which would begin by closing connections that it takes for idle.
    net.Server.prototype.close.call(h1, closed)
    acceptors.close(closed)
  })
