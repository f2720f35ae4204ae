import * as Effect from "effect/Effect"
import * as http2 from "node:http2"
import * as net from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as StuckClients from "../../src/http/protection/StuckClients.ts"
import * as UnfinishedSessions from "../../src/http/protection/UnfinishedSessions.ts"
import * as StreamProgress from "../../src/rpc/streams/StreamProgress.ts"
import { protections } from "../../src/metrics/ProtectionMetrics.ts"
import * as Frames from "../hostile/Frames.ts"
import { frame, PREFACE } from "../hostile/Frames.ts"
import type { Running } from "../transport/Stub.ts"
import { campaign, coupon, echo, ISSUE, json, request, start, until } from "../transport/Stub.ts"

const issue = "{\"campaignId\":1,\"userId\":1}"

let server: Running
let hasty: Running
beforeAll(async () => {
  server = await start()
  hasty = await start({ patience: { headers: 200, request: 400, keepAlive: 200, http2Idle: 300, reading: 300 } })
})
afterAll(async () => {
  await server.close()
  await hasty.close()
})

/** A connection whose errors are ignored, and what is known of it. */
const connect = async (port: number, reads = true, from = "127.0.0.1") => {
  const socket = net.connect({ port, host: "127.0.0.1", localAddress: from })
  const chunks: Array<Buffer> = []
  let closed = false
  socket.on("close", () => (closed = true)).on("error", () => {})
  if (reads) socket.on("data", (chunk: Buffer) => chunks.push(chunk))
  else socket.pause()
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject))
  return {
    socket,
    closed: () => closed,
    text: () => Buffer.concat(chunks).toString("latin1"),
    bytes: () => Buffer.concat(chunks)
  }
}

/**
 * All others are served, as ever; by a server that is hasty, unless the machine lets them wait for longer than it does.
 */
const serves = (port: number) =>
  expect.poll(() => request(port, { path: ISSUE, headers: json, body: issue }).then(({ status }) => status, () => 0))
    .toBe(200)

describe("slow clients over HTTP/1.1 are ended", () => {
  const head =
    `POST ${ISSUE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${issue.length}\r\n`
  const openings = {
    "say nothing": "",
    "stop within the first line": "POST /coup",
    "stop within the headers": head,
    "stop within the body": `${head}\r\n{"campaign`,
    "stop within an HTTP/2 preface": "PRI * HTTP",
    "never ask again": `${head}\r\n${issue}`
  }
  it("who stop anywhere, or trickle headers for ever", async () => {
    const stopped = await Promise.all(Object.entries(openings).map(async ([what, opening]) => {
      const client = await connect(hasty.port)
      client.socket.write(opening)
      return [what, client] as const
    }))
    const trickling = await connect(hasty.port)
    trickling.socket.write(head)
    const drip = setInterval(() => trickling.socket.write("X: y\r\n"), 20)
    const open = [...stopped, ["trickle", trickling] as const]
    await expect.poll(() => open.filter(([, { closed }]) => !closed()).map(([what]) => what)).toEqual([])
    clearInterval(drip)
    await serves(hasty.port)
  })
})

describe("what is too large is refused before it is held", () => {
  it("headers over 16 KiB, HTTP/1.1", async () => {
    const client = await connect(server.port)
    client.socket.write(`POST ${ISSUE} HTTP/1.1\r\nHost: x\r\nX-Large: ${"x".repeat(17_000)}\r\n\r\n`)
    await until(client.closed)
    expect(client.text()).toMatch(/^HTTP\/1.1 431 /)
    await serves(server.port)
  })

  it("headers over 16 KiB, HTTP/2; over 64 KiB before the client has seen our settings", async () => {
    const ask = (session: http2.ClientHttp2Session, size: number) =>
      new Promise((resolve) => {
        const stream = session.request({ ":method": "POST", ":path": ISSUE, ...json, "x-large": "x".repeat(size) })
        stream.on("response", (reply) => resolve(reply[":status"])).on("error", (error: NodeJS.ErrnoException) =>
          resolve(error.code))
        stream.resume().end(issue)
      })
    const [fresh, settled] = [http2.connect(server.url), http2.connect(server.url)]
    for (const session of [fresh, settled]) session.on("error", () => {})
    expect(await ask(fresh, 70_000)).toBe("ERR_HTTP2_STREAM_ERROR")
    expect(await ask(settled, 1_000)).toBe(200)
    expect(await ask(settled, 17_000)).toBe("ERR_HTTP2_STREAM_ERROR")
    // The other calls on the connection, a proxy's perhaps, go on.
    expect(await ask(settled, 1_000)).toBe(200)
    for (const session of [fresh, settled]) session.destroy()
    await serves(server.port)
  })

  it("two lengths that differ: nothing is smuggled behind a proxy's back", async () => {
    const client = await connect(server.port)
    client.socket.write(
      `POST ${ISSUE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4\r\n` +
        `Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /livez HTTP/1.1\r\n\r\n`
    )
    await until(client.closed)
    expect(client.text()).toMatch(/^HTTP\/1.1 400 /)
    expect(client.text()).not.toContain("alive")
  })
})

const SETTINGS = frame(4, 0, 0)
/** HPACK: `:method POST`, `:scheme http` from the static table, then literals. */
const literal = (name: number, value: string) => Buffer.concat([Buffer.from([name, value.length]), Buffer.from(value)])
const headers = Buffer.concat([
  Buffer.from([0x83, 0x86]),
  literal(0x04, ISSUE),
  literal(0x01, "x"),
  literal(0x0f, "").subarray(0, 0)
])
/** Waits for its body, where another type would be answered. */
const jsonType = Buffer.from("application/json")
const ofJson = Buffer.concat([headers, Buffer.from([0x0f, 0x10, jsonType.length]), jsonType])
/** As many rounds as it takes until the server has had enough, without waiting for its answers. */
const flood = async (client: Awaited<ReturnType<typeof connect>>, round: (n: number) => Buffer, rounds: number) => {
  for (let n = 0; n < rounds && !client.closed(); n++) {
    if (!client.socket.write(round(n))) {
      await new Promise((resolve) => client.socket.once("drain", resolve).once("close", resolve))
    }
    if (n % 64 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
}

describe("floods over HTTP/2 end their connection, and no other", () => {
  const cancel = Buffer.from([0, 0, 0, 8])
  const body = frame(0, 1, 0, Buffer.from(issue))
  const ofStream = (one: Buffer, id: number) => {
    const copy = Buffer.from(one)
    copy.writeUInt32BE(id, 5)
    return copy
  }
  it.each([
    ["opened and reset", (id: number) => [frame(1, 4, id, headers), frame(3, 0, id, cancel)]],
    [
      "opened, complete, and reset",
      (id: number) => [frame(1, 4, id, headers), ofStream(body, id), frame(3, 0, id, cancel)]
    ],
    ["that the server has to reset", (id: number) => [frame(1, 4, id, headers), frame(8, 0, id, Buffer.alloc(4))]]
  ])("streams %s, and the next connections of their client", async (_, round) => {
    const from = `127.0.1.${1 + Math.floor(Math.random() * 250)}`
    const client = await connect(server.port, true, from)
    client.socket.write(Buffer.concat([PREFACE, SETTINGS]))
    await flood(client, (n) => Buffer.concat(round(2 * n + 1)), 60_000)
    await until(client.closed)
    await serves(server.port)
  })

  it.each([
    ["opened and reset", (id: number) => [frame(1, 4, id, headers), frame(3, 0, id, cancel)]],
    [
      "opened, complete, and reset",
      (id: number) => [frame(1, 4, id, headers), ofStream(body, id), frame(3, 0, id, cancel)]
    ]
  ])("streams %s by a trusted proxy in one write: it stays, and others are served", async (_, round) => {
    const behind = await start({ environment: { TRUSTED_PROXIES: "127.0.3.1" } })
    try {
      const proxy = await connect(behind.port, true, "127.0.3.1")
      // More than a client of its own may reset: these are of many.
      const streams = Array.from({ length: 5_000 }, (_, n) => Buffer.concat(round(2 * n + 1)))
      proxy.socket.write(Buffer.concat([PREFACE, SETTINGS, ...streams]))
      const ping = frame(6, 0, 0, Buffer.alloc(8, 7))
      proxy.socket.write(ping)
      const answer = frame(6, 1, 0, Buffer.alloc(8, 7))
      await until(() => proxy.closed() || proxy.bytes().includes(answer))
      expect(proxy.closed()).toBe(false)
      await serves(behind.port)
      proxy.socket.destroy()
    } finally {
      await behind.close()
    }
  })

  it("streams that a trusted proxy resets as it opens others: it stays, and all of those are served", async () => {
    const behind = await start({ environment: { TRUSTED_PROXIES: "127.0.3.1" } })
    try {
      const proxy = await connect(behind.port, true, "127.0.3.1")
      proxy.socket.write(Buffer.concat([PREFACE, SETTINGS]))
      // A hundred at once, as envoy/envoy.yaml allows: each write ends those of the one before and opens as many.
      const opened = (round: number) => Array.from({ length: 100 }, (_, n) => 2 * (100 * round + n) + 1)
      for (let round = 0; round < 30; round++) {
        const left = round === 0 ? [] : opened(round - 1).map((id) => frame(3, 0, id, cancel))
        const data = Buffer.alloc(8, round)
        const begun = opened(round).map((id) =>
          Frames.headers(id, ISSUE, { ...json, "x-forwarded-for": `10.0.${round}.${id % 200}` }))
        proxy.socket.write(Buffer.concat([...left, ...begun, frame(6, 0, 0, data)]))
        await until(() => proxy.closed() || proxy.bytes().includes(frame(6, 1, 0, data)))
      }
      proxy.socket.write(Buffer.concat(opened(29).map((id) => ofStream(body, id))))
      const answers = () => {
        const bytes = proxy.bytes()
        // HEADERS of a stream: type 1, then flags.
        return opened(29).filter((id) => bytes.includes(frame(1, 4, id).subarray(3, 9))).length
      }
      await until(() => proxy.closed() || answers() === 100)
      expect(proxy.closed()).toBe(false)
      proxy.socket.destroy()
    } finally {
      await behind.close()
    }
  })

  it("streams that end with their connections, again and again", async () => {
    const from = "127.0.2.1"
    const barred = protections.barred.value()
    for (let n = 0; protections.barred.value() === barred && n < 200; n++) {
      const client = await connect(server.port, true, from)
      const streams = Array.from({ length: 50 }, (_, k) => frame(1, 4, 2 * k + 1, ofJson))
      client.socket.end(Buffer.concat([PREFACE, SETTINGS, ...streams]))
      await until(client.closed)
    }
    expect(protections.barred.value()).toBeGreaterThan(barred)
    await serves(server.port)
  })

  it.each([
    ["pings", frame(6, 0, 0, Buffer.alloc(8))],
    ["settings", SETTINGS]
  ])("%s whose client reads no answer", async (_, one) => {
    const client = await connect(server.port, false)
    client.socket.write(Buffer.concat([PREFACE, SETTINGS]))
    const burst = Buffer.concat(Array.from({ length: 1_000 }, () => one))
    const before = process.memoryUsage().rss
    let stuck = false
    const done = flood(client, () => burst, 20_000).then(() => (stuck = true))
    // Either the server ends it, or it stops reading; in both cases nothing piles up.
    let written = -1
    await until(() => {
      const now = client.socket.bytesWritten - client.socket.writableLength
      const still = now === written && client.socket.writableLength > 0
      written = now
      return client.closed() || stuck || still
    })
    client.socket.destroy()
    await done
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6)
    await serves(server.port)
  })

  it("CONTINUATION without end", async () => {
    const client = await connect(server.port)
    client.socket.write(Buffer.concat([PREFACE, SETTINGS, frame(1, 0, 1, headers)]))
    const more = frame(
      9,
      0,
      1,
      Buffer.concat([Buffer.from([0, 1]), Buffer.from("x"), Buffer.from([1]), Buffer.from("y")])
    )
    await flood(client, () => more, 100_000)
    await until(client.closed)
    await serves(server.port)
  })

  it("rubbish frames", async () => {
    const client = await connect(server.port)
    client.socket.write(Buffer.concat([PREFACE, SETTINGS]))
    await flood(client, (n) => frame(n % 10, 255, n, Buffer.alloc(n % 50, n)), 10_000)
    await until(client.closed)
    await serves(server.port)
  })

  it("a stream whose body never comes, and a session without a stream", async () => {
    const session = http2.connect(hasty.url)
    session.on("error", () => {})
    const stream = session.request({ ":method": "POST", ":path": ISSUE, ...json })
    stream.on("error", () => {})
    stream.write("{")
    stream.resume()
    let closed = false
    stream.on("close", () => (closed = true))
    await until(() => closed)
    const idle = await connect(hasty.port)
    idle.socket.write(Buffer.concat([PREFACE, SETTINGS]))
    await until(idle.closed)
    session.destroy()
  })
})

describe("over HTTP/2, what does not come to a request is ended", () => {
  const begun = frame(1, 0, 1, Buffer.from([0x83]))
  it.each([
    ["a preface without settings", [PREFACE]],
    ["headers without an end", [PREFACE, SETTINGS, begun]]
  ])("%s, long before an idle connection", async (_, opening) => {
    const patient = await start({ patience: { headers: 200, http2Idle: 3_600_000 } })
    const before = protections.unfinished.value()
    const [idle, client] = [await connect(patient.port), await connect(patient.port)]
    idle.socket.write(Buffer.concat([PREFACE, SETTINGS]))
    client.socket.write(Buffer.concat(opening))
    await until(client.closed)
    expect(protections.unfinished.value() - before).toBe(1)
    expect(idle.closed()).toBe(false)
    idle.socket.destroy()
    await patient.close()
  })

  it("a frame without its payload, pings alone, and a frame byte by byte", async () => {
    const parts = {
      "without its payload": [frame(4, 0, 0, Buffer.alloc(60)).subarray(0, 20), undefined],
      "pings alone": [Buffer.alloc(0), frame(6, 0, 0, Buffer.alloc(8))],
      "byte by byte": [frame(0, 0, 0, Buffer.alloc(16_000)).subarray(0, 9), Buffer.alloc(1)]
    } as const
    const open = await Promise.all(Object.entries(parts).map(async ([what, [opening, again]]) => {
      const client = await connect(hasty.port)
      client.socket.write(Buffer.concat([PREFACE, SETTINGS, opening]))
      const drip = setInterval(() => again !== undefined && client.socket.write(again), 20)
      return { what, client, drip }
    }))
    await expect.poll(() => open.filter(({ client }) => !client.closed()).map(({ what }) => what)).toEqual([])
    for (const { drip } of open) clearInterval(drip)
    await serves(hasty.port)
  })

  it("but no connection that has a stream, or had one of late", () => {
    let time = 0
    const closed: Array<string> = []
    const open = new Map<object, number>()
    const session = (name: string) => ({
      ...{ destroyed: false, closed: false, state: { lastProcStreamID: 0 } },
      once: (_: string, listener: () => void) => listener(),
      destroy: () => void closed.push(`${name}, destroyed`),
      close() {
        this.closed = true
        closed.push(`${name} at ${time}`)
      }
    })
    const [idle, long, brisk] = [session("idle"), session("long"), session("brisk")]
    const unfinished = UnfinishedSessions.make({
      headersMillis: 1_000,
      idleMillis: 10_000,
      openStreams: (one) => open.get(one) ?? 0,
      sessions: new Set([idle, long, brisk]) as never,
      now: () => time
    })
    const request = (of: ReturnType<typeof session>) => {
      of.state.lastProcStreamID += 2
      unfinished.requested(of as never, of.state.lastProcStreamID)
    }
    for (const one of [idle, long, brisk]) unfinished.begun(one as never)
    request(long)
    open.set(long, 1)
    for (; time <= 60_000; time += 500) {
      // Between two looks a stream comes and goes, so that no look sees it.
      if (time <= 30_000 && time % 3_000 === 0) request(brisk)
      if (time === 40_000) open.delete(long)
      unfinished.sweep()
    }
    expect(closed).toEqual(["idle at 10000", "brisk at 40000", "long at 49500"])
  })
})

describe("clients that ask and never read", () => {
  const codes = Array.from({ length: 10_000 }, (_, i) => ({ ...coupon, id: i + 1, code: coupon.code.repeat(20) }))
  const large = {
    ...echo,
    campaigns: { ...echo.campaigns, get: () => Effect.succeed({ campaign, coupons: codes, nextPageToken: undefined }) }
  }
  const body = "{\"campaignId\":1}"
  const GET = "/coupon.v1.CouponService/GetCampaign"

  it("over HTTP/1.1 lose their connection", async () => {
    // Of one connection at a time: who else gets in proves that this one is gone.
    const other = await start({
      useCases: () => large,
      patience: { reading: 300 },
      environment: { MAX_CONNECTIONS: "1" }
    })
    const client = await connect(other.port, false)
    const head = `POST ${GET} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`
    const call = `${head}Content-Length: ${body.length}\r\n\r\n${body}`
    client.socket.write(call.repeat(5))
    await expect.poll(() =>
      request(other.port, { path: ISSUE, headers: json, body: issue }).then(({ status }) => status, () => 0)
    ).toBe(200)
    let received = 0
    client.socket.on("data", (chunk: Buffer) => (received += chunk.length))
    client.socket.resume()
    await until(client.closed)
    expect(received).toBeLessThan(20_000_000)
    await other.close()
  })

  it("over HTTP/2 lose their stream, and only that", async () => {
    const other = await start({ useCases: () => large, patience: { reading: 300 } })
    const session = http2.connect(other.url)
    session.on("error", () => {})
    const stuck = session.request({ ":method": "POST", ":path": GET, ...json })
    stuck.on("error", () => {})
    stuck.end(body)
    stuck.pause()
    await until(() => stuck.closed)
    expect(stuck.rstCode).toBe(http2.constants.NGHTTP2_CANCEL)
    const fine = session.request({ ":method": "POST", ":path": ISSUE, ...json })
    const status = new Promise((resolve) => fine.on("response", (reply) => resolve(reply[":status"])))
    fine.resume().end(issue)
    expect(await status).toBe(200)
    session.destroy()
    await other.close()
  })

  it("are not those who are merely slow", () => {
    let time = 0
    const destroyed: Array<string> = []
    const client = (name: string) => ({
      name,
      writableLength: 1,
      bytesWritten: 0,
      destroy: () => void destroyed.push(name)
    })
    const [slow, stuck, idle] = [client("slow"), client("stuck"), client("idle")]
    // Streams of HTTP/2 do not count what they have written.
    const stream = (name: string) => ({ writableLength: 1, close: () => void destroyed.push(name) })
    const [slowStream, stuckStream] = [stream("slow stream"), stream("stuck stream")]
    const { sweep } = StuckClients.make({
      sockets: new Set([slow, stuck, idle]) as never,
      streams: new Set([slowStream, stuckStream]) as never,
      patienceMillis: 30_000,
      now: () => time
    })
    for (; time <= 60_000; time += 5_000) {
      slow.bytesWritten += 22_000
      StreamProgress.add(slowStream, 22_000)
      idle.writableLength = time % 10_000 === 0 ? 0 : 1
      sweep()
    }
    expect([...new Set(destroyed)]).toEqual(["stuck", "stuck stream"])
  })
})

describe("what is no request", () => {
  it("writes no line above INFO for each time it comes, whatever it is", async () => {
    const other = await start()
    const get = { method: "GET", path: `/coupon.v1.CouponService/GetCampaign?message=%ff&encoding=proto&base64=1` }
    const grpc = { "content-type": "application/grpc-web" }
    const asks: ReadonlyArray<Parameters<typeof request>[1]> = [
      { path: ISSUE, headers: json, body: "{" },
      { path: ISSUE, headers: json, body: "{\"campaignId\":-1}" },
      { path: ISSUE, headers: { ...json, "content-encoding": "gzip" }, body: issue },
      { path: ISSUE, headers: { ...json, "connect-timeout-ms": "x" }, body: issue },
      { path: ISSUE, headers: { "content-type": "application/proto" }, body: "\x08" },
      { path: ISSUE, headers: grpc, body: "\0\0\0\0\x09" },
      { path: ISSUE, headers: grpc, body: "\xff".repeat(20) },
      { path: "/grpc.health.v1.Health/Check", headers: grpc, body: "\0\0\0\0\x09" },
      { path: "/nowhere", headers: json, body: "{}" },
      { path: ISSUE, method: "PUT", headers: json, body: "{}" },
      get
    ]
    for (const ask of asks) for (let n = 0; n < 20; n++) await request(other.port, ask).catch(() => undefined)
    for (let n = 0; n < 20; n++) {
      const client = await connect(other.port)
      client.socket.end("\x16\x03\x01\r\n\r\n")
      await until(client.closed)
    }
    expect(other.logs.filter((line) => /level=(?:WARN|ERROR|FATAL)/.test(line)).length).toBeLessThan(asks.length)
    await other.close()
  })
})
