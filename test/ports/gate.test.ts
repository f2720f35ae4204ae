import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as AppConfig from "../../src/AppConfig.ts"
import { Gate, GateUnavailable } from "../../src/issuance/Gate.ts"
import * as MemoryGate from "../../src/memory/MemoryGate.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisGate from "../../src/redis/RedisGate.ts"
import { startRedis } from "../support/servers.ts"
import { couponOf, couponsOf, exercise, hydrate, termsOf } from "./gate.exercise.ts"

const startScoped = Effect.acquireRelease(Effect.promise(() => startRedis()), (server) => Effect.promise(server.stop))

const configOf = (url: string, replyTimeout: string) =>
  AppConfig.layerTest({ REDIS_URL: url, MYSQL_URL: "mysql://127.0.0.1:1/unused", REDIS_REPLY_TIMEOUT: replyTimeout })

const layerOf = (url: string, replyTimeout: string) =>
  Layer.provideMerge(RedisGate.layer, RedisClient.layer).pipe(Layer.provide(configOf(url, replyTimeout)))

exercise("MemoryGate", MemoryGate.layer)

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
const setUp = (replyTimeout: string, adapt: (url: string) => string = (url) => url) =>
  Effect.gen(function*() {
    const server = yield* startScoped
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => lines.push(`${logLevel.label} ${String(message)}`))
    const build = Effect.gen(function*() {
      const context = yield* Layer.build(layerOf(adapt(server.url), replyTimeout))
      return { gate: Context.get(context, Gate), client: Context.get(context, RedisClient.RedisClient) }
    }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
    return { server, lines, build }
  })

const isUp = (gate: Gate["Type"]) => Effect.isSuccess(gate.inspect(1))

describe("RedisGate alone", () => {
  it.scopedLive("a rebuild whose set is deleted begins anew, whoever joined the set since", () =>
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
      // Several at once: each hears NOSCRIPT.
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

  it.scopedLive("states of Redis are failures, bugs are defects", () =>
    Effect.gen(function*() {
      const { build, server } = yield* setUp("10 seconds")
      const { client, gate } = yield* build
      yield* client.ready
      yield* Effect.promise(() => server.command("SET", "{c1}:m", "not a hash"))
      const bug = yield* Effect.exit(gate.reserve(1, [{ userId: 1n, nonce: "a" }]))
      expect(Exit.isFailure(bug) && Cause.isDie(bug.cause)).toBe(true)
      yield* Effect.promise(() => server.command("CONFIG", "SET", "maxmemory", "1"))
      const full = yield* Effect.flip(gate.confirm(2, [couponOf(2, 1)]))
      expect(full).toBeInstanceOf(GateUnavailable)
      expect(String(full.cause)).toContain("OOM")
    }))
})
