import { ReplyError } from "ioredis"
import * as Effect from "effect/Effect"
import { type CampaignId, gateTerms } from "../domain/Campaign.ts"
import { GateUnavailable } from "../ports/Gate.ts"
import type { CampaignStore } from "../ports/CampaignStore.ts"
import type { Ledger } from "../ports/Ledger.ts"

/** What the keys of a campaign show about the ledger that wrote them (`scripts/evidence.lua`). */
export interface Evidence {
  readonly generation: string
  readonly version: number
  readonly couponLimit: number
  readonly startTime: number
  /** Users in the issued set. */
  readonly issued: number
  readonly newestEvent: string
  /** Of the newest and the oldest events. */
  readonly coupons: ReadonlyArray<{ readonly id: number; readonly userId: bigint; readonly code: string }>
}

/**
 * Whether keys without an owner come from this ledger. Each event has the code of a coupon, drawn at random: codes that
 * the ledger knows prove it, one that it does not know disproves it. A gate without any coupon may be taken unless its
 * terms differ.
 */
export const isFedBy = (
  campaigns: CampaignStore["Type"],
  ledger: Ledger["Type"],
  campaignId: CampaignId,
  evidence: Evidence
): Effect.Effect<boolean, GateUnavailable> =>
  Effect.gen(function*() {
    const campaign = yield* campaigns.find(campaignId)
    if (campaign === undefined) return false
    if (evidence.coupons.length > 0) {
      const held = yield* ledger.findCoupons(campaignId, [...new Set(evidence.coupons.map(({ userId }) => userId))])
      const codes = new Map(held.map(({ code, userId }) => [userId, code]))
      // An event names the user that its coupon had then, who may be erased by now, or none.
      const isOurs = ({ code, id, userId }: Evidence["coupons"][number]) =>
        codes.get(userId) === code
          ? Effect.succeed(true)
          : Effect.map(ledger.findByCode(campaignId, code), (coupon) => coupon?.id === id)
      return yield* Effect.every(evidence.coupons, isOurs)
    }
    if (evidence.issued > 0 || evidence.version > campaign.version) return false
    const { couponLimit, startTime } = gateTerms(campaign)
    return evidence.version < campaign.version ||
      (evidence.couponLimit === couponLimit && evidence.startTime === startTime)
  }).pipe(Effect.catchTag("LedgerUnavailable", ({ cause }) => new GateUnavailable({ cause })))

/** Campaigns whose owner was logged, at most. Beyond that, owners are logged again. */
const MAX_LOGGED = 1_000

/** Keys that were not proven to be ours are looked at again after this long. */
const DISOWNED_MILLIS = 5_000

/**
 * Keeps this deployment away from keys of another one. The scripts fail with `FOREIGN` where a campaign's keys have
 * another owner, and with `UNCLAIMED` where they have none: an instance of an earlier version made them, or the key
 * with the owner was lost.
 */
export const make = (options: {
  /** For messages: the keys of a campaign. */
  readonly nameOf: (campaignId: CampaignId) => string
  /** Makes this deployment the owner if the keys can be proven to be its own. */
  readonly adopt: (campaignId: CampaignId) => Effect.Effect<boolean, GateUnavailable>
}) => {
  const logged = new Set<CampaignId>()
  const disownedUntil = new Map<CampaignId, number>()

  const log = (campaignId: CampaignId, why: string) =>
    Effect.suspend(() => {
      if (logged.has(campaignId)) return Effect.void
      if (logged.size >= MAX_LOGGED) logged.clear()
      logged.add(campaignId)
      return Effect.logError(
        `the keys ${options.nameOf(campaignId)} in Redis ${why}; they are left alone, and the ledger decides the ` +
          "campaign's claims alone. Give each deployment a Redis of its own, or a REDIS_KEY_PREFIX"
      ).pipe(Effect.annotateLogs({ campaignId }))
    })

  const adopt = (campaignId: CampaignId) =>
    Effect.flatMap(options.adopt(campaignId), (isOurs) => {
      if (isOurs) {
        logged.delete(campaignId)
        return Effect.logInfo("took over a gate without an owner").pipe(
          Effect.annotateLogs({ campaignId }),
          Effect.as(true)
        )
      }
      if (disownedUntil.size >= MAX_LOGGED) disownedUntil.clear()
      disownedUntil.set(campaignId, performance.now() + DISOWNED_MILLIS)
      return Effect.as(log(campaignId, "have no owner, and hold coupons or terms unknown to this ledger"), false)
    })

  /** Runs a call to a script that checks the owner. `foreign` is the result where the keys are another deployment's. */
  const guarded = <A>(
    campaignId: CampaignId,
    call: Effect.Effect<A, GateUnavailable>,
    foreign: A
  ): Effect.Effect<A, GateUnavailable> =>
    Effect.catchTag(call, "GateUnavailable", (failure) => {
      const message = failure.cause instanceof ReplyError ? (failure.cause as Error).message : ""
      const [, refusal, identity] = /^(FOREIGN|UNCLAIMED) (.*)$/.exec(message) ?? []
      if (refusal === undefined) return failure
      if (refusal === "FOREIGN") {
        return Effect.as(log(campaignId, `belong to another deployment (identity ${identity})`), foreign)
      }
      if ((disownedUntil.get(campaignId) ?? 0) > performance.now()) return Effect.succeed(foreign)
      return Effect.flatMap(adopt(campaignId), (isOurs) => isOurs ? call : Effect.succeed(foreign))
    })

  return { guarded }
}
