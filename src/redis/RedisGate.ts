import { readFileSync } from "node:fs"
import * as Arr from "effect/Array"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { AppConfig } from "../AppConfig.ts"
import type { CampaignId, CampaignTerms } from "../domain/Campaign.ts"
import type { Coupon } from "../domain/Coupon.ts"
import { Gate, type GateUnavailable, type HydrateGrant, type ReserveAnswer } from "../issuance/Gate.ts"
import { RedisClient } from "./RedisClient.ts"

/** How often `events` asks for news: an XREAD that blocks would hold up the connection that reservations share. */
const EVENTS_INTERVAL = "100 millis"
const EVENTS_PAGE = 1_000

/** Reservations looked at in one step of a walk: 0.4 to 0.7 ms of Redis, which nobody else gets meanwhile. */
const SCAN_PAGE = 250

/** Coupons confirmed in one step, for the same reason: the relay brings all that were committed in 40 ms, which may be 700. */
const CONFIRM_PAGE = 100

const metaKey = (campaignId: CampaignId) => `{c${campaignId}}:m`
const issuedKey = (campaignId: CampaignId) => `{c${campaignId}}:i`
const pendingKey = (campaignId: CampaignId) => `{c${campaignId}}:p`
const eventsKey = (campaignId: CampaignId) => `{c${campaignId}}:e`

/** The answers of `reserve.lua` that carry nothing. */
const answers: Readonly<Record<string, ReserveAnswer>> = {
  A: { _tag: "Already" },
  P: { _tag: "Pending" },
  N: { _tag: "NotStarted" },
  E: { _tag: "Ended" },
  U: { _tag: "Paused" },
  O: { _tag: "SoldOut" },
  F: { _tag: "Full" }
}
const cold: ReserveAnswer = { _tag: "Cold" }

const termsArguments = (terms: CampaignTerms): ReadonlyArray<string | number> => [
  terms.version,
  terms.couponLimit,
  terms.status,
  terms.startTime,
  terms.endTime ?? ""
]

const couponArguments = (args: Array<string | number>, coupons: ReadonlyArray<Coupon>) => {
  for (const coupon of coupons) args.push(coupon.id, coupon.userId.toString(), coupon.code, coupon.issuedAt)
  return args
}

/** `[cursor, [id, fields]*]` as `readEvents.lua` returns it. */
type EventsReply = [cursor: string, ...Array<[id: string, fields: Array<string>]>]

const parseEvent = (campaignId: CampaignId, fields: ReadonlyArray<string>): Coupon => ({
  campaignId,
  id: Number(fields[1]),
  userId: BigInt(fields[3]!),
  code: fields[5]!,
  issuedAt: Number(fields[7])
})

/** The gate in Redis (PROTOCOL, "Gate"): one script an operation, one EVALSHA a call. */
export const make = (options: {
  /** `CouponIssued` events kept a campaign, approximately. */
  readonly eventStreamLength: number
}): Effect.Effect<Gate["Type"], never, RedisClient> =>
  Effect.gen(function*() {
    const client = yield* RedisClient
    const { redis, send } = client

    /** Loads a script; ioredis sends EVAL once a connection (of a cluster: a node) and EVALSHA from then on, and EVAL again after NOSCRIPT. */
    const script = <Reply>(name: string, numberOfKeys: number) => {
      redis.defineCommand(name, {
        numberOfKeys,
        lua: readFileSync(new URL(`./scripts/${name}.lua`, import.meta.url), "utf8")
      })
      const run = (redis as unknown as Record<string, (...args: ReadonlyArray<unknown>) => Promise<Reply>>)[name]!.bind(redis)
      return (keys: ReadonlyArray<string>, args: ReadonlyArray<string | number>): Effect.Effect<Reply, GateUnavailable> =>
        send(() => run(keys, args))
    }

    const reserve = script<[micros: string, answers: string, kept: Array<string>] | null>("reserve", 3)
    const release = script<number>("release", 1)
    const confirm = script<number>("confirm", 3)
    const check = script<string | null>("check", 2)
    const configure = script<number>("configure", 1)
    const hydrateBegin = script<HydrateGrant>("hydrateBegin", 2)
    const hydrateChunk = script<number>("hydrateChunk", 3)
    const hydrateEnd = script<number>("hydrateEnd", 2)
    const close = script<number>("cold", 2)
    const forget = script<number>("forget", 4)
    const inspect = script<[generation: string, hydrated: number, issued: number, pending: number, version: number]>("inspect", 3)
    const scanPending = script<[cursor: string, oldestMillis: number, ...entries: Array<string>]>("scanPending", 1)
    const readEvents = script<EventsReply>("readEvents", 1)

    return Gate.of({
      reserve: (campaignId, requests) => {
        if (requests.length === 0) return Effect.succeed([])
        const args: Array<string> = []
        for (const request of requests) args.push(request.userId.toString())
        for (const request of requests) args.push(request.nonce)
        return Effect.map(reserve([metaKey(campaignId), issuedKey(campaignId), pendingKey(campaignId)], args), (reply) => {
          if (reply === null) return requests.map(() => cold)
          const [micros, letters, kept] = reply
          let nextKept = 0
          return requests.map((request, k): ReserveAnswer => {
            const letter = letters[k]!
            if (letter === "R") return { _tag: "Reserved", value: `${micros}:${request.nonce}` }
            if (letter === "S") return { _tag: "Reserved", value: kept[nextKept++]! }
            return answers[letter]!
          })
        })
      },

      release: (campaignId, reservations) =>
        reservations.length === 0 ? Effect.void : Effect.asVoid(
          release([pendingKey(campaignId)], reservations.flatMap((r) => [r.userId.toString(), r.value]))
        ),

      confirm: (campaignId, coupons) =>
        Effect.forEach(
          Arr.chunksOf(coupons, CONFIRM_PAGE),
          (page) =>
            confirm([issuedKey(campaignId), pendingKey(campaignId), eventsKey(campaignId)], couponArguments([options.eventStreamLength], page)),
          { discard: true }
        ),

      check: (campaignId, userIds) =>
        userIds.length === 0 ? Effect.succeed([]) : Effect.map(
          check([metaKey(campaignId), issuedKey(campaignId)], userIds.map(String)),
          (members) => userIds.map((_, k) => members !== null && members[k] === "0")
        ),

      expired: (campaignId, olderThanMillis, limit) =>
        Effect.gen(function*() {
          // HSCAN may show a field twice.
          const found = new Map<string, string>()
          let cursor = "0"
          do {
            const reply = yield* scanPending([pendingKey(campaignId)], [cursor, olderThanMillis, SCAN_PAGE])
            const [next, , ...entries] = reply
            for (let k = 0; k < entries.length; k += 2) found.set(entries[k]!, entries[k + 1]!)
            cursor = next
          } while (cursor !== "0" && found.size < limit)
          return Array.from(found, ([userId, value]) => ({ userId: BigInt(userId), value })).slice(0, limit)
        }),

      configure: (terms) => Effect.asVoid(configure([metaKey(terms.campaignId)], termsArguments(terms))),

      hydrateBegin: (terms, token, leaseMillis) =>
        hydrateBegin(
          [metaKey(terms.campaignId), issuedKey(terms.campaignId)],
          [token, leaseMillis, ...termsArguments(terms)]
        ),

      hydrateChunk: (campaignId, token, fromCursor, coupons) =>
        Effect.map(
          hydrateChunk(
            [metaKey(campaignId), issuedKey(campaignId), eventsKey(campaignId)],
            couponArguments([token, fromCursor, options.eventStreamLength], coupons)
          ),
          (done) => done === 1
        ),

      hydrateEnd: (campaignId, token, cursor) =>
        Effect.map(hydrateEnd([metaKey(campaignId), issuedKey(campaignId)], [token, cursor]), (done) => done === 1),

      cold: (campaignId, generation) =>
        Effect.map(close([metaKey(campaignId), issuedKey(campaignId)], [generation]), (done) => done === 1),

      forget: (campaignId) =>
        Effect.asVoid(
          forget([metaKey(campaignId), issuedKey(campaignId), pendingKey(campaignId), eventsKey(campaignId)], [])
        ),

      inspect: (campaignId) =>
        Effect.gen(function*() {
          const [generation, hydrated, issued, pending, version] = yield* inspect(
            [metaKey(campaignId), issuedKey(campaignId), pendingKey(campaignId)],
            []
          )
          let oldestPendingMillis = 0
          let cursor = "0"
          if (pending > 0) {
            do {
              // No reservation is 285,616 years old: this walk returns ages alone.
              const page = yield* scanPending([pendingKey(campaignId)], [cursor, Number.MAX_SAFE_INTEGER, SCAN_PAGE])
              oldestPendingMillis = Math.max(oldestPendingMillis, page[1])
              cursor = page[0]
            } while (cursor !== "0")
          }
          return {
            generation: generation === "" ? undefined : generation,
            hydrated: hydrated === 1,
            issued,
            pending,
            version,
            oldestPendingMillis
          }
        }),

      events: (campaignId) =>
        Stream.paginateChunkEffect("", (cursor) =>
          Effect.gen(function*() {
            const key = [eventsKey(campaignId)]
            let reply = yield* readEvents(key, [cursor, EVENTS_PAGE])
            while (cursor !== "" && reply.length === 1) {
              yield* Effect.sleep(EVENTS_INTERVAL)
              reply = yield* readEvents(key, [reply[0], EVENTS_PAGE])
            }
            const [next, ...events] = reply
            return [Chunk.map(Chunk.unsafeFromArray(events), ([, fields]) => parseEvent(campaignId, fields)), Option.some(next)]
          })),

      suspicions: client.reconnections
    })
  })

/** The gate in the Redis of `RedisClient`. */
export const layer: Layer.Layer<Gate, never, RedisClient | AppConfig> = Layer.effect(
  Gate,
  Effect.flatMap(AppConfig, (config) => make({ eventStreamLength: config.eventStreamLength }))
)
