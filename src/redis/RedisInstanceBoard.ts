import { ReplyError } from "ioredis"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { AppConfig } from "../config/AppConfig.ts"
import { GateUnavailable } from "../ports/Gate.ts"
import { Deployment } from "../ports/operation/Deployment.ts"
import { type InstanceNotice, InstanceBoard, KEPT_MILLIS } from "../ports/operation/InstanceBoard.ts"
import type { LedgerUnavailable } from "../ports/Ledger.ts"
import { RedisClient } from "./RedisClient.ts"
import type { RedisConnection } from "./RedisConnection.ts"

/** Instances of one deployment are some dozens: one step of HSCAN returns them all. */
const MOST = 1_000

const isNotice = (value: unknown): value is InstanceNotice => {
  const { at, instance, text } = (value ?? {}) as Partial<InstanceNotice>
  return typeof at === "number" && typeof instance === "string" && typeof text === "string"
}

const parse = (text: string): ReadonlyArray<InstanceNotice> => {
  try {
    const value: unknown = JSON.parse(text)
    return isNotice(value) ? [value] : []
  } catch {
    // Another version's notice.
    return []
  }
}

/**
 * What Redis refuses, such as a key that the user's ACL does not name (NOPERM), is no failure of the gate: the client
 * would log it as one.
 */
const unlessRefused = <A>(
  send: RedisClient["Type"]["send"],
  command: (redis: RedisConnection) => Promise<A>
): Effect.Effect<A, GateUnavailable> =>
  Effect.flatten(send((redis) =>
    command(redis).then(
      (reply) => Effect.succeed(reply),
      (cause: unknown) => {
        if (cause instanceof ReplyError) return Effect.fail(new GateUnavailable({ cause }))
        throw cause
      }
    )))

/** The board as one hash of Redis, a field an instance, whose name carries the deployment's identity. */
export const make = (key: string): Effect.Effect<InstanceBoard["Type"], never, RedisClient> =>
  Effect.map(RedisClient, ({ send }) =>
    InstanceBoard.of({
      post: (notice) =>
        Effect.map(
          // On one connection, so they are done in this order.
          unlessRefused(send, (redis) =>
            Promise.all([
              redis.hset(key, notice.instance, JSON.stringify(notice)),
              redis.pexpire(key, KEPT_MILLIS),
              redis.hscan(key, 0, "COUNT", MOST)
            ])),
          ([, , [, fields]]) => fields.filter((_, k) => k % 2 === 1).flatMap(parse)
        ),
      remove: (instances) =>
        instances.length === 0
          ? Effect.void
          : Effect.asVoid(unlessRefused(send, (redis) => redis.hdel(key, ...instances)))
    }))

export const layer: Layer.Layer<InstanceBoard, LedgerUnavailable, AppConfig | Deployment | RedisClient> = Layer.effect(
  InstanceBoard,
  Effect.gen(function*() {
    const config = yield* AppConfig
    const { identity, redisKeyPrefix } = yield* Effect.flatMap(Deployment, ({ facts }) => facts)
    return yield* make(`${Option.getOrElse(config.redisKeyPrefix, () => redisKeyPrefix)}{instances}:${identity}`)
  })
)
