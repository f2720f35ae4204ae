import { encodeEnvelope } from "@connectrpc/connect/protocol"
import * as http2 from "node:http2"
import * as net from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Running } from "./Stub.ts"
import { ISSUE, start } from "./Stub.ts"

let server: Running
beforeAll(async () => {
  server = await start({ environment: { CORS_ORIGINS: "https://shop.example" } })
})
afterAll(() => server.close())

const BODY = "{\"campaignId\":1,\"userId\":7}"

/** Sends these bytes on a connection of its own; resolves with all that comes until the server closes it. */
const raw = (text: string) =>
  new Promise<string>((resolve, reject) => {
    const socket = net.connect(server.port, "127.0.0.1")
    let reply = ""
    socket.setEncoding("utf8").on("data", (chunk: string) => (reply += chunk)).on("error", reject)
    socket.on("close", () => resolve(reply))
    socket.write(text)
  })

interface Options {
  readonly hosts?: ReadonlyArray<string>
  readonly others?: ReadonlyArray<string>
  readonly type?: string
  readonly version?: string
  readonly method?: string
}

const ask = async (target: string, options: Options = {}) => {
  const { hosts = ["coupon.example"], method = "POST", others = [], type = "application/json", version = "1.1" } =
    options
  const headers = [
    ...[...hosts.map((host) => `Host: ${host}`), ...others],
    ...[`Content-Type: ${type}`, "Connection: close"]
  ]
  const body = method === "POST" ? BODY : ""
  const lines = [`${method} ${target} HTTP/${version}`, ...headers, `Content-Length: ${body.length}`, "", body]
  const reply = await raw(lines.join("\r\n"))
  const [head, text] = reply.split("\r\n\r\n") as [string, string]
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]), text }
}

const OK = { status: 200, text: expect.stringContaining("\"message\":\"OK\"") as string }
const bad = (reason: string) => ({
  status: 400,
  text: expect.stringMatching(new RegExp(`"code":"invalid_argument","message":"INVALID_ARGUMENT: ${reason}`)) as string
})

// A query, which the lane does not take, leads the same request to connect-es.
describe.each([["the lane", ISSUE], ["the adapter", `${ISSUE}?adapter`]])("the head of a request: %s", (_, path) => {
  it.each([
    "http://coupon.example", "HTTP://coupon.example:8080", "https://[::1]:1", "http://other"
  ])("takes a target in absolute form: %s", async (origin) => {
    expect(await ask(origin + path)).toEqual(OK)
    expect(await ask(origin + path, { version: "1.0", hosts: [] })).toEqual(OK)
  })

  it.each([
    "http://", "http://user@coupon.example", "http://a b", "http://a:99999"
  ])("refuses one without a host, or with more: %s", async (origin) => {
    expect((await ask(origin + path)).status).toBe(400)
  })

  it("takes HTTP/1.0 without a host, and no other", async () => {
    expect(await ask(path, { version: "1.0", hosts: [] })).toEqual(OK)
    expect((await ask(path, { hosts: [] })).status).toBe(400)
  })

  it.each([["a", "a"], ["a", "b"], ["a", ""]])("refuses two hosts: %j and %j", async (...hosts) => {
    expect(await ask(path, { hosts })).toEqual(bad(""))
    expect(await ask(path, { hosts, version: "1.0" })).toEqual(bad(""))
    expect(await ask(`http://a${path}`, { hosts })).toEqual(bad(""))
  })

  it.each([
    ["Bearer a", "Bearer b"], ["Bearer a", "Bearer a"], ["", "Bearer b"]
  ])("takes no two credentials: %j and %j", async (one, other) => {
    const bad = { status: 400, text: expect.stringContaining("there must be one authorization header") as string }
    expect(await ask(path, { others: [`Authorization: ${one}`, `AUTHORIZATION: ${other}`] })).toEqual(bad)
    expect(await ask(path, { others: [`authorization: ${one}`] })).toEqual(OK)
  })

  it.each(["", "a b", "a/b", "u@a", "a:b", "a:99999", "[::1", "a,b c", "é"])(
    "refuses what is no host: %j",
    async (host) => {
      expect(await ask(path, { hosts: [host] })).toEqual(bad("host header"))
    }
  )

  it.each(["a", "A.example:80", "127.0.0.1", "[::1]:8080", "a:", "xn--h32b"])("takes what is one: %j", async (host) => {
    expect(await ask(path, { hosts: [host] })).toEqual(OK)
  })

  it.each([
    "application/json; charset=\"utf-8\"", "application/json;charset=\"UTF-8\"", "Application/JSON ; Charset=utf-8",
    "application/json;", "application/json;\tcharset=utf8 ;"
  ])("takes JSON in UTF-8, however that is written: %s", async (type) => {
    expect(await ask(path, { type })).toEqual(OK)
  })

  it.each([
    "application/json; charset=latin1", "application/json; charset=\"utf-8",
    "application/json; charset=utf-8; charset=utf-8", "application/jsonx; charset=\"utf-8\""
  ])("takes no other: %s", async (type) => {
    expect((await ask(path, { type })).status).toBe(415)
  })

  it("over HTTP/2 takes an authority, a host that agrees with it, or neither", async () => {
    const session = http2.connect(server.url)
    const status = (headers: http2.OutgoingHttpHeaders) =>
      new Promise<unknown>((resolve, reject) => {
        const stream = session.request({
          ":method": "POST",
          ":path": path,
          "content-type": "application/json",
          ...headers
        })
        stream.on("response", (fields) => resolve(fields[":status"])).on("error", reject)
        stream.resume().end(BODY)
      })
    expect(await status({ ":authority": "a" })).toBe(200)
    expect(await status({ ":authority": "a", host: "a" })).toBe(200)
    expect(await status({ ":authority": "a", host: "b" })).toBe(400)
    session.close()
  })
})

it("is read alike for what is no RPC", async () => {
  for (const path of ["/livez", "/", "/livez?x"]) {
    expect((await ask(path, { method: "GET", hosts: ["a", "b"] })).status).toBe(400)
    expect((await ask(`http://a${path}`, { method: "GET" })).status).toBe(200)
    expect((await ask(path, { method: "GET", hosts: [], version: "1.0" })).status).toBe(200)
  }
  expect((await ask("http://a", { method: "GET" })).text).toContain("coupon.v1.CouponService")
  expect((await ask("/grpc.health.v1.Health/Check", { type: "application/json; charset=\"utf-8\"" })).status).toBe(200)
  const preflight = (hosts: string) => raw(`OPTIONS ${ISSUE} HTTP/1.1\r\n${hosts}Origin: https://shop.example\r\n` +
    "Access-Control-Request-Method: POST\r\nConnection: close\r\n\r\n")
  expect(await preflight("Host: a\r\n")).toMatch(/^HTTP\/1\.1 204/)
  expect(await preflight("Host: a\r\nHost: a\r\n")).toMatch(/^HTTP\/1\.1 400/)
})

describe("a caller's deadline ends a body that never comes", () => {
  const half = (headers: ReadonlyArray<string>, path: string, sent = "") =>
    raw([`POST ${path} HTTP/1.1`, "Host: a", ...headers, `Content-Length: ${BODY.length}`, "", sent].join("\r\n"))

  it.each([ISSUE, `${ISSUE}?adapter`])("Connect over HTTP/1.1, and its connection: %s", async (path) => {
    for (const sent of ["", BODY.slice(0, 5)]) {
      const reply = await half(["Content-Type: application/json", "Connect-Timeout-Ms: 20"], path, sent)
      expect(reply).toMatch(
        /^HTTP\/1\.1 504 [^]*connection: close[^]*"code":"deadline_exceeded","message":"DEADLINE_EXCEEDED"/i
      )
    }
  })

  it("gRPC-Web over HTTP/1.1", async () => {
    const reply = await half(["Content-Type: application/grpc-web+proto", "Grpc-Timeout: 20m"], ISSUE)
    expect(reply).toMatch(/^HTTP\/1\.1 200 [^]*grpc-message: DEADLINE_EXCEEDED\r\ngrpc-status: 4/i)
  })

  it("gRPC and Connect over HTTP/2, and their streams, not their connection", async () => {
    const session = http2.connect(server.url)
    const message = encodeEnvelope(0, new Uint8Array(0))
    const answerOf = (path: string, headers: http2.OutgoingHttpHeaders, sent?: Uint8Array) =>
      new Promise<Record<string, unknown>>((resolve, reject) => {
        const stream = session.request({ ":method": "POST", ":path": path, ...headers }, { endStream: false })
        let all: Record<string, unknown> = {}
        const note = (fields: object) => (all = { ...all, ...fields })
        stream.on("response", note).on("trailers", note)
        // The answer is whole, trailers and all, before the request is.
        stream.on("te" in headers ? "trailers" : "end", () => stream.close())
        stream.on("close", () => resolve(all)).on("error", reject)
        stream.resume()
        if (sent !== undefined) stream.write(sent)
      })
    const grpc = { "content-type": "application/grpc+proto", te: "trailers", "grpc-timeout": "20m" }
    for (const sent of [undefined, message.subarray(0, 3), message]) {
      const expected = { ":status": 200, "grpc-status": "4", "grpc-message": "DEADLINE_EXCEEDED" }
      expect(await answerOf(ISSUE, grpc, sent)).toMatchObject(expected)
    }
    const connect = { "content-type": "application/json", "connect-timeout-ms": "20" }
    for (const path of [ISSUE, `${ISSUE}?adapter`]) {
      expect(await answerOf(path, connect)).toMatchObject({ ":status": 504 })
    }
    expect(session.closed).toBe(false)
    session.close()
  })
})
