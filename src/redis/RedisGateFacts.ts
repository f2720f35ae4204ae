import { ReplyError } from "ioredis"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { GateFacts } from "../ports/operation/GateFacts.ts"
import { RedisClient } from "./RedisClient.ts"

/** The fields of INFO that say whether Redis may throw away what it holds. */
const SHOWN = ["maxmemory", "maxmemory_policy"]

export const make: Effect.Effect<GateFacts["Type"], never, RedisClient> = Effect.map(RedisClient, ({ send }) =>
  GateFacts.of({
    now: Effect.map(
      send((redis) => redis.time()),
      ([seconds, micros]) => Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000)
    ),
    // For a user of Redis without permission for INFO (NOPERM) there are no settings. That is no failure of the gate.
    settings: Effect.map(
      send((redis) =>
        redis.info("memory").catch((error: unknown) => error instanceof ReplyError ? "" : Promise.reject(error))
      ),
      (text) =>
        Object.fromEntries(
          text.split(/\r?\n/)
            .map((line) => line.split(":", 2) as [string, string])
            .filter(([name]) => SHOWN.includes(name))
        )
    )
  }))

export const layer: Layer.Layer<GateFacts, never, RedisClient> = Layer.effect(GateFacts, make)
