import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { OutboxRelay } from "../agents/outbox/OutboxRelay.ts"
import { PhaseWatch } from "../agents/PhaseWatch.ts"
import { rootMessage } from "../base/RootMessage.ts"
import { untilResolved } from "../claim/UntilResolved.ts"
import { AppConfig } from "../config/AppConfig.ts"
import type { Actor } from "../domain/Actor.ts"
import { type Campaign, slotReturned } from "../domain/Campaign.ts"
import type { CampaignId } from "../domain/CampaignId.ts"
import { changeBy } from "../domain/ChangeRecord.ts"
import {
  type CampaignEnded, type CodesExhausted, type InvalidArgument, OutcomeUnknown, RecordNotFound, Unavailable
} from "../domain/Failure.ts"
import type { RedemptionDetails } from "../domain/redemption/Redemption.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../ports/Ledger.ts"
import {
  type RedemptionAnswer, type RedemptionItem, Redemptions, type Revocation, revocationBatch
} from "../ports/Redemptions.ts"
import { type CouponKey, CouponRedemptions, type Redeemed, type RedemptionFailure } from "./CouponRedemptions.ts"
import * as GateTerms from "./GateTerms.ts"

/** A coupon that an operator revokes. */
export interface RevocationRequest {
  readonly campaignId: CampaignId
  readonly key: CouponKey
  /** The caller's name for this request within the campaign. */
  readonly requestId: string
  readonly reason: string
  readonly returnSlot: boolean
  /** For the audit log. */
  readonly actor: Actor
}

/**
 * Revokes coupons (docs/internals/protocol.md, "Revocation"). Returning a slot raises the campaign's limit by one, so
 * it is announced to the gate first, as every raise is.
 */
export class CouponRevocations extends Context.Tag("coupon/issuance/CouponRevocations")<CouponRevocations, {
  /**
   * The same request id has the same answer for good, if that came from the ledger. `CampaignEnded`, `CodesExhausted`,
   * `InvalidArgument`: no other user could get a coupon by the slot, so nothing was done.
   */
  readonly revoke: (
    request: RevocationRequest
  ) => Effect.Effect<Redeemed, RedemptionFailure | CampaignEnded | CodesExhausted | InvalidArgument>
}>() {}

/** How often a revocation is decided again because the campaign was changed meanwhile. */
const ATTEMPTS = 20

const storeDown = ({ cause }: LedgerUnavailable | CommitInDoubt) => new Unavailable({ retryAfterSeconds: 1, cause })

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const campaigns = yield* CampaignStore
  const coupons = yield* CouponRedemptions
  const phases = yield* PhaseWatch
  const redemptions = yield* Redemptions
  const relay = yield* OutboxRelay
  const gate = yield* GateTerms.make

  const campaignOf = (campaignId: CampaignId): Effect.Effect<Campaign, Unavailable | RecordNotFound> =>
    Effect.flatMap(
      Effect.mapError(campaigns.find(campaignId), storeDown),
      (campaign) => campaign === undefined ? Effect.fail(new RecordNotFound()) : Effect.succeed(campaign)
    )

  /** The answer after a commit in doubt. */
  const resolve = (revocation: Revocation, failure: CommitInDoubt) =>
    Effect.logWarning(`a revocation is in doubt; asking the ledger: ${rootMessage(failure.cause)}`).pipe(
      Effect.annotateLogs({ campaignId: revocation.campaignId, changeId: revocation.changeId }),
      Effect.zipRight(Effect.retry(redemptions.resolve(revocationBatch(revocation)), untilResolved)),
      Effect.disconnect,
      Effect.timeoutFail({ duration: config.requestTimeout, onTimeout: () => new OutcomeUnknown() }),
      Effect.mapError(() => new OutcomeUnknown()),
      Effect.flatMap(([answer]) => answer === undefined ? Effect.fail(storeDown(failure)) : Effect.succeed(answer))
    )

  const send = (revocation: Revocation) =>
    Effect.catchTags(redemptions.revoke(revocation), {
      LedgerUnavailable: (failure) => Effect.fail(storeDown(failure)),
      CommitInDoubt: (failure) => resolve(revocation, failure)
    })

  /**
   * What the campaign becomes if the coupon can be revoked, announced; `undefined` if it cannot, as a raise that is
   * announced and not made would send claims to the ledger in vain. The ledger decides in either case.
   */
  const prepare = (campaignId: CampaignId, { couponId, expiresAt = Infinity }: RedemptionItem) =>
    Effect.gen(function*() {
      const from = yield* campaignOf(campaignId)
      const coupon = { campaignId, id: couponId }
      const { now, standings } = yield* Effect.mapError(redemptions.standings([coupon]), storeDown)
      if (standings.length > 0 || expiresAt <= now) return undefined
      const to = yield* slotReturned(from)
      yield* phases.look(campaignId)
      yield* gate.announce(from, to.couponLimit)
      return { from, to }
    })

  const answerOf = (campaignId: CampaignId, item: RedemptionItem, actor: Actor) =>
    Effect.gen(function*() {
      if (!item.slotReturned) {
        const answer = yield* send({ ...changeBy(actor), campaignId, item, raise: undefined })
        if (answer._tag === "Stale") return yield* Effect.dieMessage("a revocation without a campaign is never stale")
        return answer
      }
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        const record = changeBy(actor)
        // A repeated request has its answer, even where it could not be given any more.
        const known = revocationBatch({ ...record, campaignId, item, raise: undefined })
        const [before] = yield* Effect.mapError(redemptions.answers(known), storeDown)
        if (before !== undefined) return before
        const raise = yield* prepare(campaignId, item)
        const answer = yield* send({ ...record, campaignId, item, raise })
        if (answer._tag !== "Stale") return answer
      }
      return yield* new Unavailable({ retryAfterSeconds: 1, cause: "others changed the campaign all the time" })
    })

  /** Also after a repeated request: the gate may not have what the first one changed. */
  const spread = (campaignId: CampaignId, answer: RedemptionAnswer) =>
    answer._tag !== "Done"
      ? Effect.void
      : !answer.redemption.slotReturned
      ? relay.wake
      : Effect.ignore(Effect.flatMap(campaignOf(campaignId), gate.spread)).pipe(
        Effect.zipRight(phases.look(campaignId))
      )

  return CouponRevocations.of({
    revoke: ({ actor, campaignId, key, reason, requestId, returnSlot }) =>
      Effect.gen(function*() {
        const expiresAt = performance.now() + Duration.toMillis(config.requestTimeout)
        const coupon = yield* coupons.find(campaignId, key, expiresAt)
        const details: RedemptionDetails = { terminalId: "", orderRef: "", reason, occurredAt: undefined }
        const item: RedemptionItem = {
          action: "REVOKE", couponId: coupon.id, expiresAt: coupon.expiresAt, requestId, details,
          slotReturned: returnSlot
        }
        const answer = yield* answerOf(campaignId, item, actor)
        yield* spread(campaignId, answer)
        return yield* coupons.outcome(coupon, answer)
      })
  })
})

export const layer = Layer.scoped(CouponRevocations, make)
