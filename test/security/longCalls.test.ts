import { Code, ConnectError, createClient } from "@connectrpc/connect"
import { createGrpcTransport, createGrpcWebTransport, createConnectTransport } from "@connectrpc/connect-node"
import * as http2 from "node:http2"
import type { ServerResponse } from "node:http"
import * as net from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Health } from "../../src/contract/gen/grpc/health/v1/health_pb.ts"
import * as LongCalls from "../../src/http/protection/LongCalls.ts"
import type { Handler } from "../../src/http/Mounts.ts"
import { protections } from "../../src/metrics/ProtectionMetrics.ts"
import * as Shares from "../../src/rpc/admission/Shares.ts"
import { ISSUE, json, request, start, until, type Running } from "../transport/Stub.ts"

const WATCH = "/grpc.health.v1.Health/Watch"
const GRPC = { "content-type": "application/grpc", te: "trailers" }

/** Sessions, for one of them carries a hundred streams. */
const watches = async (url: string, from: string, count: number) => {
  const sessions: Array<http2.ClientHttp2Session> = []
  let [serving, rejected] = [0, 0]
  for (let n = 0; n < count; n++) {
    if (n % 100 === 0) {
      const { port } = new URL(url)
      const session = http2.connect(url, {
        createConnection: () => net.connect({ port: Number(port), host: "127.0.0.1", localAddress: from })
      })
      session.on("error", () => {})
      sessions.push(session)
    }
    const stream = sessions.at(-1)!.request({ ":method": "POST", ":path": WATCH, ...GRPC })
    stream.on("error", () => {})
    stream.on("response", (reply) => reply["grpc-status"] === "8" ? rejected++ : undefined)
    stream.on("data", () => serving++)
    stream.end(Buffer.alloc(5))
  }
  await until(() => serving + rejected === count)
  return {
    serving,
    rejected,
    close: () => {
      for (const session of sessions) session.destroy()
    }
  }
}

describe("calls of Watch", () => {
  let server: Running
  beforeAll(async () => {
    server = await start()
  })
  afterAll(() => server.close())

  it("are bounded for each client, and others find places", async () => {
    const before = protections.longCalls.value()
    const greedy = await watches(server.url, "127.0.0.7", 200)
    expect(greedy.serving).toBe(LongCalls.MOST_LONG_CALLS / 2)
    expect(protections.longCalls.value() - before).toBe(greedy.rejected)
    const other = await watches(server.url, "127.0.0.8", 10)
    expect(other.serving).toBe(10)

    // What a rejection looks like to clients of each protocol.
    for (const transport of [
      createGrpcTransport({ baseUrl: server.url, nodeOptions: { localAddress: "127.0.0.7" } as never }),
      createGrpcWebTransport({
        baseUrl: server.url,
        httpVersion: "1.1",
        nodeOptions: { localAddress: "127.0.0.7" }
      }),
      createConnectTransport({
        baseUrl: server.url,
        httpVersion: "1.1",
        nodeOptions: { localAddress: "127.0.0.7" }
      })
    ]) {
      const failure = await (async () => {
        for await (const _ of createClient(Health, transport).watch({})) return undefined
        return undefined
      })().catch((error: unknown) => ConnectError.from(error))
      expect(failure?.code).toBe(Code.ResourceExhausted)
      expect(failure?.rawMessage).toBe("OVERLOADED")
    }
    greedy.close()
    other.close()
    const again = await watches(server.url, "127.0.0.7", 10)
    expect(again.serving).toBe(10)
    again.close()
    expect((await request(server.port, { path: ISSUE, headers: json, body: "{\"campaignId\":1,\"userId\":1}" })).status)
      .toBe(200)
  })
})

describe("clients that end their watches together, as at the end of a sale", () => {
  const ENDLESS = "/endless"
  /** More than what a client may waste. */
  const WATCHES = 600
  let server: Running
  beforeAll(async () => {
    const handler: Handler = (incoming, response) => {
      incoming.resume()
      ;(response as ServerResponse).writeHead(200)
      ;(response as ServerResponse).write("a")
    }
    server = await start({ mounts: { [ENDLESS]: handler } })
  })
  afterAll(() => server.close())

  /** Opens so many from an address, waits for `ready`, ends their connections, and says whether that was an offence. */
  const offends = async (from: string, ready: (sinceMillis: number) => boolean) => {
    const { port } = server
    let begun = 0
    const createConnection = () => net.connect({ port, host: "127.0.0.1", localAddress: from })
    const sessions = Array.from({ length: WATCHES / 100 }, () => http2.connect(server.url, { createConnection }))
    for (const session of sessions) {
      session.on("error", () => {})
      for (let n = 0; n < 100; n++) {
        const stream = session.request({ ":method": "POST", ":path": ENDLESS })
        stream.on("error", () => {}).once("data", () => begun++)
        stream.end()
      }
    }
    await until(() => begun === WATCHES)
    const at = performance.now()
    await until(() => ready(performance.now() - at))
    const before = protections.resets.value()
    let open = WATCHES
    for (const session of sessions) {
      session.once("close", () => open -= 100)
      session.destroy()
    }
    await until(() => open === 0)
    // The server has seen the end of all of them once it says so of a later one.
    const last = net.connect({ port, host: "127.0.0.1" })
    last.on("error", () => {})
    await new Promise((resolve) => last.end("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").resume().once("close", resolve))
    return protections.resets.value() > before
  }

  it("are no offence once their answers have lasted for a second", async () => {
    expect(await offends("127.0.0.9", (since) => since > 1_000)).toBe(false)
  })

  it("are one if they have only begun", async () => {
    expect(await offends("127.0.0.10", () => true)).toBe(true)
  })
})

describe("a call without an end", () => {
  /** A mount that answers for ever. */
  const endless = async (expiryMillis: number) => {
    const calls = Shares.make(10)
    const handler: Handler = (incoming, response) => {
      incoming.resume()
      ;(response as ServerResponse).writeHead(200)
      ;(response as ServerResponse).write("a")
    }
    const paths = new Set(["/endless"])
    const mount = LongCalls.bound({ calls, clientOf: () => 1, expiryMillis, handler, paths })
    const server = await start({ mounts: { "/endless": mount } })
    return { calls, server }
  }
  const HOUR = 3_600_000
  const REQUEST = "POST /endless HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"

  it.each([
    ["FIN", (socket: net.Socket) => socket.end()],
    ["RST", (socket: net.Socket) => socket.resetAndDestroy()],
    ["another request and FIN", (socket: net.Socket) => socket.end(REQUEST)],
    ["a part of a request and FIN", (socket: net.Socket) => socket.end("POST /endl")],
    ["many requests", (socket: net.Socket) => void socket.write(REQUEST.repeat(500))],
    ["what is no request", (socket: net.Socket) => void socket.write("\0".repeat(100_000))]
  ])("ends over HTTP/1.1 with %s", async (_, leave) => {
    const { calls, server } = await endless(HOUR)
    const socket = net.connect(server.port, "127.0.0.1")
    socket.on("error", () => {})
    socket.write(REQUEST)
    await new Promise((resolve) => socket.once("data", resolve))
    expect(calls.total()).toBe(1)
    leave(socket)
    await until(() => calls.total() === 0)
    socket.destroy()
    await server.close()
  })

  it.each([
    ["RST_STREAM", (stream: http2.ClientHttp2Stream) => stream.close(http2.constants.NGHTTP2_CANCEL)],
    ["its connection", (stream: http2.ClientHttp2Stream) => stream.session!.destroy()],
    ["FIN", (stream: http2.ClientHttp2Stream) => stream.session!.socket.destroy()]
  ])("ends over HTTP/2 with %s", async (_, leave) => {
    const { calls, server } = await endless(HOUR)
    const session = http2.connect(server.url)
    session.on("error", () => {})
    const stream = session.request({ ":method": "POST", ":path": "/endless" })
    stream.on("error", () => {})
    stream.end("{}")
    await new Promise((resolve) => stream.once("data", resolve))
    expect(calls.total()).toBe(1)
    leave(stream)
    await until(() => calls.total() === 0)
    session.destroy()
    await server.close()
  })

  it("expires, over both protocols", async () => {
    const before = protections.expired.value()
    const { calls, server } = await endless(50)
    const socket = net.connect(server.port, "127.0.0.1")
    let closed = false
    socket.on("error", () => {}).on("close", () => closed = true).resume()
    socket.write(REQUEST)
    const session = http2.connect(server.url)
    session.on("error", () => {})
    const stream = session.request({ ":method": "POST", ":path": "/endless" })
    stream.on("error", () => {}).resume().end("{}")
    await until(() => closed && stream.closed)
    expect(protections.expired.value() - before).toBe(2)
    expect(calls.total()).toBe(0)
    session.destroy()
    await server.close()
  })
})

describe("streams of HTTP/2", () => {
  it("are bounded for each client, which may open those refused again", async () => {
    const before = protections.streams.value()
    const server = await start({ environment: { MAX_IN_FLIGHT: "20" } })
    const session = http2.connect(server.url)
    session.on("error", () => {})
    const codes: Array<number | undefined> = []
    const open = Array.from({ length: 30 }, () => {
      const stream = session.request({ ":method": "POST", ":path": ISSUE, ...json })
      stream.on("error", () => {}).on("close", () => codes.push(stream.rstCode))
      stream.resume().write("{")
      return stream
    })
    await until(() => codes.length === 10)
    expect(new Set(codes)).toEqual(new Set([http2.constants.NGHTTP2_REFUSED_STREAM]))
    expect(protections.streams.value() - before).toBe(10)
    for (const stream of open) stream.close(http2.constants.NGHTTP2_CANCEL)
    await until(() => codes.length === 30)
    expect((await request(server.port, { path: ISSUE, headers: json, body: "{\"campaignId\":1,\"userId\":1}" })).status)
      .toBe(200)
    session.destroy()
    await server.close()
  })
})
