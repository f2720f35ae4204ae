import type { Socket } from "node:net"
import { setTimeout as pause } from "node:timers/promises"
import type { Attack } from "./attacks.ts"
import * as Frames from "./Frames.ts"
import type { Wire } from "./Wire.ts"

const PATH = "/operator/rpc"
const TYPE = { "content-type": "application/ndjson" }
const INFO = JSON.stringify({ _tag: "Request", id: "1", tag: "Info", headers: [] })

/** Connections that are opened again when they are closed, at most each second. */
const kept = async (wire: Wire, connections: number, open: (socket: Socket) => void) => {
  const sockets: Array<Socket> = []
  while (!wire.over()) {
    for (let at = 0; at < connections && !wire.over(); at++) {
      if (sockets[at] !== undefined && !sockets[at]!.destroyed) continue
      const socket = sockets[at] = wire.connect()
      socket.resume()
      socket.once("connect", () => open(socket))
      if (at % 8 === 7) await pause(1)
    }
    await pause(1_000)
  }
}

/** Against the operator plane, by clients without a key. */
export const operatorAttacks: ReadonlyArray<Attack> = [
  {
    name: "operator-unread",
    what: "calls of the operator plane without a key, 4 connections of 100 streams with a window of 0",
    run: (wire) =>
      kept(wire, 4, (socket) => {
        socket.write(Frames.hello([Frames.WINDOW, 0]))
        for (let n = 0; n < 100; n++) {
          socket.write(Buffer.concat([Frames.headers(2 * n + 1, PATH, TYPE), Frames.data(2 * n + 1, INFO)]))
        }
      })
  },
  {
    name: "operator-unread-wrong-key",
    what: "the same with a key that does not exist",
    run: (wire) =>
      kept(wire, 4, (socket) => {
        socket.write(Frames.hello([Frames.WINDOW, 0]))
        const headers = { ...TYPE, authorization: "Bearer cpn_0123456789abcdef_0123456789abcdef0123456789abcdef" }
        for (let n = 0; n < 100; n++) {
          socket.write(Buffer.concat([Frames.headers(2 * n + 1, PATH, headers), Frames.data(2 * n + 1, INFO)]))
        }
      })
  },
  {
    name: "operator-bodies",
    what: "500 calls of the operator plane without a key over HTTP/1.1 that stop within their bodies",
    run: (wire) =>
      kept(wire, 500, (socket) => {
        const type = "Content-Type: application/ndjson\r\n"
        socket.write(`POST ${PATH} HTTP/1.1\r\nHost: x\r\n${type}Content-Length: 1000\r\n\r\n{"_tag":`)
      })
  },
  {
    name: "operator-calls",
    what: "2,000 whole calls of the operator plane a second without a key on 50 connections",
    run: async (wire) => {
      const sockets: Array<Socket> = []
      const head = `POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/ndjson\r\n`
      const call = `${head}Content-Length: ${INFO.length}\r\n\r\n${INFO}`
      await wire.every(2_000, (n) => {
        const at = n % 50
        if (sockets[at] === undefined || sockets[at]!.destroyed) {
          sockets[at] = wire.connect()
          sockets[at]!.resume()
        }
        sockets[at]!.write(call)
      })
    }
  }
]
