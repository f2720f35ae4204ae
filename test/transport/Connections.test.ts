import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as http from "node:http"
import * as http2 from "node:http2"
import * as net from "node:net"
import { createClient } from "@connectrpc/connect"
import { createGrpcTransport } from "@connectrpc/connect-node"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { UseCases } from "../../src/rpc/Startup.ts"
import { CouponService } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import type { Running } from "./Stub.ts"
import { campaign, coupon, echo, ISSUE, issuing, json, request, start, until } from "./Stub.ts"

let server: Running
beforeAll(async () => {
  server = await start()
})
afterAll(() => server.close())

/** A raw connection, and all that came back on it. */
const connect = async (port: number) => {
  const socket = net.connect(port, "127.0.0.1")
  socket.setNoDelay(true)
  let received = Buffer.alloc(0)
  let closed = false
  socket.on("data", (chunk: Buffer) => (received = Buffer.concat([received, chunk])))
  socket.on("close", () => (closed = true))
  socket.on("error", () => {})
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject))
  return { socket, text: () => received.toString("latin1"), bytes: () => received, closed: () => closed }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

const issue = "{\"campaignId\":1,\"userId\":1}"
const raw = (body = issue) =>
  `POST ${ISSUE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`

const count = (text: string, part: string) => text.split(part).length - 1

/** Claims that wait until they are let go. */
const held = () => {
  const latch = Effect.runSync(Deferred.make<void>())
  let waiting = 0
  const hold = <A>(answer: A) => Effect.suspend(() => (waiting++, Effect.as(Deferred.await(latch), answer)))
  const useCases: UseCases = {
    ...echo,
    issueCoupon: issuing(() => hold(coupon)),
    campaigns: { ...echo.campaigns, getCoupon: () => hold(coupon) }
  }
  return { useCases, waiting: () => waiting, release: () => Effect.runSync(Deferred.succeed(latch, undefined)) }
}

describe("one port", () => {
  it("takes HTTP/1.1 byte by byte", async () => {
    const client = await connect(server.port)
    for (const byte of raw()) {
      client.socket.write(byte)
      await turn()
    }
    await until(() => client.text().includes("\"message\":\"OK\""))
    client.socket.destroy()
  })

  it("takes HTTP/2 byte by byte", async () => {
    const client = await connect(server.port)
    // The preface and an empty SETTINGS frame; the answer begins with a SETTINGS frame of the server's.
    const opening = Buffer.concat([
      Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
      Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])
    ])
    for (const byte of opening) {
      client.socket.write(Buffer.from([byte]))
      await turn()
    }
    await until(() => client.bytes().length >= 9)
    expect(client.bytes()[3]).toBe(4)
    client.socket.end()
    await until(client.closed)
  })

  it("takes what only looks like HTTP/2 for a while as HTTP/1.1", async () => {
    const client = await connect(server.port)
    client.socket.write("PRI * HTTP/2")
    await turn()
    client.socket.write(".1\r\n\r\n")
    await until(() => client.text().startsWith("HTTP/1.1 4"))
    await until(client.closed)
  })

  it("answers pipelined requests in order, and keeps the connection", async () => {
    const client = await connect(server.port)
    const body = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
    client.socket.write(raw() + body("/livez") + raw() + body("/readyz"))
    await until(() => client.text().includes("\"ready\""))
    expect(count(client.text(), "HTTP/1.1 200 OK")).toBe(4)
    expect(client.text()).toMatch(/OK"[^]*alive[^]*OK"[^]*ready/)
    client.socket.write(raw())
    await until(() => count(client.text(), "\"message\":\"OK\"") === 3)
    client.socket.destroy()
  })

  it.each(["application/grpc-web+proto", "application/json", "application/x-unknown"])(
    "keeps an HTTP/1.1 connection whose %s was too large",
    async (type) => {
      const client = await connect(server.port)
      // More than the buffers on the way hold, so that the server has to read it to get at the next request.
      const size = 3_000_000
      const envelope = Buffer.alloc(5 + size)
      envelope.writeUInt32BE(size, 1)
      client.socket.write(
        `POST ${ISSUE} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`
      )
      client.socket.write(`${envelope.length.toString(16)}\r\n`)
      client.socket.write(envelope)
      client.socket.write("\r\n0\r\n\r\n")
      client.socket.write(raw())
      await until(() => client.text().includes("\"message\":\"OK\""))
      client.socket.destroy()
    }
  )

  it("serves many HTTP/2 streams on one connection", async () => {
    const client = createClient(CouponService, createGrpcTransport({ baseUrl: server.url }))
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => client.issueCoupon({ campaignId: 1, userId: BigInt(i + 1) }))
    )
    expect(answers.every((answer) => answer.message === "OK")).toBe(true)
  })

  it("survives clients that break off anywhere", async () => {
    const preface = "PRI * HTTP/2.0\r\n"
    const broken = `${preface}\r\nSM\r\n\r\nrubbish that is no frame`
    const fragments = ["", "P", preface, broken, "rubbish\r\n\r\n", raw().slice(0, -5), raw()]
    for (const fragment of fragments) {
      for (const leave of ["end", "destroy", "resetAndDestroy"] as const) {
        const client = await connect(server.port)
        client.socket.write(fragment)
        await turn()
        client.socket[leave]()
        await until(client.closed)
      }
    }
    // Asked for a host it cannot parse, or none at all.
    const client = await connect(server.port)
    client.socket.write(`POST ${ISSUE}?adapter HTTP/1.1\r\nHost: [\r\nContent-Length: 0\r\n\r\n`)
    await until(() => client.text().startsWith("HTTP/1.1 400"))
    client.socket.destroy()
    const old = await connect(server.port)
    old.socket.write(`POST ${ISSUE}?adapter HTTP/1.0\r\n\r\n`)
    // HTTP/1.0 knows no Host header: what is missing is the content type.
    await until(() => old.text().startsWith("HTTP/1.1 415"))
    expect((await request(server.port, { path: ISSUE, headers: json, body: issue })).status).toBe(200)
    expect(server.logs).toEqual([])
  })

  it("drops the answer to a client that went away", async () => {
    const slow = held()
    const other = await start({ useCases: () => slow.useCases })
    for (const path of [ISSUE, `${ISSUE}?adapter`]) {
      const before = slow.waiting()
      const sent = http.request({
        port: other.port,
        host: "127.0.0.1",
        method: "POST",
        path,
        headers: json,
        agent: false
      })
      sent.on("error", () => {})
      sent.end(issue)
      await until(() => slow.waiting() > before)
      sent.destroy()
    }
    const session = http2.connect(other.url)
    session.on("error", () => {})
    const stream = session.request({ ":method": "POST", ":path": ISSUE, ...json })
    stream.on("error", () => {})
    stream.end(issue)
    await until(() => slow.waiting() === 3)
    session.destroy()
    slow.release()
    await other.close()
    expect(other.logs).toEqual([])
  })
})

describe("readiness", () => {
  it("names what is awaited, and answers UNAVAILABLE until it is there", async () => {
    let useCases = undefined as UseCases | undefined
    const other = await start({
      useCases: () => useCases,
      waitingFor: () => useCases === undefined ? ["MySQL at db:3306"] : []
    })
    const read = async (path: string) => {
      const { body, status } = await request(other.port, { method: "GET", path })
      return [status, JSON.parse(body)]
    }
    expect(await read("/livez")).toEqual([200, { status: "alive" }])
    expect(await read("/readyz")).toEqual([503, { status: "starting", waitingFor: ["MySQL at db:3306"] }])
    for (const path of [ISSUE, `${ISSUE}?adapter`]) {
      const reply = await request(other.port, { path, headers: json, body: issue })
      expect([reply.status, reply.headers["retry-after"], JSON.parse(reply.body)]).toEqual([
        503,
        "1",
        { code: "unavailable", message: "UNAVAILABLE" }
      ])
    }
    useCases = echo
    expect(await read("/readyz")).toEqual([200, { status: "ready" }])
    expect((await request(other.port, { path: ISSUE, headers: json, body: issue })).status).toBe(200)
    await other.close()
  })
})

describe("overload", () => {
  it("sheds beyond MAX_IN_FLIGHT before anything is taken, then recovers", async () => {
    const slow = held()
    const other = await start({ useCases: () => slow.useCases, environment: { MAX_IN_FLIGHT: "2" } })
    const call = (path: string) => request(other.port, { path, headers: json, body: issue })
    const admitted = [call(ISSUE), call(`${ISSUE}?adapter`)]
    await until(() => slow.waiting() === 2)
    for (const path of [ISSUE, `${ISSUE}?adapter`]) {
      const reply = await call(path)
      expect([reply.status, reply.headers["retry-after"], JSON.parse(reply.body)]).toEqual([
        429,
        "1",
        { code: "resource_exhausted", message: "OVERLOADED" }
      ])
    }
    expect(slow.waiting()).toBe(2)
    slow.release()
    expect((await Promise.all(admitted)).map((reply) => reply.status)).toEqual([200, 200])
    expect((await call(ISSUE)).status).toBe(200)
    await other.close()
  })

  it("leaves places for others than the one who floods, and for administration", async () => {
    const slow = held()
    const other = await start({
      useCases: () => slow.useCases,
      environment: { MAX_IN_FLIGHT: "20", TRUSTED_PROXIES: "127.0.0.1" }
    })
    const call = (client: string) =>
      request(other.port, { path: ISSUE, headers: { ...json, "x-forwarded-for": client }, body: issue })
    const flood = Array.from({ length: 100 }, () => call("192.0.2.1"))
    // 18 of 20: then 2 are free, and it holds more than 8 times as many.
    await until(() => slow.waiting() === 18)
    const statuses: Array<number> = []
    for (const reply of flood) void reply.then(({ status }) => statuses.push(status))
    await until(() => statuses.length === 82)
    expect(new Set(statuses)).toEqual(new Set([429]))
    const others = [call("198.51.100.7"), call("203.0.113.9")]
    await until(() => slow.waiting() === 20)
    expect((await call("203.0.113.10")).status).toBe(429)
    const created = { name: "a", couponLimit: "1", startTime: "2025-01-01T00:00:00Z" }
    const path = "/coupon.v1.CouponService/CreateCampaign"
    expect((await request(other.port, { path, headers: json, body: JSON.stringify(created) })).status).toBe(200)
    // Nor are those of tills: without PUBLIC_REDEEM they need a key as administration does.
    const redeemed = JSON.stringify({ campaignId: 1, code: "a", requestId: "r" })
    const redemption = { path: "/coupon.v1.CouponService/RedeemCoupon", headers: json, body: redeemed }
    expect((await request(other.port, redemption)).status).not.toBe(429)
    expect((await request(other.port, { path: "/readyz", method: "GET" })).status).toBe(200)
    slow.release()
    expect((await Promise.all(others)).map(({ status }) => status)).toEqual([200, 200])
    expect((await Promise.all(flood)).filter(({ status }) => status === 200)).toHaveLength(18)
    await other.close()
  })

  it("closes connections beyond MAX_CONNECTIONS", async () => {
    const other = await start({ environment: { MAX_CONNECTIONS: "2" } })
    const first = await connect(other.port)
    const second = await connect(other.port)
    const third = await connect(other.port)
    await until(third.closed)
    first.socket.write(raw())
    await until(() => first.text().includes("OK"))
    first.socket.destroy()
    second.socket.destroy()
    await other.close()
  })
})

describe("draining", () => {
  /** However long a busy machine takes to look. */
  const environment = { SHUTDOWN_TIMEOUT: "1 minute" }

  it("answers what was admitted, says goodbye, and takes no more", async () => {
    const slow = held()
    const other = await start({ useCases: () => slow.useCases, environment })
    const idle = await connect(other.port)
    idle.socket.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    const silent = await connect(other.port)
    await until(() => idle.text().includes("alive"))
    const lane = request(other.port, { path: ISSUE, headers: { ...json, connection: "keep-alive" }, body: issue })
    const adapter = request(other.port, {
      path: `${ISSUE}?adapter`,
      headers: { ...json, connection: "keep-alive" },
      body: issue
    })
    const client = createClient(CouponService, createGrpcTransport({ baseUrl: other.url }))
    const grpc = client.issueCoupon({ campaignId: 1, userId: 1n })
    await until(() => slow.waiting() === 3)

    let drained = false
    const closing = other.close().then(() => (drained = true))
    await until(() => idle.closed() && silent.closed())
    await expect(
      new Promise((resolve, reject) =>
        net.connect(other.port, "127.0.0.1").once("connect", resolve).once("error", reject)
      )
    ).rejects.toMatchObject({ code: "ECONNREFUSED" })
    expect(drained).toBe(false)

    slow.release()
    for (const reply of [await lane, await adapter]) {
      expect([reply.status, reply.headers.connection]).toEqual([200, "close"])
    }
    expect((await grpc).message).toBe("OK")
    await closing
  })

  it("is reported by readyz on a connection that is in the middle of a request", async () => {
    const slow = held()
    const other = await start({ useCases: () => slow.useCases, environment })
    const session = http2.connect(other.url)
    const sent = session.request({ ":method": "POST", ":path": ISSUE, ...json })
    sent.end(issue)
    sent.resume()
    const client = await connect(other.port)
    // When the first request is answered, the server has seen the beginning of the second.
    client.socket.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\n")
    await until(() => client.text().includes("alive") && slow.waiting() === 1)
    const closing = other.close()
    await new Promise((resolve) => session.once("goaway", resolve))
    client.socket.write("\r\n")
    await until(client.closed)
    expect(client.text()).toMatch(/HTTP\/1.1 503 [^]*Connection: close[^]*"draining"/)
    slow.release()
    await closing
  })

  it("lets an answer leave that a slow client has not read yet", async () => {
    const codes = Array.from({ length: 10_000 }, (_, i) => ({ ...coupon, id: i + 1, code: coupon.code.repeat(20) }))
    const campaigns = {
      ...echo.campaigns,
      get: () => Effect.succeed({ campaign, coupons: codes, nextPageToken: undefined })
    }
    const other = await start({ useCases: () => ({ ...echo, campaigns }), environment })
    const client = await connect(other.port)
    client.socket.pause()
    const body = "{\"campaignId\":1}"
    client.socket.write(
      `POST /coupon.v1.CouponService/GetCampaign HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`
    )
    await new Promise((resolve) => client.socket.once("readable", resolve))
    const closing = other.close()
    const busy = await connect(other.port).catch(() => undefined)
    expect(busy).toBe(undefined)
    client.socket.resume()
    await until(client.closed)
    expect(count(client.bytes().toString(), coupon.code)).toBe(200_000)
    await closing
  })

  it("cuts off what takes longer than SHUTDOWN_TIMEOUT", async () => {
    const slow = held()
    const other = await start({ useCases: () => slow.useCases, environment: { SHUTDOWN_TIMEOUT: "1 second" } })
    const stuck = request(other.port, { path: ISSUE, headers: json, body: issue })
    const outcome = stuck.then(() => "answered", (error: NodeJS.ErrnoException) => error.code)
    const session = http2.connect(other.url)
    session.on("error", () => {})
    const stream = session.request({ ":method": "POST", ":path": ISSUE, ...json })
    stream.on("error", () => {})
    stream.end(issue)
    await until(() => slow.waiting() === 2)
    await other.close()
    expect(await outcome).toBe("ECONNRESET")
  })
})

it("says what to do when the port is taken", async () => {
  await expect(start({ environment: { PORT: String(server.port) } })).rejects.toThrow(
    `cannot listen on 127.0.0.1 port ${server.port}: something else listens there`
  )
})
