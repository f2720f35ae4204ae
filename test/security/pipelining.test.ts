import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as net from "node:net"
import { describe, expect, it } from "vitest"
import { MOST_BEGUN, MOST_WAITING } from "../../src/http/protection/Pipelining.ts"
import * as Offences from "../../src/http/protection/Offences.ts"
import { protections } from "../../src/metrics/ProtectionMetrics.ts"
import { coupon, echo, ISSUE, issuing, json, request, start, until } from "../transport/Stub.ts"

const claim = (user: number) => {
  const body = `{"campaignId":1,"userId":${user}}`
  const head = `POST ${ISSUE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`
  return `${head}Content-Length: ${body.length}\r\n\r\n${body}`
}
const claims = (count: number) => Array.from({ length: count }, (_, n) => claim(n + 1)).join("")

const connect = async (port: number, from = "127.0.0.1") => {
  const socket = net.connect({ port, host: "127.0.0.1", localAddress: from })
  let [text, closed] = ["", false]
  socket.setEncoding("latin1").on("data", (chunk: string) => text += chunk)
  socket.on("close", () => closed = true).on("error", () => {})
  await new Promise((resolve) => socket.once("connect", resolve))
  return { socket, text: () => text, closed: () => closed }
}
const answers = (text: string) => text.split("HTTP/1.1 200 OK").length - 1

/** A server whose claims wait until `open` is called; `begun` counts them. */
const waiting = async () => {
  const gate = Effect.runSync(Deferred.make<void>())
  let begun = 0
  const server = await start({
    useCases: () => ({
      ...echo,
      issueCoupon: issuing((campaignId, userId) =>
        Effect.suspend(() => {
          begun++
          return Effect.as(Deferred.await(gate), { ...coupon, campaignId, userId })
        }))
    })
  })
  return { server, begun: () => begun, open: () => Deferred.unsafeDone(gate, Effect.void) }
}

describe("requests that come before their answers over HTTP/1.1", () => {
  it("are begun a few at a time, and all answered", async () => {
    const { begun, open, server } = await waiting()
    const client = await connect(server.port)
    const count = MOST_WAITING
    client.socket.write(claims(count))
    await until(() => begun() === MOST_BEGUN)
    // What comes now is not read: the connection is not cut for it.
    client.socket.write(claims(count))
    await request(server.port, { path: "/livez", method: "GET" })
    expect(begun()).toBe(MOST_BEGUN)
    open()
    await until(() => answers(client.text()) === 2 * count)
    expect(begun()).toBe(2 * count)
    client.socket.destroy()
    await server.close()
  })

  it("end their connection if one read brings too many, and the next connections of that client", async () => {
    const { open, server } = await waiting()
    const before = { barred: protections.barred.value(), pipelining: protections.pipelining.value() }
    let cuts = 0
    for (; protections.barred.value() === before.barred; cuts++) {
      const client = await connect(server.port, "127.0.0.9")
      client.socket.write(claims(MOST_BEGUN + MOST_WAITING + 1))
      await until(client.closed)
      expect(client.text()).toBe("")
    }
    expect(protections.pipelining.value() - before.pipelining).toBe(cuts - 1)
    open()
    expect((await request(server.port, { path: ISSUE, headers: json, body: "{\"campaignId\":1,\"userId\":1}" })).status)
      .toBe(200)
    await server.close()
  })

  it("are not cut when a connection asks one after the other, however often", async () => {
    const server = await start()
    const client = await connect(server.port)
    for (let n = 1; n <= 3 * (MOST_BEGUN + MOST_WAITING); n++) {
      client.socket.write(claim(n))
      await until(() => answers(client.text()) === n)
    }
    client.socket.destroy()
    await server.close()
  })
})

it.each(["application/grpc", "application/grpc+proto", "application/grpc-web"])(
  "an answer whose request has lost its socket already is counted all the same: %s over HTTP/1.1",
  async (type) => {
    const server = await start()
    // The adapter gives up the rest of a request of gRPC before its answer is written; once this ended the process.
    const head = `POST /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nTE: trailers\r\n`
    for (const body of ["\0\0\0\0\0", "\0\0\0\0\x03abc", "\0\0\0\0\x09x"]) {
      const { closed, socket, text } = await connect(server.port)
      socket.write(`${head}Connection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      await until(closed)
      expect(text()).toMatch(/^HTTP\/1\.1 \d{3} /)
    }
    const next = { path: ISSUE, headers: json, body: "{\"campaignId\":1,\"userId\":1}" }
    expect((await request(server.port, next)).status).toBe(200)
    await server.close()
  }
)

describe("a client of which connections were cut", () => {
  it("is let in again after a while, and others always", () => {
    let time = 0
    const sockets = { its: { place: 7 }, others: { place: 8 }, proxys: { place: undefined } }
    const offences = Offences.make(
      (socket) => (socket as unknown as { readonly place: number | undefined }).place,
      () => time
    )
    const bars = (name: keyof typeof sockets) => offences.bars(sockets[name].place)
    for (let n = 0; n < 100; n++) {
      offences.add(sockets.its as never)
      offences.add(sockets.proxys as never)
    }
    expect([bars("its"), bars("others"), bars("proxys")]).toEqual([true, false, false])
    time += 10_000
    expect(bars("its")).toBe(false)
  })
})
