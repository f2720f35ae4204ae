import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { EventStream, EventStreamUnavailable, layerOff } from "../../src/ports/EventStream.ts"
import { Gate, GateUnavailable } from "../../src/ports/Gate.ts"
import type { Evidence } from "../../src/redis/GateOwner.ts"
import { couponOf, couponsOf, hydrate, termsOf } from "./gate.exercise.ts"
import { HOUR, scene } from "./redisScene.ts"

const MAX_USER_ID = 9_223_372_036_854_775_807n

describe("RedisEventStream", () => {
  it.scopedLive("has an event a coupon, with all that a coupon is, and one more for each repetition", () =>
    Effect.gen(function*() {
      const { events, fields, streamOf } = yield* scene
      const stream = yield* streamOf()
      const { campaignId: id } = termsOf()
      const big = couponOf(id, 3, MAX_USER_ID)
      yield* stream.publish(id, [])
      yield* stream.publish(id, [...couponsOf(id, 1, 2), big])
      yield* stream.publish(id, [big])
      yield* stream.publish(termsOf().campaignId, couponsOf(id, 9, 9))
      expect(yield* events(id)).toEqual([1, 2, 3, 3])
      const at = String(big.issuedAt)
      expect((yield* fields(id))[2]).toEqual(["id", "3", "user", String(MAX_USER_ID), "code", big.code, "at", at])
    }))

  it.scopedLive("appends any number of coupons, and keeps about the newest", () =>
    Effect.gen(function*() {
      const { events, streamOf } = yield* scene
      const stream = yield* streamOf({}, 1_000)
      const { campaignId: id } = termsOf()
      yield* stream.publish(id, couponsOf(id, 1, 5_000))
      const kept = yield* events(id)
      // Redis cuts whole nodes of 100.
      expect(kept.length).toBeGreaterThanOrEqual(1_000)
      expect(kept.length).toBeLessThan(1_100)
      expect(kept).toEqual(couponsOf(id, 5_001 - kept.length, 5_000).map((coupon) => coupon.id))
    }))

  it.scopedLive("works on a gate that knows nothing, and then beside it", () =>
    Effect.gen(function*() {
      const { events, gateOf, streamOf } = yield* scene
      const [gate, stream] = yield* Effect.all([gateOf(), streamOf()])
      const terms = termsOf()
      const id = terms.campaignId
      yield* stream.publish(id, couponsOf(id, 1, 2))
      yield* gate.confirm(id, couponsOf(id, 1, 2))
      yield* Effect.provideService(hydrate(terms, couponsOf(id, 1, 2)), Gate, gate)
      expect(yield* gate.inspect(id)).toMatchObject({ condition: "Sound", hydrated: true, issued: 2 })
      expect(yield* events(id)).toEqual([1, 2])
      yield* gate.forget(id)
      expect(yield* events(id)).toEqual([])
    }))

  it.scopedLive("returns a mark without which no coupon joins the set, nor another event the stream", () =>
    Effect.gen(function*() {
      const { command, dump, events, gateOf, keys, streamOf } = yield* scene
      const [gate, stream] = yield* Effect.all([gateOf(), streamOf()])
      const terms = termsOf({ couponLimit: 2_000 })
      const id = terms.campaignId
      yield* gate.hydrateBegin(terms, "a", HOUR)
      expect(yield* gate.absent(id, couponsOf(id, 1, 2))).toEqual({ coupons: couponsOf(id, 1, 2), mark: undefined })
      const first = (yield* stream.publish(id, couponsOf(id, 1, 2)))!
      yield* gate.confirm(id, couponsOf(id, 1, 1), first)
      expect(yield* gate.absent(id, couponsOf(id, 1, 2))).toEqual({ coupons: couponsOf(id, 2, 2), mark: first })
      expect(yield* stream.publish(id, [], first)).toBe(first)
      const second = (yield* stream.publish(id, couponsOf(id, 3, 500), first))!
      expect(second).not.toBe(first)

      // As a Redis that failed over lacks its last writes.
      yield* command("XDEL", keys(id).events, second)
      const before = yield* dump(id)
      expect(yield* Effect.flip(gate.confirm(id, couponsOf(id, 3, 500), second))).toBeInstanceOf(GateUnavailable)
      expect(yield* Effect.flip(stream.publish(id, couponsOf(id, 3, 3), second))).toBeInstanceOf(EventStreamUnavailable)
      expect(yield* gate.hydrateChunk(id, "a", 0, couponsOf(id, 1, 500), second)).toBe(false)
      expect(yield* dump(id)).toEqual(before)

      const third = yield* stream.publish(id, couponsOf(id, 2, 500), first)
      expect(yield* gate.hydrateChunk(id, "a", 0, couponsOf(id, 1, 500), third)).toBe(true)
      expect(yield* gate.hydrateEnd(id, "a", 500)).toBe(true)
      expect(yield* gate.inspect(id)).toMatchObject({ issued: 500, hydrated: true })
      expect(new Set(yield* events(id)).size).toBe(500)

      yield* gate.forget(id)
      expect(yield* Effect.flip(gate.confirm(id, couponsOf(id, 1, 1), third))).toBeInstanceOf(GateUnavailable)
      expect(yield* dump(id)).toEqual([null, null, null, null])
    }))

  it.scopedLive("goes with the campaign's other keys", () =>
    Effect.gen(function*() {
      const { gateOf, keys, redis, streamOf } = yield* scene
      const [gate, stream] = yield* Effect.all([gateOf(), streamOf()])
      const terms = termsOf({ endTime: Date.now() + HOUR })
      const id = terms.campaignId
      yield* Effect.provideService(hydrate(terms), Gate, gate)
      yield* stream.publish(id, couponsOf(id, 1, 2))
      const { events, meta } = keys(id)
      const lives = yield* Effect.promise(() => Promise.all([meta, events].map((key) => redis.pexpiretime(key))))
      expect(lives[0]).toBeGreaterThan(Date.now() + HOUR)
      expect(lives[1]).toBe(lives[0])
    }))

  it.scopedLive("leaves another deployment's campaign alone, and is no failure there", () =>
    Effect.gen(function*() {
      const { dump, lines, streamOf } = yield* scene
      const [ours, theirs] = yield* Effect.all([streamOf(), streamOf({ identity: "theirs" })])
      const { campaignId: id } = termsOf()
      yield* theirs.publish(id, couponsOf(id, 1, 2))
      const before = yield* dump(id)
      yield* ours.publish(id, couponsOf(id, 3, 3))
      expect(yield* dump(id)).toEqual(before)
      expect(lines).toEqual([expect.stringMatching(/^ERROR the keys shared:.* in Redis belong to another deployment/)])
    }))

  it.scopedLive("takes over events that have no owner if they are its own", () =>
    Effect.gen(function*() {
      const { command, events, keys, streamOf } = yield* scene
      const seen: Array<Evidence> = []
      const stream = yield* streamOf({ owns: (_, evidence) => Effect.succeed(seen.push(evidence) > 0) })
      const { campaignId: id } = termsOf()
      yield* stream.publish(id, couponsOf(id, 1, 2))
      yield* command("DEL", keys(id).meta)
      yield* stream.publish(id, couponsOf(id, 3, 3))
      expect(seen.map(({ coupons }) => coupons.map((coupon) => coupon.id))).toEqual([[2, 1, 1, 2]])
      expect(yield* events(id)).toEqual([1, 2, 3])
    }))

  it.scopedLive.each(["meta", "issued", "pending", "events"] as const)(
    "fails whole where the key %s has another type",
    (name) =>
      Effect.gen(function*() {
        const { command, dump, keys, streamOf } = yield* scene
        const stream = yield* streamOf()
        const { campaignId: id } = termsOf()
        yield* command("SET", keys(id)[name], "of another program")
        const before = yield* dump(id)
        expect(yield* Effect.flip(stream.publish(id, couponsOf(id, 1, 1)))).toBeInstanceOf(EventStreamUnavailable)
        expect(yield* dump(id)).toEqual(before)
      })
  )
})

describe("EVENT_STREAM", () => {
  const stores = { MYSQL_URL: "mysql://127.0.0.1:1/unused", REDIS_URL: "redis://127.0.0.1:1" }

  it.effect("is off unless it is set, and needs a Redis", () =>
    Effect.gen(function*() {
      expect(yield* AppConfig.load(stores)).toMatchObject({ eventStream: "off" })
      expect(yield* AppConfig.load({ ...stores, EVENT_STREAM: "redis" })).toMatchObject({ eventStream: "redis" })
      const { message } = yield* Effect.flip(AppConfig.load({ EVENT_STREAM: "redis" }))
      expect(message).toContain("EVENT_STREAM: needs REDIS_URL")
    }))

  it.effect("has a stream that takes everything and keeps nothing where it is off", () =>
    Effect.gen(function*() {
      const stream = yield* EventStream
      expect(stream.isOn).toBe(false)
      expect(yield* stream.publish(1, couponsOf(1, 1, 3))).toBeUndefined()
    }).pipe(Effect.provide(layerOff)))
})

describe("a gate without the event stream", () => {
  it.scopedLive("keeps one event, which proves whose the keys are", () =>
    Effect.gen(function*() {
      const { command, events, gateOf, keys } = yield* scene
      const seen: Array<Evidence> = []
      const gate = yield* gateOf({ owns: (_, evidence) => Effect.succeed(seen.push(evidence) > 0) })
      const terms = termsOf({ couponLimit: 1_000 })
      const id = terms.campaignId
      yield* gate.confirm(id, couponsOf(id, 1, 250))
      yield* Effect.provideService(hydrate(terms, couponsOf(id, 1, 400)), Gate, gate)
      yield* gate.confirm(id, couponsOf(id, 401, 500))
      expect(yield* events(id)).toEqual([1])
      expect(yield* gate.inspect(id)).toMatchObject({ issued: 500 })
      yield* command("DEL", keys(id).meta)
      yield* gate.confirm(id, couponsOf(id, 501, 501))
      // It is kept for as long as the keys, so it names no user, who might be erased meanwhile.
      const proof = { id: 1, userId: -1n, code: couponOf(id, 1).code }
      expect(seen.map(({ coupons }) => coupons)).toEqual([[proof, proof]])
      expect(yield* events(id)).toEqual([1])
    }))

  it.scopedLive("has that event from a rebuild on, too", () =>
    Effect.gen(function*() {
      const { events, gateOf } = yield* scene
      const gate = yield* gateOf()
      const terms = termsOf({ couponLimit: 1_000 })
      yield* Effect.provideService(hydrate(terms, couponsOf(terms.campaignId, 1, 20)), Gate, gate)
      expect(yield* events(terms.campaignId)).toEqual([20])
    }))

  // In Redis 7.0 an entry of the set is 24 bytes, its bucket 10 to 16, and the text of the id 8, 16, 24 or 32: for more
  // than 14 digits 24 with the allocator that Redis brings, and 32 with that of some distributions.
  it.scopedLive.each([
    { digits: 6, first: 1n, most: 64 },
    { digits: 13, first: 1_000_000_000_000n, most: 64 },
    { digits: 19, first: MAX_USER_ID - 200_000n, most: 72 }
  ])(
    "takes $most bytes of Redis a coupon at most, for users of $digits digits",
    ({ digits, first, most }) =>
      Effect.gen(function*() {
        const { gateOf, keys, redis } = yield* scene
        const gate = yield* gateOf()
        const COUPONS = 100_000
        const terms = termsOf({ couponLimit: COUPONS })
        const id = terms.campaignId
        yield* Effect.provideService(hydrate(terms), Gate, gate)
        const page = (from: number) =>
          Array.from({ length: 1_000 }, (_, k) => couponOf(id, from + k, first + BigInt(from + k)))
        for (let from = 1; from <= COUPONS; from += 1_000) yield* gate.confirm(id, page(from))
        expect(yield* gate.inspect(id)).toMatchObject({ issued: COUPONS, pending: 0 })
        const used = yield* Effect.promise(() =>
          Promise.all(Object.values(keys(id)).map((key) => redis.memory("USAGE", key, "SAMPLES", 0)))
        )
        const bytes = used.reduce<number>((sum, one) => sum + Number(one ?? 0), 0) / COUPONS
        console.info(`${digits} digits: ${bytes.toFixed(1)} bytes a coupon`)
        expect(bytes).toBeLessThanOrEqual(most)
      }),
    60_000
  )
})
