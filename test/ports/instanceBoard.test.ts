import { expect, layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Redis } from "ioredis"
import { afterAll } from "vitest"
import * as AppConfig from "../../src/config/AppConfig.ts"
import * as MemoryInstanceBoard from "../../src/memory/MemoryInstanceBoard.ts"
import { InstanceBoard, KEPT_MILLIS } from "../../src/ports/operation/InstanceBoard.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisInstanceBoard from "../../src/redis/RedisInstanceBoard.ts"
import { sharedRedis } from "../support/servers.ts"

const KEY = `test:{instances}:${process.pid}`
const url = sharedRedis()

const connected = Effect.flatMap(RedisClient.RedisClient, ({ ready }) => ready)

const inRedis = Layer.effect(InstanceBoard, Effect.zipRight(connected, RedisInstanceBoard.make(KEY))).pipe(
  Layer.provide(RedisClient.layer),
  Layer.provide(AppConfig.layerTest({ MYSQL_URL: "mysql://127.0.0.1:1/none", REDIS_URL: url })),
  Layer.orDie
)

const notice = (instance: string, text: string) => ({ instance, at: Date.now(), text })

const exercise = (name: string, layer: Layer.Layer<InstanceBoard>) =>
  withLayer(layer, { excludeTestServices: true, timeout: "60 seconds" })(`InstanceBoard: ${name}`, (it) => {
    it.effect("has the latest notice of an instance", () =>
      Effect.gen(function*() {
        const board = yield* InstanceBoard
        yield* board.post(notice("a", "first"))
        const latest = notice("a", "second \"…\" \n")
        expect((yield* board.post(latest)).filter(({ instance }) => instance === "a")).toEqual([latest])
        yield* board.remove([])
        yield* board.remove(["a", "never there"])
      }))
  })

exercise("memory", MemoryInstanceBoard.layer)
exercise("Redis", inRedis)

const redis = new Redis(url)
afterAll(async () => {
  await redis.del(KEY)
  redis.disconnect()
})

withLayer(inRedis, { excludeTestServices: true, timeout: "60 seconds" })("the board in Redis", (it) => {
  it.effect("shows instances each other, until they leave, and forgets all in time", () =>
    Effect.gen(function*() {
      const board = yield* InstanceBoard
      yield* board.post(notice("b", "one"))
      expect((yield* board.post(notice("c", "two"))).map(({ instance }) => instance).sort()).toEqual(["b", "c"])
      const left = yield* Effect.promise(() => redis.pttl(KEY))
      expect(left).toBeGreaterThan(KEPT_MILLIS / 2)
      expect(left).toBeLessThanOrEqual(KEPT_MILLIS)
      yield* board.remove(["b"])
      expect((yield* board.post(notice("c", "three"))).map(({ text }) => text)).toEqual(["three"])
    }))

  it.effect("passes over what it does not know, and fails where Redis refuses", () =>
    Effect.gen(function*() {
      const board = yield* InstanceBoard
      yield* Effect.promise(() => redis.hset(KEY, "d", "{", "e", "{\"at\":\"never\"}", "f", "null"))
      expect((yield* board.post(notice("g", "here"))).map(({ instance }) => instance)).toContain("g")
      yield* Effect.promise(() => redis.del(KEY))
      yield* Effect.promise(() => redis.set(KEY, "of another type"))
      expect((yield* Effect.flip(board.post(notice("g", "here"))))._tag).toBe("GateUnavailable")
      yield* Effect.promise(() => redis.del(KEY))
    }))
})
