import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { type AddressInfo, type BlockList, createServer, type Server } from "node:net"
import type { ServerResponse } from "node:http"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { afterAll, describe, expect } from "vitest"
import * as Networks from "../../src/config/Networks.ts"
import * as WebhookSender from "../../src/webhooks/sending/WebhookSender.ts"
import * as Receiver from "./Receiver.ts"

const loopback = Networks.parse(["127.0.0.0/8"]) as BlockList
const literal = (host: string) => Promise.resolve([host])
const timeoutMillis = 400

const senderOn = (options: Partial<WebhookSender.Options> = {}) =>
  WebhookSender.make({ networks: loopback, resolve: literal, timeoutMillis: 10_000, ...options })

const to = (port: number, path = "/", host = "127.0.0.1", scheme = "http"): WebhookSender.Sending => ({
  url: `${scheme}://${host}:${port}${path}`,
  contentType: "application/json",
  headers: { "webhook-id": "msg_1" },
  body: "{}"
})

const root = mkdtempSync(Path.join(tmpdir(), "coupon-webhooks-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const certificate = () => {
  const [key, cert] = ["key.pem", "cert.pem"].map((name) => Path.join(root, name))
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=shop.test",
    "-addext", "subjectAltName=DNS:shop.test", "-keyout", key!, "-out", cert!], { stdio: "ignore" })
  return { key: readFileSync(key!, "utf8"), cert: readFileSync(cert!, "utf8") }
}

const reasonOf = (result: WebhookSender.SendResult) => result._tag === "NotAnswered" ? result.reason : result

describe("a request", () => {
  it.scopedLive("reaches the receiver as it was signed, over connections that are kept", () =>
    Effect.gen(function*() {
      const receiver = yield* Receiver.start()
      const sender = yield* senderOn()
      for (let n = 0; n < 5; n++) {
        expect(yield* sender.send(to(receiver.port, "/hook?shop=1"))).toMatchObject({
          _tag: "Answered",
          status: 200,
          text: "ok"
        })
      }
      expect(receiver.received).toHaveLength(5)
      expect(receiver.received[0]).toMatchObject({
        method: "POST",
        path: "/hook?shop=1",
        body: "{}",
        headers: { "content-type": "application/json", "webhook-id": "msg_1", "content-length": "2" }
      })
      // The pool may open a second one while the first is just becoming free.
      expect(receiver.connections()).toBeLessThanOrEqual(2)
    }))

  it.scopedLive("ends when it is interrupted", () =>
    Effect.gen(function*() {
      const receiver = yield* Receiver.start({ answer: () => {} })
      const sender = yield* senderOn()
      const fiber = yield* Effect.fork(sender.send(to(receiver.port)))
      while (receiver.received.length === 0) yield* Effect.sleep("5 millis")
      yield* Fiber.interrupt(fiber)
    }))

  it.scopedLive("reads Retry-After in seconds and as a date", () =>
    Effect.gen(function*() {
      const headers = ["7", new Date(Date.now() + 60_000).toUTCString(), "soon"]
      const receiver = yield* Receiver.start({
        answer: (_, response) => response.writeHead(503, { "retry-after": headers.shift() }).end()
      })
      const sender = yield* senderOn()
      const found = yield* Effect.replicateEffect(sender.send(to(receiver.port)), 3)
      const millis = found.map((result) => result._tag === "Answered" ? result.retryAfterMillis : -1)
      expect(millis[0]).toBe(7_000)
      expect(millis[1]).toBeGreaterThan(50_000)
      expect(millis[1]).toBeLessThanOrEqual(60_000)
      expect(millis[2]).toBeUndefined()
    }))
})

describe("a request is not sent", () => {
  it.scopedLive.each([
    { what: "a loopback address", addresses: ["127.0.0.1"] },
    { what: "one private address among public ones", addresses: ["8.8.8.8", "10.0.0.1"] },
    { what: "an IPv4-mapped address", addresses: ["::ffff:169.254.169.254"] },
    { what: "what is no address", addresses: ["localhost"] },
    { what: "no address", addresses: [] }
  ])("to a host with $what", ({ addresses }) =>
    Effect.gen(function*() {
      const receiver = yield* Receiver.start()
      const sender = yield* senderOn({
        networks: Networks.parse([]) as BlockList,
        resolve: () => Promise.resolve(addresses)
      })
      const result = yield* sender.send(to(receiver.port, "/", "shop.test"))
      expect(reasonOf(result)).toMatch(/^the host shop\.test (has no address|is )/)
      expect(receiver.connections()).toBe(0)
      expect((yield* Effect.flip(sender.check(new URL("https://shop.test/")))).reason).toMatch(/^the host shop\.test/)
    }))

  it.scopedLive("to an address that a host names only at its second look-up (DNS rebinding)", () =>
    Effect.gen(function*() {
      const allowed = yield* Receiver.start({ host: "127.0.0.2" })
      const victim = yield* Receiver.start({ host: "127.0.0.1" })
      let asked = 0
      const sender = yield* senderOn({
        networks: Networks.parse(["127.0.0.2/32"]) as BlockList,
        resolve: () => Promise.resolve([asked++ === 0 ? "127.0.0.2" : "127.0.0.1"])
      })
      // The name is looked up once for a request, and the connection goes where that look-up said.
      expect(yield* sender.send(to(allowed.port, "/", "rebind.test"))).toMatchObject({ status: 200 })
      expect(asked).toBe(1)
      expect(allowed.received[0]!.headers["host"]).toBe(`rebind.test:${allowed.port}`)
      // A connection is kept, and the next request is refused in spite of it.
      expect(reasonOf(yield* sender.send(to(allowed.port, "/", "rebind.test")))).toContain("127.0.0.1")
      expect(reasonOf(yield* sender.send(to(victim.port, "/", "rebind.test")))).toContain("127.0.0.1")
      expect(victim.connections()).toBe(0)
      expect(allowed.received).toHaveLength(1)
    }))

  it.scopedLive("to where a redirect points", () =>
    Effect.gen(function*() {
      const victim = yield* Receiver.start()
      const receiver = yield* Receiver.start({
        answer: (_, response) => response.writeHead(307, { location: `http://127.0.0.1:${victim.port}/` }).end()
      })
      const sender = yield* senderOn()
      expect(yield* sender.send(to(receiver.port))).toMatchObject({ _tag: "Answered", status: 307 })
      expect(victim.connections()).toBe(0)
    }))

  it.scopedLive("over TLS to a server that is not who it should be", () =>
    Effect.gen(function*() {
      const receiver = yield* Receiver.start({ tls: certificate() })
      const sender = yield* senderOn({ resolve: () => Promise.resolve(["127.0.0.1"]) })
      const result = yield* sender.send(to(receiver.port, "/", "shop.test", "https"))
      expect(reasonOf(result)).toMatch(/self.signed certificate/)
      expect(receiver.received).toHaveLength(0)
    }))
})

describe("another address of the host is tried", () => {
  it.scopedLive("after the first one failed", () =>
    Effect.gen(function*() {
      const receiver = yield* Receiver.start({ host: "127.0.0.2" })
      const sender = yield* senderOn({ resolve: () => Promise.resolve(["127.0.0.3", "127.0.0.2"]) })
      expect(reasonOf(yield* sender.send(to(receiver.port, "/", "shop.test")))).toBe("nothing listens there")
      expect(yield* sender.send(to(receiver.port, "/", "shop.test"))).toMatchObject({ status: 200 })
    }))
})

describe("an answer", () => {
  it.scopedLive("of 10 GB is read to 4 KiB", () =>
    Effect.gen(function*() {
      let written = 0
      const chunk = Buffer.alloc(65_536, 97)
      const receiver = yield* Receiver.start({
        answer: (_, response) => {
          response.writeHead(200, { "content-length": String(10 * 2 ** 30) })
          const more = () => {
            while (!response.destroyed && written < 10 * 2 ** 30) {
              written += chunk.length
              if (!response.write(chunk)) return void response.once("drain", more)
            }
          }
          more()
        }
      })
      const sender = yield* senderOn()
      const result = yield* sender.send(to(receiver.port))
      expect(result).toMatchObject({ _tag: "Answered", status: 200 })
      expect(result._tag === "Answered" && result.text.length).toBe(4_096)
      expect(written).toBeLessThan(2 ** 26)
    }))

  it.scopedLive("that goes on for ever, a byte at a time, is left once its status is known", () =>
    Effect.gen(function*() {
      const timers: Array<NodeJS.Timeout> = []
      const receiver = yield* Receiver.start({
        answer: (_, response) => {
          response.writeHead(200)
          timers.push(setInterval(() => response.write("x"), 20))
        }
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => timers.forEach(clearInterval)))
      const sender = yield* senderOn({ timeoutMillis: 60_000 })
      expect(yield* sender.send(to(receiver.port))).toMatchObject({ _tag: "Answered", status: 200 })
    }))

  const silent = { what: "never comes", answer: () => {} }
  const dribbling = {
    what: "has headers that come a byte at a time",
    answer: ({ socket }: ServerResponse) => {
      socket!.write("HTTP/1.1 200 OK\r\nx-slow: ")
      const timer = setInterval(() => socket!.write("x"), 20)
      socket!.once("close", () => clearInterval(timer))
    }
  }

  it.scopedLive.each([silent, dribbling])("that $what ends with the time", ({ answer }) =>
    Effect.gen(function*() {
      const receiver = yield* Receiver.start({ answer: (_, response) => answer(response) })
      const sender = yield* senderOn({ timeoutMillis })
      expect(reasonOf(yield* sender.send(to(receiver.port)))).toBe("no answer within 0.4 s")
    }))

  it.scopedLive("with headers without an end is not read", () =>
    Effect.gen(function*() {
      const receiver = yield* Receiver.start({
        answer: (_, response) => void response.writeHead(200, { "x-large": "x".repeat(200_000) }).end()
      })
      const sender = yield* senderOn()
      expect(reasonOf(yield* sender.send(to(receiver.port)))).toBe("the answer's headers are too large")
    }))

  it.scopedLive("that is no HTTP, or a closed connection, is no answer", () =>
    Effect.gen(function*() {
      const answers = ["SSH-2.0-OpenSSH\r\n", ""]
      const server = yield* Effect.acquireRelease(
        Effect.promise(() =>
          new Promise<Server>((listening) => {
            const made = createServer((socket) => {
              socket.on("error", () => {})
              socket.once("data", () => socket.end(answers.shift() ?? ""))
            })
            made.listen(0, "127.0.0.1", () => listening(made))
          })),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = server.address() as AddressInfo
      const sender = yield* senderOn()
      expect((yield* sender.send(to(port)))._tag).toBe("NotAnswered")
      expect((yield* sender.send(to(port)))._tag).toBe("NotAnswered")
    }))

  it.scopedLive("of a host whose name server keeps silent ends with the time", () =>
    Effect.gen(function*() {
      const sender = yield* senderOn({ timeoutMillis, resolve: () => new Promise(() => {}) })
      expect(reasonOf(yield* sender.send(to(1, "/", "shop.test")))).toBe("no answer within 0.4 s")
    }))
})
