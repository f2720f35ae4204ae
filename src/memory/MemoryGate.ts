import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { AppConfig } from "../config/AppConfig.ts"
import type { CampaignId, CampaignTerms } from "../domain/Campaign.ts"
import { type Coupon, erasedUser, type UserId } from "../domain/Coupon.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { Gate, type ReserveAnswer, type ReserveRequest } from "../ports/Gate.ts"
import { WallClock } from "../base/WallClock.ts"

/** What the gate knows of one campaign; `RedisGate` keeps the same in four keys. */
interface Memory {
  /** Users with a coupon; an erased coupon's is `erasedUser`. */
  readonly issued: Set<UserId>
  /** Whether there are erased ones among them. */
  hasErased: boolean
  /** Reservations in flight, oldest first: a key is never set twice without being deleted between. */
  readonly pending: Map<UserId, string>
  terms: CampaignTerms | undefined
  generation: string | undefined
  hydrated: boolean
  cursor: number
  leaseMillis: number
  leaseUntil: EpochMillis
  /** When the terms with status ENDED came. */
  endedAt: EpochMillis | undefined
  /** Over for long: it knows no users, and lets every claim through. */
  retired: boolean
}

/** The ledger's clock decides; the slack forgives a difference between the two. */
const SLACK_MILLIS = 2_000

const cold: ReserveAnswer = { _tag: "Cold" }
const already: ReserveAnswer = { _tag: "Already" }
const pendingAnswer: ReserveAnswer = { _tag: "Pending" }
const notStarted: ReserveAnswer = { _tag: "NotStarted" }
const ended: ReserveAnswer = { _tag: "Ended" }
const paused: ReserveAnswer = { _tag: "Paused" }
const soldOut: ReserveAnswer = { _tag: "SoldOut" }
const full: ReserveAnswer = { _tag: "Full" }

const nonceOf = (value: string) => value.slice(value.indexOf(":") + 1)
const millisOf = (value: string) => Number(value.slice(0, value.indexOf(":"))) / 1_000

/** Newer terms, or as new ones with a higher limit: a raise that is announced. */
const applyNewer = (memory: Memory, terms: CampaignTerms, now: EpochMillis): boolean => {
  const known = memory.terms
  const newer = known === undefined ? 1 : terms.version - known.version
  if (newer < 0 || (newer === 0 && terms.couponLimit <= known!.couponLimit)) return false
  memory.terms = terms
  memory.endedAt = terms.status === "ENDED" ? now : undefined
  return true
}

/** Why a user whom the gate does not know yet gets no slot, apart from reservations. */
const rejectionOf = (terms: CampaignTerms, issued: number, now: EpochMillis): ReserveAnswer | undefined => {
  if (terms.status === "ENDED" || (terms.endTime !== undefined && now >= terms.endTime + SLACK_MILLIS)) return ended
  if (terms.status === "PAUSED") return paused
  return issued >= terms.couponLimit ? soldOut : undefined
}

/** Adds the user of a coupon, unless it is the former one of a coupon that was erased. */
const add = (memory: Memory, { id, userId }: Coupon): boolean => {
  if (userId < 0n) memory.hasErased = true
  else if (memory.hasErased && memory.issued.has(erasedUser(id))) return false
  memory.issued.add(userId)
  return true
}

const reserveAll = (
  { issued, pending, ...memory }: Memory,
  requests: ReadonlyArray<ReserveRequest>,
  now: EpochMillis
): ReadonlyArray<ReserveAnswer> => {
  if (memory.retired) return requests.map(({ nonce }) => ({ _tag: "Reserved", value: `${now}000:${nonce}` }))
  const terms = memory.terms
  if (terms === undefined || memory.generation === undefined || !memory.hydrated) return requests.map(() => cold)
  if (now < terms.startTime - SLACK_MILLIS) return requests.map(() => notStarted)
  const rejection = rejectionOf(terms, issued.size, now)
  return requests.map(({ nonce, userId }): ReserveAnswer => {
    if (issued.has(userId)) return already
    const held = pending.get(userId)
    if (held !== undefined) return nonceOf(held) === nonce ? { _tag: "Reserved", value: held } : pendingAnswer
    if (rejection !== undefined) return rejection
    if (issued.size + pending.size >= terms.couponLimit) return full
    const value = `${now}000:${nonce}`
    pending.set(userId, value)
    return { _tag: "Reserved", value }
  })
}

/**
 * The gate in this process: the same answers as `RedisGate`, each operation one synchronous step. It forgets everything
 * when the process ends, and is rebuilt from the ledger like the other.
 */
export const make = (options: {
  /** The gate's clock; it has milliseconds only, so the microseconds of a reservation end in 000. */
  readonly now?: () => EpochMillis
  /** How long what is known of a campaign is kept that is over. */
  readonly keptMillis?: number
} = {}): Effect.Effect<Gate["Type"]> =>
  Effect.sync(() => {
    const now = options.now ?? Date.now
    const keptMillis = options.keptMillis ?? Infinity
    const campaigns = new Map<CampaignId, Memory>()

    const recall = (campaignId: CampaignId): Memory => {
      let memory = campaigns.get(campaignId)
      if (memory === undefined) {
        memory = {
          issued: new Set(),
          hasErased: false,
          pending: new Map(),
          terms: undefined,
          generation: undefined,
          hydrated: false,
          cursor: 0,
          leaseMillis: 0,
          leaseUntil: 0,
          retired: false,
          endedAt: undefined
        }
        campaigns.set(campaignId, memory)
      }
      return memory
    }

    /** Forgets campaigns that are over for long. Called where memory is taken for another one. */
    const letGo = () => {
      const since = now() - keptMillis
      for (const [campaignId, { endedAt, generation, terms }] of campaigns) {
        const overAt = endedAt ?? terms?.endTime
        if (generation !== undefined && overAt !== undefined && overAt < since) campaigns.delete(campaignId)
      }
    }

    return Gate.of({
      reserve: (campaignId, requests) =>
        Effect.sync(() => {
          const memory = campaigns.get(campaignId)
          return memory === undefined ? requests.map(() => cold) : reserveAll(memory, requests, now())
        }),

      release: (campaignId, reservations) =>
        Effect.sync(() => {
          const pending = campaigns.get(campaignId)?.pending
          for (const { userId, value } of reservations) {
            if (pending?.get(userId) === value) pending.delete(userId)
          }
        }),

      confirm: (campaignId, coupons) =>
        Effect.sync(() => {
          if (coupons.length === 0) return
          const memory = recall(campaignId)
          for (const coupon of coupons) if (add(memory, coupon)) memory.pending.delete(coupon.userId)
        }),

      erase: (campaignId, coupons) =>
        Effect.sync(() => {
          const memory = campaigns.get(campaignId)
          return coupons.map(({ holdsAnother, id, userId }) => {
            if (memory === undefined) return true
            const { generation, issued } = memory
            const mark = erasedUser(id)
            const follows = issued.has(userId) || issued.has(mark)
            if (follows) {
              issued.add(mark)
              memory.hasErased = true
            }
            if (!holdsAnother) issued.delete(userId)
            return follows || generation === undefined
          })
        }),

      absent: (campaignId, coupons) =>
        Effect.sync(() => {
          const issued = campaigns.get(campaignId)?.issued
          return { coupons: coupons.filter(({ userId }) => issued?.has(userId) !== true), mark: undefined }
        }),

      check: (campaignId, userIds) =>
        Effect.sync(() => {
          const memory = campaigns.get(campaignId)
          const terms = memory?.terms
          // A campaign that is not open is left to `reserve`, which has the order of precedence.
          const isSoldOut = terms !== undefined && memory?.generation !== undefined && memory.hydrated &&
            terms.status === "ACTIVE" && now() >= terms.startTime &&
            (terms.endTime === undefined || now() < terms.endTime) && memory.issued.size >= terms.couponLimit
          return userIds.map((userId) => isSoldOut && !memory.issued.has(userId))
        }),

      expired: (campaignId, olderThanMillis, limit) =>
        Effect.sync(() => {
          const latest = now() - olderThanMillis
          const found = []
          for (const [userId, value] of campaigns.get(campaignId)?.pending ?? []) {
            if (found.length >= limit) break
            if (millisOf(value) <= latest) found.push({ userId, value })
          }
          return found
        }),

      configure: (terms) =>
        Effect.sync(() => {
          const memory = campaigns.get(terms.campaignId)
          if (memory?.generation !== undefined) applyNewer(memory, terms, now())
          // Newer terms may have moved the end: the gate is cold.
          else if (memory?.retired === true && applyNewer(memory, terms, now())) memory.retired = false
        }),

      hydrateBegin: (terms, token, leaseMillis) =>
        Effect.sync(() => {
          const memory = recall(terms.campaignId)
          const isHydrated = memory.generation !== undefined && memory.hydrated
          const isLeased = memory.generation !== undefined && memory.generation !== token && memory.leaseUntil > now()
          if (!isHydrated && isLeased) return "Busy"
          applyNewer(memory, terms, now())
          if (isHydrated) return "Hydrated"
          letGo()
          memory.retired = false
          memory.generation = token
          memory.cursor = 0
          memory.leaseMillis = leaseMillis
          memory.leaseUntil = now() + leaseMillis
          return "Granted"
        }),

      hydrateChunk: (campaignId, token, fromCursor, coupons) =>
        Effect.sync(() => {
          const memory = campaigns.get(campaignId)
          if (memory === undefined || memory.generation !== token || memory.cursor !== fromCursor) return false
          for (const coupon of coupons) {
            add(memory, coupon)
            memory.cursor = coupon.id
          }
          memory.leaseUntil = now() + memory.leaseMillis
          return true
        }),

      hydrateEnd: (campaignId, token, cursor) =>
        Effect.sync(() => {
          const memory = campaigns.get(campaignId)
          if (memory === undefined || memory.generation !== token || memory.cursor !== cursor) return false
          memory.hydrated = true
          memory.leaseUntil = 0
          return true
        }),

      cold: (campaignId, generation) =>
        Effect.sync(() => {
          const memory = campaigns.get(campaignId)
          if (memory === undefined || memory.generation !== generation) return false
          memory.generation = undefined
          memory.hydrated = false
          memory.leaseUntil = 0
          return true
        }),

      forget: (campaignId) => Effect.sync(() => void campaigns.delete(campaignId)),

      retire: (terms) =>
        Effect.sync(() => {
          if ((campaigns.get(terms.campaignId)?.terms?.version ?? 0) > terms.version) return
          campaigns.delete(terms.campaignId)
          Object.assign(recall(terms.campaignId), { terms, retired: true })
        }),

      inspect: (campaignId) =>
        Effect.sync(() => {
          const memory = campaigns.get(campaignId)
          const [oldest] = memory?.pending.values() ?? []
          return {
            condition: memory?.retired === true ? "Retired" : "Sound",
            generation: memory?.generation,
            hydrated: memory?.generation !== undefined && memory.hydrated,
            issued: memory?.issued.size ?? 0,
            pending: memory?.pending.size ?? 0,
            version: memory?.terms?.version ?? 0,
            oldestPendingMillis: oldest === undefined ? 0 : Math.max(0, Math.floor(now() - millisOf(oldest)))
          }
        }),

      // It lives and dies with the process: it never comes back without its memory.
      suspicions: Stream.never
    })
  })

/** The gate of the embedded assembly. */
export const layer: Layer.Layer<Gate, never, AppConfig> = Layer.effect(
  Gate,
  Effect.flatMap(Effect.all([AppConfig, WallClock]), ([config, { now }]) =>
    make({ now, keptMillis: Duration.toMillis(config.gateKeptAfterEnd) }))
)
