import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../config/AppConfig.ts"
import type { CampaignId, CampaignTerms } from "../domain/Campaign.ts"
import { type Coupon, erasedUser } from "../domain/Coupon.ts"
import {
  foreignState,
  Gate,
  type GateState,
  type GateUnavailable,
  type HydrateGrant,
  type ReserveAnswer,
  type ReserveRequest
} from "../ports/Gate.ts"
import { decode, eventArguments, GateKeys, isList, isNumber, isText, noAnswer } from "./GateKeys.ts"
import { RedisClient } from "./RedisClient.ts"

/** Reservations looked at in one step of a walk: Redis serves no other call for these 0.4 to 0.7 ms. */
const SCAN_PAGE = 250

/**
 * Coupons confirmed in one step, for the same reason: the relay brings the commits of 40 ms, which may be 700 coupons.
 */
const CONFIRM_PAGE = 100

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

/**
 * A coupon for the event that proves whose the keys are, and the users of all. A code proves that. So the event, which
 * stays as long as the keys, names no user.
 */
const proofAndUsers = (coupons: ReadonlyArray<Coupon>, proof: Coupon): Array<string | number> => {
  const args = [...eventArguments({ ...proof, userId: erasedUser(proof.id) }), coupons.length]
  for (const { userId } of coupons) args.push(userId.toString())
  return args
}

/** What a script returns that needs the numbers of the coupons, as some of the campaign were erased. */
const NEEDS_NUMBERS = -1

/**
 * Runs a script that adds the users of coupons; with their numbers only where some are erased, which almost no campaign
 * has.
 */
const adding = (
  coupons: ReadonlyArray<Coupon>,
  args: ReadonlyArray<string | number>,
  run: (args: ReadonlyArray<string | number>) => Effect.Effect<number, GateUnavailable>
): Effect.Effect<number, GateUnavailable> => {
  const again = Effect.suspend(() => run([...args, ...coupons.map(({ id }) => id)]))
  return coupons.some(({ userId }) => userId < 0n)
    ? again
    : Effect.flatMap(run(args), (reply) => reply === NEEDS_NUMBERS ? again : Effect.succeed(reply))
}

const orNull = (isReply: (reply: unknown) => boolean) => (reply: unknown): boolean => reply === null || isReply(reply)
const isBits = (reply: unknown): reply is string => isText(reply) && /^[01]*$/.test(reply)
const isCursor = (reply: unknown): boolean => isText(reply) && /^\d+$/.test(reply)
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

/**
 * The gate in Redis (docs/internals/protocol.md, "The gate"): one script an operation, one EVALSHA a call.
 * `keptMillis`: how long the keys of a campaign are kept after its end.
 */
export const make = (keptMillis: number): Effect.Effect<Gate["Type"], never, RedisClient | GateKeys> =>
  Effect.gen(function*() {
    const { reconnections } = yield* RedisClient
    const { all, guarded, identity, of: keys, script } = yield* GateKeys

    const reserve = script<ReserveReply | null>("reserve", 3, orNull(isList(isText, isText, Array.isArray)))
    const release = script<number>("release", 1, isNumber)
    const confirm = script<number>("confirm", 4, isNumber, "own", "unerased")
    const erase = script<string>("erase", 4, isBits)
    const absent = script<[members: string, newest: string]>("absent", 2, isList(isBits, isText))
    const check = script<string | null>("check", 2, orNull(isBits))
    const configure = script<number>("configure", 4, isNumber, "keep")
    const hydrateBegin = script<HydrateGrant>("hydrateBegin", 4, isGrant, "keep")
    const hydrateChunk = script<number>("hydrateChunk", 3, isNumber, "unerased")
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

      confirm: (campaignId, coupons, after = "") =>
        Effect.forEach(
          Arr.chunksOf(coupons, CONFIRM_PAGE),
          (page) => {
            const args = [identity, after, ...proofAndUsers(page, page[0])]
            return guarded(campaignId, adding(page, args, (of) => confirm(all(campaignId), of)), 0)
          },
          { discard: true }
        ),

      erase: (campaignId, coupons) => {
        const args = coupons.flatMap(({ holdsAnother, id, userId }) => [id, userId.toString(), holdsAnother ? 1 : 0])
        const followed = "1".repeat(coupons.length)
        return coupons.length === 0 ? Effect.succeed([]) : Effect.map(
          Effect.filterOrFail(
            guarded(campaignId, erase(all(campaignId), [identity, ...args]), followed),
            (digits) => digits.length === coupons.length,
            noAnswer
          ),
          (digits) => Array.from(digits, (digit) => digit === "1")
        )
      },

      absent: (campaignId, coupons) => {
        const { events, issued } = keys(campaignId)
        return Effect.map(
          Effect.filterOrFail(
            absent([issued, events], coupons.map(({ userId }) => userId.toString())),
            ([members]) => members.length === coupons.length,
            noAnswer
          ),
          ([members, newest]) => ({
            coupons: coupons.filter((_, k) => members[k] === "0"),
            mark: newest === "" ? undefined : newest
          })
        )
      },

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

      hydrateChunk: (campaignId, token, fromCursor, coupons, after = "") => {
        const { events, issued, meta } = keys(campaignId)
        const last = coupons.at(-1)
        const page = last === undefined ? [] : proofAndUsers(coupons, last)
        const args = [token, fromCursor, after, ...page]
        const reply = adding(coupons, args, (of) => hydrateChunk([meta, issued, events], of))
        return Effect.map(reply, (done) => done === 1)
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

      suspicions: reconnections
    })
  })

/** The gate in the Redis of `RedisClient`. */
export const layer: Layer.Layer<Gate, never, RedisClient | GateKeys | AppConfig> = Layer.effect(
  Gate,
  Effect.flatMap(AppConfig, ({ gateKeptAfterEnd }) => make(Duration.toMillis(gateKeptAfterEnd)))
)
