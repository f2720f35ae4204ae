import * as fc from "fast-check"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import { afterAll, beforeAll, describe, test } from "vitest"
import { Gate } from "../../src/ports/Gate.ts"
import * as MemoryGate from "../../src/memory/MemoryGate.ts"
import * as GateKeys from "../../src/redis/GateKeys.ts"
import { keysOf } from "../../src/redis/GateKeys.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisGate from "../../src/redis/RedisGate.ts"
import { inLongProfile, isLongProfile } from "../support/profile.ts"
import { startRedis } from "../support/servers.ts"
import { play, type Spy, type Step, steps } from "./gate.model.ts"

let lastCampaignId = 0

const PREFIX = "model:"

const hydrator = { op: "hydrator", which: 1, lease: 60_000, times: 2 } as const

/** Sequences that once failed, and are seldom drawn. */
const examples: Array<[ReadonlyArray<Step>]> = [
  // The gate falls back to the middle of a hydration, which then ends as if nothing were missing.
  [[
    hydrator,
    hydrator,
    ...(["snapshot", "bypass", "confirm", "settle", "loseTail"] as const).map((op) => ({ op, pick: 0 }))
  ]]
]

/** Plays so many sequences and, in `npm test`, only a few, with more as long as there is time. */
const modelCheck = async (gate: Gate["Type"], spy: Spy | undefined, all: number, few: number) => {
  const property = fc.asyncProperty(steps, (sequence) => play(gate, spy, ++lastCampaignId, sequence))
  await fc.assert(property, { numRuns: inLongProfile(all, few), examples })
  const more = { interruptAfterTimeLimit: 3_000, markInterruptAsFailure: false }
  if (!isLongProfile) await fc.assert(property, { numRuns: all - few, ...more })
}

const options: GateKeys.GateKeysOptions = {
  keyPrefix: PREFIX,
  identity: "model",
  owns: () => Effect.succeed(true)
}

/** Sees and saves the keys themselves. */
const spyOn = ({ redis }: RedisClient.RedisClient["Type"]): Spy => ({
  look: async (campaignId) => {
    const [members, pending, meta] = await Promise.all([
      redis.smembers(keysOf(PREFIX, campaignId).issued),
      redis.hgetall(keysOf(PREFIX, campaignId).pending),
      redis.hmget(keysOf(PREFIX, campaignId).meta, "generation", "hydrated")
    ])
    return {
      members: new Set(members.filter((member) => member !== "#").map(BigInt)),
      pending: new Map(Object.entries(pending).map(([userId, value]) => [BigInt(userId), value])),
      hydrated: meta[0] !== null && meta[1] === "1" && members.includes("#")
    }
  },
  snapshot: async (campaignId) => {
    const keys = Object.values(keysOf(PREFIX, campaignId))
    const dumps = await Promise.all(keys.map((key) => redis.dumpBuffer(key)))
    return async () => {
      await redis.del(...keys)
      for (const [k, dump] of dumps.entries()) if (dump !== null) await redis.restore(keys[k]!, 0, dump)
    }
  }
})

describe("the gate against a model of the ledger", () => {
  const memory = ManagedRuntime.make(Layer.effect(Gate, MemoryGate.make()))
  let server: Awaited<ReturnType<typeof startRedis>> | undefined

  const makeRedis = (url: string) => {
    const clientLayer = Layer.scoped(
      RedisClient.RedisClient,
      Effect.tap(
        RedisClient.make({ redisUrl: Redacted.make(url), redisReplyTimeout: Duration.seconds(30) }),
        (client) => client.ready
      )
    )
    return ManagedRuntime.make(
      Layer.effect(Gate, RedisGate.make(60_000)).pipe(
        Layer.provide(Layer.effect(GateKeys.GateKeys, GateKeys.make(options))),
        Layer.provideMerge(clientLayer)
      )
    )
  }
  let redis: ReturnType<typeof makeRedis> | undefined

  beforeAll(async () => {
    server = await startRedis()
    redis = makeRedis(server.url)
  })

  afterAll(async () => {
    await redis?.dispose()
    await memory.dispose()
    await server?.stop()
  })

  test("MemoryGate", async () => {
    await modelCheck(await memory.runPromise(Gate), undefined, 3_000, 150)
  }, 120_000)

  test("RedisGate", async () => {
    const spy = spyOn(await redis!.runPromise(RedisClient.RedisClient))
    await modelCheck(await redis!.runPromise(Gate), spy, 2_000, 100)
  }, 120_000)
})
