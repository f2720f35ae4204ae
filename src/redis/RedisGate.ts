import { readFileSync } from "node:fs"
import * as Arr from "effect/Array"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { AppConfig } from "../config/AppConfig.ts"
import type { CampaignId, CampaignTerms } from "../domain/Campaign.ts"
import type { Coupon } from "../domain/Coupon.ts"
import { Deployment } from "../ports/Deployment.ts"
import {
  Gate,
  type GateState,
  GateUnavailable,
  type HydrateGrant,
  type ReserveAnswer,
  type ReserveRequest
} from "../ports/Gate.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import { Ledger, type LedgerUnavailable } from "../ports/Ledger.ts"
import * as GateOwner from "./GateOwner.ts"
import type { Evidence } from "./GateOwner.ts"
import { RedisClient } from "./RedisClient.ts"

/** How often `events` polls: an XREAD that blocks would delay the reservations on the same connection. */
const EVENTS_INTERVAL = "100 millis"
const EVENTS_PAGE = 1_000

/** Reservations looked at in one step of a walk: Redis serves no other call for these 0.4 to 0.7 ms. */
const SCAN_PAGE = 250

/**
 * Coupons confirmed in one step, for the same reason: the relay brings the commits of 40 ms, which may be 700 coupons.
 */
const CONFIRM_PAGE = 100

/** A campaign's keys. All have the tag in braces, so a cluster keeps them in one slot. */
export const keysOf = (prefix: string, campaignId: CampaignId) => {
  const key = `${prefix}{c${campaignId}}`
  return { meta: `${key}:m`, issued: `${key}:i`, pending: `${key}:p`, events: `${key}:e` }
}

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

/** A reply that the script cannot have returned counts as no reply. */
const noAnswer = (cause?: unknown) =>
  new GateUnavailable({ cause: new Error("Redis answered what is no answer of the gate", { cause }) })

const decode = <Reply, A>(
  reply: Effect.Effect<Reply, GateUnavailable>,
  read: (reply: Reply) => A
): Effect.Effect<A, GateUnavailable> =>
  Effect.flatMap(reply, (value) => {
    try {
      return Effect.succeed(read(value))
    } catch (cause) {
      return noAnswer(cause)
    }
  })

// What scripts return, checked before it is read: a loop over pages must end, whatever answers.
const isNumber = (reply: unknown): reply is number => typeof reply === "number"
const isText = (reply: unknown): reply is string => typeof reply === "string"
/** A list that begins with these. */
const isList = (...kinds: ReadonlyArray<(item: unknown) => boolean>) => (reply: unknown): boolean =>
  Array.isArray(reply) && kinds.every((isKind, k) => isKind(reply[k]))
const orNull = (isReply: (reply: unknown) => boolean) => (reply: unknown): boolean => reply === null || isReply(reply)
const isBits = (reply: unknown): reply is string => isText(reply) && /^[01]*$/.test(reply)
const isCursor = (reply: unknown): boolean => isText(reply) && /^\d+$/.test(reply)
const isEventId = (reply: unknown): boolean => isText(reply) && /^\d+-\d+$/.test(reply)
const isGrant = (reply: unknown): boolean => reply === "Granted" || reply === "Hydrated" || reply === "Busy"

const readAnswers = (
  requests: ReadonlyArray<ReserveRequest>,
  [micros, letters, kept]: ReserveReply
): ReadonlyArray<ReserveAnswer> => {
  if (letters.length !== requests.length) throw new Error(`${letters.length} answers to ${requests.length} requests`)
  let nextKept = 0
  return requests.map((request, k): ReserveAnswer => {
    const letter = letters[k]!
    if (letter === "R") return { _tag: "Reserved", value: `${micros}:${request.nonce}` }
    const answer: ReserveAnswer | undefined = letter === "S"
      ? { _tag: "Reserved", value: kept[nextKept++]! }
      : answers[letter]
    if (answer === undefined) throw new Error(`unknown answer ${letter}`)
    return answer
  })
}

type ReserveReply = [micros: string, answers: string, kept: Array<string>]
type InspectReply = [
  condition: GateState["condition"],
  generation: string,
  hydrated: number,
  issued: number,
  pending: number,
  version: number
]
type EvidenceReply = [
  generation: string,
  version: number,
  couponLimit: number,
  startTime: number,
  issued: number,
  newestEvent: string,
  ...coupons: Array<string>
]

const readEvidence = (
  [generation, version, couponLimit, startTime, issued, newestEvent, ...fields]: EvidenceReply
): Evidence => ({
  generation,
  version,
  couponLimit,
  startTime,
  issued,
  newestEvent,
  coupons: Array.from({ length: fields.length / 3 }, (_, k) => ({
    id: Number(fields[3 * k]),
    userId: BigInt(fields[3 * k + 1]!),
    code: fields[3 * k + 2]!
  }))
})

/** Events looked at from either end for the owner of keys that have none. */
const EVIDENCE_EVENTS = 100

const foreignState: GateState = {
  condition: "Foreign",
  generation: undefined,
  hydrated: false,
  issued: 0,
  pending: 0,
  version: 0,
  oldestPendingMillis: 0
}

export interface RedisGateOptions {
  /** `CouponIssued` events kept a campaign, approximately. */
  readonly eventStreamLength: number
  /** What all keys begin with. */
  readonly keyPrefix: string
  /** Of this deployment: a campaign's keys carry it, and those with another one are left alone. */
  readonly identity: string
  /** How long the keys of a campaign are kept after its end. */
  readonly keptMillis: number
  /** Whether keys that carry no identity come from this deployment's ledger. */
  readonly owns: (campaignId: CampaignId, evidence: Evidence) => Effect.Effect<boolean, GateUnavailable>
}

/** The gate in Redis (docs/internals/protocol.md, "The gate"): one script an operation, one EVALSHA a call. */
export const make = (options: RedisGateOptions): Effect.Effect<Gate["Type"], never, RedisClient> =>
  Effect.gen(function*() {
    const client = yield* RedisClient
    const { redis, send } = client
    const { eventStreamLength, identity, keptMillis } = options
    const keys = (campaignId: CampaignId) => keysOf(options.keyPrefix, campaignId)
    const all = (campaignId: CampaignId) => {
      const { events, issued, meta, pending } = keys(campaignId)
      return [meta, issued, pending, events]
    }
    const textOf = (name: string) => readFileSync(new URL(`./scripts/${name}.lua`, import.meta.url), "utf8")

    /**
     * Loads a script, after others that it uses. ioredis sends EVAL once a connection (of a cluster: a node) and
     * EVALSHA from then on, and EVAL again after NOSCRIPT.
     */
    const script = <Reply>(
      name: string,
      numberOfKeys: number,
      isReply: (reply: unknown) => boolean,
      ...uses: ReadonlyArray<string>
    ) => {
      redis.defineCommand(name, { numberOfKeys, lua: [...uses, name].map(textOf).join("\n") })
      const commands = redis as unknown as Record<string, (...args: ReadonlyArray<unknown>) => Promise<Reply>>
      const run = commands[name]!.bind(redis)
      return (
        keys: ReadonlyArray<string>,
        args: ReadonlyArray<string | number>
      ): Effect.Effect<Reply, GateUnavailable> => Effect.filterOrFail(send(() => run(keys, args)), isReply, noAnswer)
    }

    const reserve = script<ReserveReply | null>("reserve", 3, orNull(isList(isText, isText, Array.isArray)))
    const release = script<number>("release", 1, isNumber)
    const confirm = script<number>("confirm", 4, isNumber)
    const check = script<string | null>("check", 2, orNull(isBits))
    const configure = script<number>("configure", 4, isNumber, "keep")
    const hydrateBegin = script<HydrateGrant>("hydrateBegin", 4, isGrant, "keep")
    const hydrateChunk = script<number>("hydrateChunk", 3, isNumber)
    const hydrateEnd = script<number>("hydrateEnd", 2, isNumber)
    const close = script<number>("cold", 2, isNumber)
    const forget = script<number>("forget", 4, isNumber)
    const retire = script<number>("retire", 4, isNumber)
    const inspect = script<InspectReply>("inspect", 4, isList(isText, isText, isNumber, isNumber, isNumber, isNumber))
    const scanPending = script<[cursor: string, oldestMillis: number, ...entries: Array<string>]>(
      "scanPending",
      2,
      isList(isCursor, isNumber)
    )
    const readEvents = script<EventsReply>("readEvents", 2, isList(isEventId))
    const evidence = script<EvidenceReply>(
      "evidence",
      3,
      isList(isText, isNumber, isNumber, isNumber, isNumber, isText)
    )
    const adopt = script<number>("adopt", 2, isNumber)

    const { guarded } = GateOwner.make({
      nameOf: (campaignId) => `${keys(campaignId).meta.slice(0, -1)}*`,
      adopt: (campaignId) =>
        Effect.gen(function*() {
          const { events, issued, meta } = keys(campaignId)
          const found = yield* decode(evidence([meta, issued, events], [EVIDENCE_EVENTS]), readEvidence)
          if (!(yield* options.owns(campaignId, found))) return false
          return (yield* adopt([meta, events], [identity, found.generation, found.newestEvent])) === 1
        })
    })

    /** A walk through the reservations, a page at a time. */
    const scan = (campaignId: CampaignId, cursor: string, olderThanMillis: number) => {
      const { meta, pending } = keys(campaignId)
      return scanPending([meta, pending], [identity, cursor, olderThanMillis, SCAN_PAGE])
    }

    return Gate.of({
      reserve: (campaignId, requests) => {
        if (requests.length === 0) return Effect.succeed([])
        const { issued, meta, pending } = keys(campaignId)
        const args: Array<string> = [identity]
        for (const request of requests) args.push(request.userId.toString())
        for (const request of requests) args.push(request.nonce)
        const reply = guarded(campaignId, reserve([meta, issued, pending], args), null)
        return decode(reply, (found) => found === null ? requests.map(() => cold) : readAnswers(requests, found))
      },

      release: (campaignId, reservations) =>
        // The value is this deployment's own: nothing else has it.
        reservations.length === 0 ? Effect.void : Effect.asVoid(
          release([keys(campaignId).pending], reservations.flatMap((r) => [r.userId.toString(), r.value]))
        ),

      confirm: (campaignId, coupons) =>
        Effect.forEach(
          Arr.chunksOf(coupons, CONFIRM_PAGE),
          (page) => {
            const args = couponArguments([identity, eventStreamLength], page)
            return guarded(campaignId, confirm(all(campaignId), args), 0)
          },
          { discard: true }
        ),

      check: (campaignId, userIds) => {
        if (userIds.length === 0) return Effect.succeed([])
        const { issued, meta } = keys(campaignId)
        return Effect.map(
          Effect.filterOrFail(
            check([meta, issued], [identity, ...userIds.map(String)]),
            (members) => members === null || members.length === userIds.length,
            noAnswer
          ),
          (members) => userIds.map((_, k) => members !== null && members[k] === "0")
        )
      },

      expired: (campaignId, olderThanMillis, limit) =>
        guarded(
          campaignId,
          Effect.gen(function*() {
            // HSCAN may show a field twice.
            const found = new Map<string, string>()
            let cursor = "0"
            do {
              const [next, , ...entries] = yield* scan(campaignId, cursor, olderThanMillis)
              for (let k = 0; k < entries.length; k += 2) found.set(entries[k]!, entries[k + 1]!)
              cursor = next
            } while (cursor !== "0" && found.size < limit)
            return found
          }),
          new Map<string, string>()
        ).pipe((found) =>
          decode(found, (pairs) =>
            Array.from(pairs, ([userId, value]) => ({ userId: BigInt(userId), value })).slice(0, limit))
        ),

      configure: (terms) =>
        Effect.asVoid(guarded(
          terms.campaignId,
          configure(all(terms.campaignId), [identity, keptMillis, ...termsArguments(terms)]),
          0
        )),

      hydrateBegin: (terms, token, leaseMillis) =>
        guarded(
          terms.campaignId,
          hydrateBegin(all(terms.campaignId), [identity, keptMillis, ...termsArguments(terms), token, leaseMillis]),
          "Foreign"
        ),

      hydrateChunk: (campaignId, token, fromCursor, coupons) => {
        const { events, issued, meta } = keys(campaignId)
        const args = couponArguments([token, fromCursor, eventStreamLength], coupons)
        return Effect.map(hydrateChunk([meta, issued, events], args), (done) => done === 1)
      },

      hydrateEnd: (campaignId, token, cursor) => {
        const { issued, meta } = keys(campaignId)
        return Effect.map(hydrateEnd([meta, issued], [token, cursor]), (done) => done === 1)
      },

      cold: (campaignId, generation) => {
        const { issued, meta } = keys(campaignId)
        return Effect.map(close([meta, issued], [generation]), (done) => done === 1)
      },

      forget: (campaignId) => Effect.asVoid(guarded(campaignId, forget(all(campaignId), [identity]), 0)),

      retire: (terms) =>
        Effect.asVoid(guarded(
          terms.campaignId,
          retire(all(terms.campaignId), [identity, keptMillis, ...termsArguments(terms)]),
          0
        )),

      inspect: (campaignId) =>
        guarded(
          campaignId,
          Effect.gen(function*() {
            const [condition, generation, hydrated, issued, pending, version] = yield* inspect(
              all(campaignId),
              [identity]
            )
            let oldestPendingMillis = 0
            let cursor = "0"
            if (pending > 0) {
              do {
                // No reservation is 285,616 years old: this walk returns ages alone.
                const page = yield* scan(campaignId, cursor, Number.MAX_SAFE_INTEGER)
                oldestPendingMillis = Math.max(oldestPendingMillis, page[1])
                cursor = page[0]
              } while (cursor !== "0")
            }
            return {
              condition,
              generation: generation === "" ? undefined : generation,
              hydrated: hydrated === 1,
              issued,
              pending,
              version,
              oldestPendingMillis
            }
          }),
          foreignState
        ),

      events: (campaignId) => {
        const { events, meta } = keys(campaignId)
        const read = (cursor: string) =>
          guarded(campaignId, readEvents([meta, events], [identity, cursor, EVENTS_PAGE]), [
            cursor === "" ? "0-0" : cursor
          ])
        return Stream.paginateChunkEffect("", (cursor) =>
          Effect.gen(function*() {
            let reply = yield* read(cursor)
            while (cursor !== "" && reply.length === 1) {
              yield* Effect.sleep(EVENTS_INTERVAL)
              reply = yield* read(reply[0])
            }
            const [next, ...found] = reply
            const coupons = Chunk.map(Chunk.unsafeFromArray(found), ([, fields]) => parseEvent(campaignId, fields))
            return [coupons, Option.some(next)]
          }))
      },

      suspicions: client.reconnections
    })
  })

/** The gate in the Redis of `RedisClient`, for the deployment that the ledger belongs to. */
export const layer: Layer.Layer<
  Gate,
  LedgerUnavailable,
  RedisClient | AppConfig | Deployment | CampaignStore | Ledger
> = Layer.effect(
  Gate,
  Effect.gen(function*() {
    const config = yield* AppConfig
    const campaigns = yield* CampaignStore
    const ledger = yield* Ledger
    const { identity, redisKeyPrefix } = yield* Effect.flatMap(Deployment, ({ facts }) => facts)
    const keyPrefix = Option.getOrElse(config.redisKeyPrefix, () => redisKeyPrefix)
    yield* Effect.logDebug(`the gate's keys in Redis are ${keyPrefix}{c…}:*, of deployment ${identity}`)
    return yield* make({
      eventStreamLength: config.eventStreamLength,
      keyPrefix,
      identity,
      keptMillis: Duration.toMillis(config.gateKeptAfterEnd),
      // Keys whose names carry the identity are this deployment's, whatever is in them.
      owns: keyPrefix.includes(identity)
        ? () => Effect.succeed(true)
        : (campaignId, found) => GateOwner.isFedBy(campaigns, ledger, campaignId, found)
    })
  })
)
