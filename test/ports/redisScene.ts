import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as AppConfig from "../../src/config/AppConfig.ts"
import type { EventStream } from "../../src/ports/EventStream.ts"
import type { Gate } from "../../src/ports/Gate.ts"
import * as GateKeys from "../../src/redis/GateKeys.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisEventStream from "../../src/redis/RedisEventStream.ts"
import * as RedisGate from "../../src/redis/RedisGate.ts"
import { startRedis } from "../support/servers.ts"

export const HOUR = 3_600_000

const options: GateKeys.GateKeysOptions = {
  keyPrefix: "shared:",
  identity: "ours",
  owns: () => Effect.dieMessage("nothing here is without an owner")
}

type More = Partial<GateKeys.GateKeysOptions>

/** A server, the gates and event streams of several deployments in it, and what they log. */
export const scene = Effect.gen(function*() {
  const server = yield* Effect.acquireRelease(Effect.promise(() => startRedis()), ({ stop }) => Effect.promise(stop))
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => lines.push(`${logLevel.label} ${String(message)}`))
  const config = AppConfig.layerTest({
    REDIS_URL: server.url,
    MYSQL_URL: "mysql://127.0.0.1:1/unused",
    REDIS_REPLY_TIMEOUT: "10s"
  })
  const context = yield* Layer.build(Layer.provide(RedisClient.layer, config))
  const client = Context.get(context, RedisClient.RedisClient)
  yield* client.ready
  const logged = <A extends object>(port: A) =>
    Object.fromEntries(
      Object.entries(port).map(([name, method]) => [
        name,
        typeof method !== "function" ?
          method :
          (...args: ReadonlyArray<unknown>) =>
            Effect.provide(
              (method as (...args: ReadonlyArray<unknown>) => Effect.Effect<unknown>)(...args),
              Logger.replace(Logger.defaultLogger, logger)
            )
      ])
    ) as unknown as A
  const over = <A extends object>(
    make: Effect.Effect<A, never, RedisClient.RedisClient | GateKeys.GateKeys>,
    more: More
  ) =>
    make.pipe(
      Effect.provideServiceEffect(GateKeys.GateKeys, GateKeys.make({ ...options, ...more })),
      Effect.provide(context),
      Effect.map(logged)
    )
  const keys = (campaignId: number) => GateKeys.keysOf(options.keyPrefix, campaignId)
  const readEvents = async (campaignId: number) => {
    const entries = await client.redis.xrange(keys(campaignId).events, "-", "+")
    return entries.map(([, fields]) => fields)
  }
  return {
    lines,
    gateOf: (more: More = {}): Effect.Effect<Gate["Type"]> => over(RedisGate.make(HOUR), more),
    streamOf: (more: More = {}, length = 1_000): Effect.Effect<EventStream["Type"]> =>
      over(RedisEventStream.make(length), more),
    keys,
    redis: client.redis,
    command: (...words: ReadonlyArray<string>) => Effect.promise(() => server.command(...words)),
    /** All that there is of a campaign, byte for byte. */
    dump: (campaignId: number) =>
      Effect.promise(() => Promise.all(Object.values(keys(campaignId)).map((key) => client.redis.dumpBuffer(key)))),
    /** The fields of the events that there are. */
    fields: (campaignId: number) => Effect.promise(() => readEvents(campaignId)),
    /** The ids of the coupons whose events there are. */
    events: (campaignId: number) =>
      Effect.promise(async () => (await readEvents(campaignId)).map((fields) => Number(fields[1])))
  }
})
