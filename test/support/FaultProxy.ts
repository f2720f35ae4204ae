import * as Net from "node:net"

/** Bytes that the proxy keeps back, and with them all that follows on their connections. */
export interface Held {
  /** What arrived first and was held: one read of the socket. */
  readonly bytes: Buffer
  /** Delivers what is held, in order, and holds no more. */
  readonly release: () => void
  /** Destroys the connections on which something is held, undelivered, and holds no more. */
  readonly drop: () => void
  /**
   * Destroys the clients' ends of the connections on which a request is held. Their servers' ends live on: `release`
   * then delivers what a dead client had sent, and closes them. The replies reach no client.
   */
  readonly sever: () => void
}

/** A TCP proxy on loopback between a service under test and one of its servers. It starts transparent. */
export interface FaultProxy {
  readonly port: number
  /** The same URL, but leading through the proxy. */
  readonly url: (original: string) => string
  /** Connections that are open through the proxy now. */
  readonly connections: () => number
  /** Destroys all open connections, on both sides. New ones are still accepted. */
  readonly cut: () => void
  /**
   * The same by RST on both sides: a peer's next write fails. After `cut`, whose FIN looks like an orderly end, the
   * first write still succeeds.
   */
  readonly reset: () => void
  /** Resets new connections at once, until `accept`. Open ones live on. */
  readonly refuse: () => void
  readonly accept: () => void
  /**
   * From now on holds what clients send, on each connection from the first read that matches (default: anything).
   * Resolves when something is held: the server has not seen it. A message may span several reads.
   */
  readonly holdRequests: (match?: (bytes: Buffer) => boolean) => Promise<Held>
  /**
   * From now on holds what the server answers, on each connection once a read that matches (default: anything) has gone
   * through to the server. Resolves when an answer is held: the server has done its work and the client does not know.
   */
  readonly holdReplies: (match?: (bytes: Buffer) => boolean) => Promise<Held>
  /** Delivers everything that much later, each way; 0 ends it. */
  readonly delay: (millis: number) => void
  /** Destroys all connections and gives up the port. */
  readonly stop: () => Promise<void>
}

const anything = () => true

/** A wish to hold something, from the call until its release or drop. */
interface Hold {
  readonly direction: "requests" | "replies"
  readonly match: (bytes: Buffer) => boolean
  readonly held: Set<Link>
  readonly caught: (bytes: Buffer) => void
}

/** One direction of one connection: a queue of chunks, each with the time at which it is due. */
class Flow {
  readonly from: Net.Socket
  readonly to: Net.Socket
  /** Holds that keep this direction back. */
  readonly holds = new Set<Hold>()
  readonly queue: Array<{ readonly chunk: Buffer | undefined; readonly due: number }> = []
  timer: NodeJS.Timeout | undefined

  constructor(from: Net.Socket, to: Net.Socket, delayMillis: () => number, seen: (chunk: Buffer) => void) {
    this.from = from
    this.to = to
    from.on("data", (chunk: Buffer) => {
      this.queue.push({ chunk, due: performance.now() + delayMillis() })
      seen(chunk)
      this.pump()
    })
    // Half-closing passes on like data: a server that said goodbye is heard after its last bytes.
    from.on("end", () => {
      this.queue.push({ chunk: undefined, due: 0 })
      this.pump()
    })
    to.on("drain", () => from.resume())
  }

  pump(): void {
    if (this.holds.size > 0 || this.timer !== undefined) return
    for (let next = this.queue[0]; next !== undefined; next = this.queue[0]) {
      const wait = next.due - performance.now()
      if (wait > 0) {
        this.timer = setTimeout(() => {
          this.timer = undefined
          this.pump()
        }, wait)
        return
      }
      this.queue.shift()
      if (next.chunk === undefined) this.to.end()
      else if (!this.to.write(next.chunk)) this.from.pause()
    }
  }

  close(): void {
    clearTimeout(this.timer)
    this.queue.length = 0
  }
}

interface Link {
  readonly requests: Flow
  readonly replies: Flow
  readonly destroy: () => void
  readonly reset: () => void
  /** Destroys the client's end alone, and the server's once it has all requests. */
  readonly sever: () => void
}

/** Starts a proxy to a port on loopback. The server behind it may stop and come back. */
export const startProxy = async (targetPort: number): Promise<FaultProxy> => {
  const links = new Set<Link>()
  const holds = new Set<Hold>()
  let refusing = false
  let delayMillis = 0

  const open = (client: Net.Socket) => {
    if (refusing) {
      client.resetAndDestroy()
      return
    }
    const server = Net.connect({ port: targetPort, host: "127.0.0.1", allowHalfOpen: true })
    client.setNoDelay(true)
    server.setNoDelay(true)
    const destroy = () => {
      links.delete(link)
      link.requests.close()
      link.replies.close()
      client.destroy()
      server.destroy()
    }
    let severed = false
    const sever = () => {
      if (severed) return
      severed = true
      client.destroy()
      server.removeAllListeners("data").resume()
      link.requests.queue.push({ chunk: undefined, due: 0 })
      link.requests.pump()
    }
    const awaited = new Set<Hold>()
    const keepBack = (hold: Hold, flow: Flow, chunk: Buffer) => {
      hold.held.add(link)
      flow.holds.add(hold)
      hold.caught(chunk)
    }
    const link: Link = {
      requests: new Flow(client, server, () => delayMillis, (chunk) => {
        for (const hold of holds) {
          if (hold.held.has(link) || !hold.match(chunk)) continue
          if (hold.direction === "requests") keepBack(hold, link.requests, chunk)
          else awaited.add(hold)
        }
      }),
      replies: new Flow(server, client, () => delayMillis, (chunk) => {
        for (const hold of awaited) {
          awaited.delete(hold)
          if (holds.has(hold)) keepBack(hold, link.replies, chunk)
        }
      }),
      destroy,
      reset: () => {
        client.resetAndDestroy()
        server.resetAndDestroy()
        destroy()
      },
      sever
    }
    links.add(link)
    for (const socket of [client, server]) socket.on("error", destroy)
    // One side alone may be closed while bytes for the other are held or delayed; a server that is gone receives no
    // more.
    client.on("close", () => {
      if (!severed) destroy()
    })
    server.on("close", () => {
      if (server.readableEnded && !severed) link.replies.pump()
      else destroy()
    })
  }

  const listener = Net.createServer({ allowHalfOpen: true }, open)
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject)
    listener.listen(0, "127.0.0.1", resolve)
  })
  const { port } = listener.address() as Net.AddressInfo

  const hold = (direction: Hold["direction"], match: Hold["match"]): Promise<Held> =>
    new Promise((resolve) => {
      let caught = false
      const disarm = (then: (link: Link) => void) => {
        holds.delete(wish)
        for (const link of wish.held) {
          link[direction].holds.delete(wish)
          then(link)
        }
        wish.held.clear()
      }
      const wish: Hold = {
        direction,
        match,
        held: new Set(),
        caught: (bytes) => {
          if (caught) return
          caught = true
          resolve({
            bytes,
            release: () => disarm((link) => link[direction].pump()),
            drop: () => disarm((link) => link.destroy()),
            sever: () => {
              for (const link of wish.held) link.sever()
            }
          })
        }
      }
      holds.add(wish)
    })

  const cut = () => {
    for (const link of links) link.destroy()
  }
  return {
    port,
    url: (original) => {
      const url = new URL(original)
      url.hostname = "127.0.0.1"
      url.port = String(port)
      return url.href
    },
    connections: () => links.size,
    cut,
    reset: () => {
      for (const link of links) link.reset()
    },
    refuse: () => {
      refusing = true
    },
    accept: () => {
      refusing = false
    },
    holdRequests: (match = anything) => hold("requests", match),
    holdReplies: (match = anything) => hold("replies", match),
    delay: (millis) => {
      delayMillis = millis
    },
    stop: () =>
      new Promise((resolve) => {
        listener.close(() => resolve())
        cut()
      })
  }
}
