import * as http from "node:http"
import * as http2 from "node:http2"
import * as net from "node:net"
import { setTimeout as pause } from "node:timers/promises"

/** Where an attack goes, and from where. */
export interface Target {
  readonly port: number
  /** Loopback address that the attacker's connections come from: another client than the honest one. */
  readonly from: string
  /** A campaign with 10,000 codes. */
  readonly campaignId: number
  readonly seconds: number
  /** What an attacker has got hold of: API keys by their roles, and codes of coupons that are redeemed or revoked. */
  readonly stolen: { readonly VIEWER: string; readonly REDEEMER: string }
  readonly done: ReadonlyArray<string>
}

/** What an attacker's process says first, when its attack begins. */
export const BEGUN = "begun\n"

/** What came back, with its status: how often each answer did. */
export type Answers = Readonly<Record<string, number>>

/**
 * What an attacker's line carries, in bytes a second: 100 Mbit/s. Loopback carries a hundred times that, and then the
 * machine's cores are what the attacker and the honest client compete for.
 */
const LINE = 12_500_000

/** What attacks do with the network, and how many bytes of theirs left. */
export interface Wire {
  readonly target: Target
  /** Whether the time of the attack is over. */
  readonly over: () => boolean
  /** A connection; errors are ignored. It reads nothing before `resume` or a listener of `data`. */
  readonly connect: () => net.Socket
  /** A session of HTTP/2; errors are ignored. */
  readonly session: (settings?: http2.Settings) => http2.ClientHttp2Session
  /** Writes until `more` has nothing left, as fast as the other end reads; ends with the connection. */
  readonly pour: (socket: net.Socket, more: () => Buffer | undefined) => Promise<void>
  /** Calls `shot` at a steady rate until the attack is over. */
  readonly every: (perSecond: number, shot: (n: number) => void) => Promise<void>
  /** Waits until the attack is over. */
  readonly hold: () => Promise<void>
  /** Makes a POST of JSON by one of so many connections of its own, and counts the answer in `answers`. */
  readonly poster: (connections: number) => (path: string, body: string, headers: http.OutgoingHttpHeaders) => void
  readonly answers: () => Answers
  readonly bytes: () => number
  readonly close: () => void
}

const SLICE_MILLIS = 20

export const make = (target: Target): Wire => {
  const end = performance.now() + target.seconds * 1_000
  const over = () => performance.now() >= end
  const sockets = new Set<net.Socket>()
  let closedBytes = 0
  const start = performance.now()
  let poured = 0
  const open = () => {
    const socket = net.connect({ host: "127.0.0.1", port: target.port, localAddress: target.from })
    sockets.add(socket)
    socket.on("error", () => {})
    socket.once("close", () => {
      closedBytes += socket.bytesWritten
      sockets.delete(socket)
    })
    return socket
  }
  const answers: Record<string, number> = {}
  const count = (answer: string) => answers[answer] = (answers[answer] ?? 0) + 1
  return {
    target,
    over,
    poster: (connections) => {
      const agent = Object.assign(new http.Agent({ keepAlive: true, maxSockets: connections }), {
        createConnection: open
      })
      return (path, body, headers) => {
        const all = { "content-type": "application/json", "content-length": Buffer.byteLength(body), ...headers }
        const request = http.request({ agent, method: "POST", path, headers: all }, (response) => {
          let text = `${response.statusCode} `
          response.setEncoding("utf8").on("data", (chunk: string) => text += chunk).on("end", () => count(text))
        })
        request.on("error", () => {})
        request.end(body)
      }
    },
    answers: () => answers,
    connect: () => open().pause(),
    session: (settings = {}) => {
      const session = http2.connect(`http://127.0.0.1:${target.port}`, { createConnection: open, settings })
      session.on("error", () => {})
      return session
    },
    pour: async (socket, more) => {
      while (!over() && !socket.destroyed) {
        const early = poured / LINE * 1_000 - (performance.now() - start)
        if (early > 0) {
          await pause(early)
          continue
        }
        const bytes = more()
        if (bytes === undefined) return
        poured += bytes.length
        if (socket.write(bytes)) await new Promise((resolve) => setImmediate(resolve))
        else {
          await new Promise<void>((resolve) => {
            const timer = setTimeout(done, 100)
            function done() {
              clearTimeout(timer)
              socket.off("drain", done).off("close", done)
              resolve()
            }
            socket.once("drain", done).once("close", done)
          })
        }
      }
    },
    every: async (perSecond, shot) => {
      const start = performance.now()
      for (let sent = 0; !over();) {
        const due = Math.floor((performance.now() - start) * perSecond / 1_000)
        while (sent < due) shot(sent++)
        await pause(SLICE_MILLIS)
      }
    },
    hold: async () => {
      while (!over()) await pause(SLICE_MILLIS)
    },
    bytes: () => [...sockets].reduce((sum, socket) => sum + socket.bytesWritten, closedBytes),
    close: () => {
      for (const socket of sockets) socket.destroy()
    }
  }
}
