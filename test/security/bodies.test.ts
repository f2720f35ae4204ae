import * as http2 from "node:http2"
import * as net from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { protections } from "../../src/metrics/ProtectionMetrics.ts"
import * as RequestMetrics from "../../src/metrics/RequestMetrics.ts"
import * as Metrics from "../../src/metrics/Metrics.ts"
import * as Shares from "../../src/rpc/admission/Shares.ts"
import type { Handler } from "../../src/http/Mounts.ts"
import type { Running } from "../transport/Stub.ts"
import { ISSUE, json, request, start, until } from "../transport/Stub.ts"

const MOST = 4_194_304
const BODY = 65_536
const claim = "{\"campaignId\":1,\"userId\":1}"
const head = (framing: string) =>
  `POST ${ISSUE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${framing}\r\n\r\n`

const heldNow = () => {
  Metrics.sample()
  return RequestMetrics.heldBytes.value()
}

const connect = (port: number, from: string) => {
  const socket = net.connect({ port, host: "127.0.0.1", localAddress: from })
  let [text, closed] = ["", false]
  socket.setEncoding("latin1").on("data", (chunk: string) => text += chunk)
  socket.on("close", () => closed = true).on("error", () => {})
  return { socket, text: () => text, closed: () => closed }
}

describe("what clients share", () => {
  it("are at most half of all for one client, and a third each for two", () => {
    const held = Shares.make(6_000)
    const fill = (client: number) => {
      let taken = 0
      while (held.take(client, 10)) taken += 10
      return taken
    }
    expect(fill(1)).toBe(3_000)
    expect(fill(2)).toBe(1_500)
    held.give(1, 1_000)
    expect(fill(2)).toBe(500)
    expect(held.total()).toBe(4_000)
  })
})

describe("a client that leaves", () => {
  it("ends nothing, also if the reader of its body goes at the same time", async () => {
    let gone = false
    const mount: Handler = (incoming) => {
      const listener = () => {}
      incoming.on("error", listener)
      // After Node has looked for a listener, and before it emits.
      incoming.on("aborted", () =>
        process.nextTick(() =>
          process.nextTick(() => {
            incoming.removeListener("error", listener)
            gone = true
          })))
    }
    const other = await start({ mounts: { "/left": mount } })
    const client = connect(other.port, "127.0.0.7")
    client.socket.write("POST /left HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
    setTimeout(() => client.socket.destroy(), 50)
    await until(() => gone)
    expect((await request(other.port, { path: ISSUE, headers: json, body: claim })).status).toBe(200)
    await other.close()
  })
})

describe("bodies without their end", () => {
  let server: Running
  beforeAll(async () => {
    server = await start({ environment: { HELD_BYTES: String(MOST) } })
  })
  afterAll(() => server.close())

  /** Another client's body is taken, however much this one sent. */
  const takesOthers = async () => {
    const other = connect(server.port, "127.0.0.8")
    other.socket.write(`${head(`Content-Length: ${BODY}`)}${claim.padEnd(BODY, " ")}`)
    await until(() => other.text().startsWith("HTTP/1.1 200 "))
    other.socket.destroy()
  }

  it("are held up to the client's part over HTTP/1.1, and given back with their connections", async () => {
    const before = protections.bytes.value()
    const clients = Array.from({ length: 80 }, () => connect(server.port, "127.0.0.7"))
    for (const { socket } of clients) socket.write(`${head(`Content-Length: ${BODY}`)}${" ".repeat(BODY - 1)}`)
    await until(() => protections.bytes.value() > before && heldNow() > MOST / 3)
    expect(heldNow()).toBeLessThanOrEqual(MOST / 2)
    await takesOthers()
    for (const { socket } of clients) socket.destroy()
    await until(() => heldNow() === 0)
  })

  it("are held up to the client's part over HTTP/2; other streams of the connection go on", async () => {
    const before = protections.bytes.value()
    const session = http2.connect(server.url)
    session.on("error", () => {})
    const open = () => {
      const stream = session.request({ ":method": "POST", ":path": ISSUE, ...json })
      stream.on("error", () => {})
      return stream
    }
    for (let n = 0; n < 80; n++) open().resume().write(Buffer.alloc(BODY - 1, " "))
    await until(() => protections.bytes.value() > before)
    expect(heldNow()).toBeLessThanOrEqual(MOST / 2)
    const small = open()
    const status = new Promise((resolve) => small.on("response", (reply) => resolve(reply[":status"])))
    small.resume().end(claim)
    expect(await status).toBe(200)
    await takesOthers()
    session.destroy()
    await until(() => heldNow() === 0)
  })

  it("may come in small chunks if they are small themselves", async () => {
    const chunks = [...claim].map((one) => `1\r\n${one}\r\n`).join("")
    const client = connect(server.port, "127.0.0.7")
    client.socket.write(`${head("Transfer-Encoding: chunked")}${chunks}0\r\n\r\n`)
    await until(() => client.text().startsWith("HTTP/1.1 200 "))
    client.socket.destroy()
  })

  it("in chunks of one byte end their connection", async () => {
    const before = protections.tinyChunks.value()
    const client = connect(server.port, "127.0.0.7")
    client.socket.write(`${head("Transfer-Encoding: chunked")}${"1\r\n \r\n".repeat(10_000)}`)
    await until(client.closed)
    expect(client.text()).toBe("")
    expect(protections.tinyChunks.value() - before).toBe(1)
  })

  it("in frames of one byte end their connection", async () => {
    const before = protections.tinyChunks.value()
    const session = http2.connect(server.url)
    session.on("error", () => {})
    const stream = session.request({ ":method": "POST", ":path": ISSUE, ...json })
    stream.on("error", () => {})
    let closed = false
    session.on("close", () => closed = true)
    // Each write makes a frame only if it does not meet the one before in a buffer.
    const drip = () => {
      if (closed) return
      stream.write(" ", () => setImmediate(drip))
    }
    drip()
    await until(() => closed)
    expect(protections.tinyChunks.value() - before).toBe(1)
    expect((await request(server.port, { path: ISSUE, headers: json, body: claim })).status).toBe(200)
  })
})

describe("bodies without their end, by a trusted proxy", () => {
  let server: Running
  beforeAll(async () => {
    const environment = { HELD_BYTES: String(MOST), TRUSTED_PROXIES: "127.0.0.1" }
    server = await start({ environment, patience: { headers: 2_000, request: 2_000 } })
  })
  afterAll(() => server.close())

  /** Another client for each test: what one wastes counts against it for seconds. */
  let client = 0
  const newClient = () => `198.51.100.${++client}`

  /** 248 of them fill the client's part. */
  const GREEDY = 300

  const proxy = () => {
    // What is written and not yet sent counts, and beyond 10 MB Node opens no more streams.
    const session = http2.connect(server.url, { maxSessionMemory: 100 })
    session.on("error", () => {})
    let closed = false
    session.on("close", () => closed = true)
    const open = (client: string) => {
      const stream = session.request({ ":method": "POST", ":path": ISSUE, ...json, "x-forwarded-for": client })
      stream.on("error", () => {}).resume()
      const outcome = new Promise<number>((resolve) => {
        stream.on("response", (reply) => resolve(Number(reply[":status"])))
        stream.on("close", () => resolve(-stream.rstCode))
      })
      return { outcome, stream }
    }
    return { closed: () => closed, open, session }
  }

  it("wait for room, hold up no other client, and go on when there is some", async () => {
    const before = protections.bytes.value()
    const from = newClient()
    const { open, session } = proxy()
    const greedy = Array.from({ length: GREEDY }, () => open(from))
    for (const { stream } of greedy) stream.write(Buffer.alloc(BODY - 1, " "))
    await until(() => protections.bytes.value() >= before + 20)
    expect(heldNow()).toBeLessThanOrEqual(MOST / 2)
    const other = open(newClient())
    other.stream.end(claim.padEnd(BODY, " "))
    expect(await other.outcome).toBe(200)
    const late = open(from)
    late.stream.end(claim.padEnd(BODY, " "))
    for (const { stream } of greedy) stream.destroy()
    expect(await late.outcome).toBe(200)
    await until(() => heldNow() === 0)
    session.destroy()
  })

  it("that wait in vain end in time, and their connection stays", async () => {
    const from = newClient()
    const { closed, open, session } = proxy()
    const greedy = Array.from({ length: GREEDY }, () => open(from))
    for (const { stream } of greedy) stream.write(Buffer.alloc(BODY - 1, " "))
    const outcomes = await Promise.all(greedy.map(({ outcome }) => outcome))
    expect(new Set(outcomes)).toEqual(new Set([-http2.constants.NGHTTP2_CANCEL]))
    expect(closed()).toBe(false)
    await until(() => heldNow() === 0)
    session.destroy()
  })

  it("in frames of one byte end alone", async () => {
    const before = protections.tinyChunks.value()
    const { closed, open, session } = proxy()
    const one = open(newClient())
    let ended = false
    void one.outcome.then(() => ended = true)
    const drip = () => {
      if (!ended) one.stream.write(" ", () => setImmediate(drip))
    }
    drip()
    await until(() => ended)
    expect(protections.tinyChunks.value() - before).toBe(1)
    const other = open(newClient())
    other.stream.end(claim)
    expect(await other.outcome).toBe(200)
    expect(closed()).toBe(false)
    session.destroy()
  })
})
