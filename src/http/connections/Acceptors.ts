import * as net from "node:net"
import * as Entry from "../protection/Entry.ts"

/** More sockets that listen on a server's own address and port, so that a crowd of new connections gets in. */
export interface Acceptors {
  /** Stops listening; calls back when every connection they accepted is closed. */
  readonly close: (closed: () => void) => void
}

/**
 * libuv accepts one connection a listening socket in a turn of the event loop (libuv/libuv#3696). Under load a turn
 * takes many milliseconds, and of thousands of clients that come at once the last waited for 14 s. Linux lets many
 * sockets share a port and spreads connections over them, each of which accepts one a turn.
 */
const MORE = 31

/** So many connections an acceptor: where few may be open, few are needed, and each takes a file descriptor. */
const CONNECTIONS_EACH = 8

/** How many sockets `start` opens for so many connections. */
export const countFor = (maxConnections: number): number =>
  Math.min(MORE, Math.floor(maxConnections / CONNECTIONS_EACH))

const BACKLOG = 4_096

/**
 * Whether a port can be shared and is free. A socket that shares nothing tries first: only that fails on a used port.
 */
export const mayShare = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    if (process.platform !== "linux") return resolve(false)
    const probe = net.createServer()
    probe.once("error", () => resolve(false))
    probe.listen({ host, port }, () => {
      const shared = net.createServer()
      probe.close(() => {
        shared.once("error", () => resolve(false))
        shared.listen({ host, port, reusePort: true }, () => shared.close(() => resolve(true)))
      })
    })
  })

/**
 * On the address of a server that listens with `reusePort`; hands every connection on to it. `failed` is called with an
 * error of a socket that listens, e.g. because the process is out of file descriptors; the socket goes on listening.
 */
export const start = async (
  server: net.Server,
  options: {
    readonly maxConnections: number
    /** As `Entry.guard` has it. */
    readonly refuses: (address: string) => boolean
    readonly failed: (cause: Error) => void
  }
): Promise<Acceptors> => {
  const { address, port } = server.address() as net.AddressInfo
  const all: Array<net.Server> = []
  const closeAll = (closed: () => void) => {
    let left = all.length
    if (left === 0) closed()
    for (const one of all) one.close(() => --left === 0 && closed())
  }
  // Fewer do, if no more can be had.
  try {
    for (let i = countFor(options.maxConnections); i > 0; i--) {
      // As node:http has its own.
      const one = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
        server.emit("connection", socket))
      Entry.guard(one, options.refuses)
      await new Promise<void>((resolve, reject) => {
        one.once("error", reject)
        one.listen({ host: address, port, backlog: BACKLOG, reusePort: true }, () => {
          one.removeListener("error", reject)
          one.on("error", options.failed)
          resolve()
        })
      })
      all.push(one)
    }
  } catch (error) {
    options.failed(error as Error)
  }
  return { close: closeAll }
}
