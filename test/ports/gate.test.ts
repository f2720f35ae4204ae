import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { type AddressInfo, createServer, type Server } from "node:net"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { Gate, GateUnavailable } from "../../src/ports/Gate.ts"
import * as MemoryGate from "../../src/memory/MemoryGate.ts"
import * as GateKeys from "../../src/redis/GateKeys.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisGate from "../../src/redis/RedisGate.ts"
import { startRedis } from "../support/servers.ts"
import { couponOf, couponsOf, exercise, hydrate, termsOf } from "./gate.exercise.ts"

const startScoped = Effect.acquireRelease(Effect.promise(() => startRedis()), (server) => Effect.promise(server.stop))

const configOf = (url: string, replyTimeout: string) =>
  AppConfig.layerTest({ REDIS_URL: url, MYSQL_URL: "mysql://127.0.0.1:1/unused", REDIS_REPLY_TIMEOUT: replyTimeout })

const options: GateKeys.GateKeysOptions = {
  keyPrefix: "",
  identity: "ours",
  owns: () => Effect.dieMessage("nothing here is without an owner")
}

const layerOf = (url: string, replyTimeout: string) =>
  Layer.effect(Gate, RedisGate.make(3_600_000)).pipe(
    Layer.provide(Layer.effect(GateKeys.GateKeys, GateKeys.make(options))),
    Layer.provideMerge(RedisClient.layer),
    Layer.provide(configOf(url, replyTimeout))
  )

exercise("MemoryGate", Layer.effect(Gate, MemoryGate.make({ keptMillis: 3_600_000 })))

exercise(
  "RedisGate",
  Layer.unwrapScoped(Effect.map(startScoped, (server) =>
    Layer.scopedContext(Effect.tap(
      Layer.build(layerOf(server.url, "10 seconds")),
      (context) => Context.get(context, RedisClient.RedisClient).ready
    ))))
)

const eventually = <A, E, R>(effect: Effect.Effect<A, E, R>, until: (a: A) => boolean) =>
  Effect.repeat(effect, { schedule: Schedule.spaced("5 millis"), until }).pipe(
    Effect.timeoutFail({ duration: "60 seconds", onTimeout: () => new Error("did not come true within 60 s") })
  )

/** A private server, what is built upon it, and the lines it logs. */
const setUp = (replyTimeout: string, adapt: (url: string) => string = (url) => url, args: ReadonlyArray<string> = []) =>
  Effect.gen(function*() {
    const server = yield* Effect.acquireRelease(
      Effect.promise(() => startRedis({ args })),
      ({ stop }) => Effect.promise(stop)
    )
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => lines.push(`${logLevel.label} ${String(message)}`))
    const build = Effect.gen(function*() {
      const context = yield* Layer.build(layerOf(adapt(server.url), replyTimeout))
      return { gate: Context.get(context, Gate), client: Context.get(context, RedisClient.RedisClient) }
    }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
    return { server, lines, build }
  })

/** Something that takes connections as Redis does, and has one answer to whatever a gate may ask. */
const answering = (reply: string) =>
  Effect.acquireRelease(
    Effect.async<Server>((resume) => {
      const server = createServer((socket) => {
        socket.on("error", () => {})
        socket.on("data", (chunk) => {
          const info = "redis_version:7.0.0\r\nloading:0\r\n"
          for (const call of chunk.toString().split(/(?=\*\d+\r\n\$)/)) {
            socket.write(/\r\ninfo\r\n/i.test(call) ? `$${info.length}\r\n${info}\r\n` : `${reply}\r\n`)
          }
        })
      }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  ).pipe(Effect.map((server) => (server.address() as AddressInfo).port))

const isUp = (gate: Gate["Type"]) => Effect.isSuccess(gate.inspect(1))

describe("RedisGate alone", () => {
  it.scopedLive("a rebuild whose set is deleted begins anew, whichever user joined the set since", () =>
    Effect.gen(function*() {
      const { build, server } = yield* setUp("10 seconds")
      const { client, gate } = yield* build
      yield* client.ready
      const terms = termsOf({ couponLimit: 9 })
      const id = terms.campaignId
      const deleteSet = Effect.promise(() => server.command("DEL", `{c${id}}:i`))
      expect(yield* gate.hydrateBegin(terms, "a", 10_000)).toBe("Granted")
      expect(yield* gate.hydrateChunk(id, "a", 0, couponsOf(id, 1, 2))).toBe(true)
      yield* deleteSet
      yield* gate.confirm(id, couponsOf(id, 3, 3))
      expect(yield* gate.hydrateChunk(id, "a", 2, couponsOf(id, 3, 3))).toBe(false)
      expect(yield* gate.hydrateEnd(id, "a", 2)).toBe(false)
      expect(yield* gate.inspect(id)).toMatchObject({ hydrated: false, issued: 1 })
      // At the end, too.
      expect(yield* gate.hydrateBegin(terms, "a", 10_000)).toBe("Granted")
      expect(yield* gate.hydrateChunk(id, "a", 0, couponsOf(id, 1, 3))).toBe(true)
      yield* deleteSet
      expect(yield* gate.hydrateEnd(id, "a", 3)).toBe(false)
      yield* Effect.provideService(hydrate(terms, couponsOf(id, 1, 3), "a"), Gate, gate)
      expect(yield* gate.inspect(id)).toMatchObject({ hydrated: true, issued: 3 })
    }).pipe(Effect.timeout("120 seconds")))
})

describe("RedisClient", () => {
  it.scopedLive("is built while Redis is down, refuses meanwhile, and connects by itself", () =>
    Effect.gen(function*() {
      const { build, lines, server } = yield* setUp("10 seconds")
      yield* Effect.promise(server.kill)
      const { client, gate } = yield* build
      expect(client.isReady()).toBe(false)
      expect(client.address).toBe(`127.0.0.1:${server.port}`)
      expect(yield* Effect.flip(gate.inspect(1))).toBeInstanceOf(GateUnavailable)
      yield* eventually(Effect.sync(() => lines.length), (n) => n > 0)
      expect(lines).toEqual([
        `WARN cannot reach Redis at ${client.address}: connect ECONNREFUSED ${client.address}; retrying`
      ])
      yield* Effect.promise(server.restart)
      yield* client.ready
      expect(client.isReady()).toBe(true)
      expect((yield* gate.inspect(1)).issued).toBe(0)
      expect(lines.slice(1)).toEqual([`INFO reached Redis again at ${client.address}`])
    }))

  it.scopedLive("a server that is killed is refused at once, and after its restart serves without its scripts", () =>
    Effect.gen(function*() {
      const { build, lines, server } = yield* setUp("10 seconds")
      const { client, gate } = yield* build
      yield* client.ready
      const terms = termsOf()
      yield* Effect.provideService(hydrate(terms, [couponOf(terms.campaignId, 1)]), Gate, gate)
      let suspicions = 0
      const listener = yield* Effect.fork(Stream.runForEach(gate.suspicions, () => Effect.sync(() => suspicions++)))
      yield* Effect.yieldNow()
      yield* Effect.promise(server.kill)
      yield* eventually(isUp(gate), (up) => !up)
      yield* Effect.promise(server.restart)
      yield* eventually(isUp(gate), (up) => up)
      yield* eventually(Effect.sync(() => suspicions), (n) => n === 1)
      expect(yield* gate.reserve(terms.campaignId, [{ userId: 1n, nonce: "a" }])).toEqual([{ _tag: "Cold" }])
      expect(lines.map((line) => line.replace(/: [^:]*; retrying/, ""))).toEqual([
        `INFO connected to Redis at ${client.address}`,
        `WARN lost Redis at ${client.address}`,
        `INFO reached Redis again at ${client.address}`
      ])
      yield* Fiber.interrupt(listener)
    }))

  it.scopedLive("scripts that the server dropped are sent again on the same connection", () =>
    Effect.gen(function*() {
      const { build, server } = yield* setUp("10 seconds")
      const { client, gate } = yield* build
      yield* client.ready
      const terms = termsOf()
      yield* Effect.provideService(hydrate(terms), Gate, gate)
      const request = { userId: 1n, nonce: "a" }
      const first = yield* gate.reserve(terms.campaignId, [request])
      yield* Effect.promise(() => server.command("SCRIPT", "FLUSH"))
      expect(yield* gate.reserve(terms.campaignId, [request])).toEqual(first)
      // Several at once: each fails with NOSCRIPT.
      yield* Effect.promise(() => server.command("SCRIPT", "FLUSH"))
      const answers = yield* Effect.all(Array.from({ length: 20 }, () => gate.reserve(terms.campaignId, [request])), {
        concurrency: "unbounded"
      })
      expect(answers).toEqual(Array.from({ length: 20 }, () => first))
    }))

  it.scopedLive("a server that falls silent is given up, and taken back when it speaks", () =>
    Effect.gen(function*() {
      const { build, lines, server } = yield* setUp("500 millis")
      const { client, gate } = yield* build
      yield* client.ready
      server.pause()
      expect(yield* Effect.flip(gate.inspect(1))).toBeInstanceOf(GateUnavailable)
      // The connection still looks alive; silence that goes on ends it, and then nothing waits any more.
      yield* eventually(Effect.zipRight(isUp(gate), Effect.sync(client.isReady)), (ready) => !ready)
      yield* eventually(Effect.sync(() => lines), (all) => all.some((line) => line.includes("no reply for 1s")))
      server.resume()
      yield* eventually(isUp(gate), (up) => up)
      expect(lines.filter((line) => line.startsWith("WARN"))).toHaveLength(1)
    }))

  it.scopedLive("a refused password is logged without it, and connects once it is right", () =>
    Effect.gen(function*() {
      const { build, lines, server } = yield* setUp("10 seconds", (url) => url.replace("//", "//default:open-sesame@"))
      yield* Effect.promise(() => server.command("CONFIG", "SET", "requirepass", "another"))
      const { client, gate } = yield* build
      yield* eventually(Effect.sync(() => lines.length), (n) => n > 0)
      const failure = yield* Effect.flip(gate.inspect(1))
      expect(lines).toHaveLength(1)
      expect(lines[0]).toContain("WRONGPASS")
      expect(JSON.stringify([lines, failure, String(failure.cause), client.address])).not.toContain("open-sesame")
    }))

  it.scopedLive("states of Redis are failures", () =>
    Effect.gen(function*() {
      const { build, lines, server } = yield* setUp("10 seconds")
      const { client, gate } = yield* build
      yield* client.ready
      yield* Effect.promise(() => server.command("CONFIG", "SET", "maxmemory", "1"))
      for (let k = 0; k < 3; k++) {
        const full = yield* Effect.flip(gate.confirm(2, [couponOf(2, 1)]))
        expect(full).toBeInstanceOf(GateUnavailable)
        expect(String(full.cause)).toContain("OOM")
      }
      yield* eventually(Effect.sync(() => lines.filter((line) => line.includes("OOM"))), (said) => said.length === 1)
    }))

  it.scopedLive("commands that Redis does not know are failures, said once and without users", () =>
    Effect.gen(function*() {
      const { build, lines } = yield* setUp("10 seconds", (url) => url, ["--rename-command", "EVALSHA", ""])
      const { client, gate } = yield* build
      yield* client.ready
      // The first call of a script is EVAL.
      yield* gate.reserve(1, [{ userId: 987_654n, nonce: "a" }])
      for (let k = 0; k < 3; k++) {
        expect(yield* Effect.flip(gate.reserve(1, [{ userId: 987_654n, nonce: "a" }]))).toBeInstanceOf(GateUnavailable)
      }
      yield* eventually(
        Effect.sync(() => lines.filter((line) => /unknown command/.test(line))),
        (said) => said.length === 1
      )
      expect(lines.filter((line) => line.includes("unknown command"))).toEqual([
        expect.stringMatching(/^ERROR Redis answers with an error/)
      ])
      expect(lines.join()).not.toContain("987654")
    }))

  const nonsense = [
    "+OK", ":5", "*0", "*3\r\n+1\r\n+RR\r\n*0", "*3\r\n+1\r\n+ZZZ\r\n*0", "*2\r\n+7\r\n+x", "+abc", "-WHATEVER it is",
    "-", "!unheard of"
  ]
  it.scopedLive.each(nonsense)("%j is no answer of a gate", (reply) =>
    Effect.gen(function*() {
      const port = yield* answering(reply)
      const context = yield* Layer.build(layerOf(`redis://127.0.0.1:${port}`, "10 seconds"))
      const gate = Context.get(context, Gate)
      yield* Context.get(context, RedisClient.RedisClient).ready
      const three = [1n, 2n, 3n]
      const questions: ReadonlyArray<Effect.Effect<unknown, GateUnavailable>> = [
        gate.reserve(1, three.map((userId) => ({ userId, nonce: "a" }))),
        gate.check(1, three),
        gate.expired(1, 0, 10),
        gate.inspect(1),
        gate.hydrateBegin(termsOf(), "a", 1_000)
      ]
      for (const question of questions) expect(yield* Effect.flip(question)).toBeInstanceOf(GateUnavailable)
    }))
})
