import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { CampaignId } from "../domain/CampaignId.ts"
import type { ChangeRecord } from "../domain/ChangeRecord.ts"
import type { Coupon } from "../domain/Coupon.ts"
import type { Redemption, RedemptionAction, RedemptionDetails } from "../domain/redemption/Redemption.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { ValidityHistory } from "../domain/validity/ValidityHistory.ts"
import type { CampaignChange } from "./CampaignStore.ts"
import type { CommitInDoubt, LedgerUnavailable } from "./Ledger.ts"

/** A request to redeem a coupon that was issued, to undo the redemption that stands, or to revoke the coupon. */
export interface RedemptionItem {
  readonly action: RedemptionAction
  /** The coupon's number. It has been issued. */
  readonly couponId: number
  /** From then on, by the ledger's clock, the coupon cannot be redeemed; `undefined`: it does not expire. */
  readonly expiresAt: EpochMillis | undefined
  /** The caller's name for this request within the campaign, 1 to 64 characters. */
  readonly requestId: string
  readonly details: RedemptionDetails
  /** Only of REVOKE: its slot is returned. */
  readonly slotReturned: boolean
}

/** The unit of a transaction: requests on different coupons of one campaign, each with an id of its own. */
export interface RedemptionBatch {
  /** 32 lower-case hexadecimal digits, fresh for every attempt: the outbox marker's key. */
  readonly batchId: string
  readonly campaignId: CampaignId
  readonly items: ReadonlyArray<RedemptionItem>
}

/**
 * Why nothing was done. `REDEEMED`: it is redeemed already, or, for an undo, was redeemed too long ago. `ABSENT`: there
 * is no redemption to undo.
 */
export type RefusalReason = "REDEEMED" | "REVOKED" | "EXPIRED" | "ABSENT"

/** The answer to a request, the same one for good. */
export type RedemptionAnswer =
  | { readonly _tag: "Done"; readonly redemption: Redemption }
  | {
    readonly _tag: "Refused"
    readonly reason: RefusalReason
    /** The redemption or revocation because of which it was refused. */
    readonly standing: Redemption | undefined
  }
  /** The id stands for a request of another action or on another coupon. */
  | { readonly _tag: "Conflict" }

/** A coupon that is to be revoked. The record's `changeId` is fresh for every attempt: the outbox marker's key. */
export interface Revocation extends ChangeRecord {
  readonly campaignId: CampaignId
  /** Of the action REVOKE. */
  readonly item: RedemptionItem
  /**
   * Where the slot is returned: the campaign that this was decided on and what it becomes. The raised limit must have
   * been announced. Without it nothing but a refusal is stored.
   */
  readonly raise: Pick<CampaignChange, "from" | "to"> | undefined
}

/** A revocation as a batch that `answers` and `resolve` take. */
export const revocationBatch = ({ campaignId, changeId, item }: Revocation): RedemptionBatch =>
  ({ batchId: changeId, campaignId, items: [item] })

/** The state of a coupon that is redeemed or revoked. */
export interface CouponStanding {
  readonly campaignId: CampaignId
  readonly couponId: number
  readonly state: "REDEEMED" | "REVOKED"
  /** Of the redemption or revocation. */
  readonly sequence: number
  readonly at: EpochMillis
  readonly terminalId: string
}

/**
 * What becomes of coupons after they were issued, in the ledger. Everything here is durable when its effect succeeds.
 * The state of a coupon, its redemptions and the event log agree, since one transaction writes the first two, and the
 * log is read from them (docs/internals/protocol.md, "Redemption").
 */
export class Redemptions extends Context.Tag("coupon/issuance/Redemptions")<Redemptions, {
  /**
   * Commits a batch in one transaction, under the lock of the campaign's head of redemptions, and returns one answer an
   * item, in order. A request id that has an answer already gets that one. Otherwise the first of these applies:
   * `REVOKED`, then `EXPIRED` (not UNDO) by the ledger's clock after the lock, then `REDEEMED`, `ABSENT`, done. How
   * long a redemption can be undone is the campaign's setting at that moment. Items are of the actions REDEEM and UNDO:
   * `revoke` is for the third.
   * Fails with `LedgerUnavailable` if nothing can have been committed, else with `CommitInDoubt`. Uninterruptible once
   * the batch is sent.
   */
  readonly commit: (
    batch: RedemptionBatch
  ) => Effect.Effect<ReadonlyArray<RedemptionAnswer>, LedgerUnavailable | CommitInDoubt>

  /**
   * Revokes a coupon, as `commit` would, with a row in the audit log. Where its slot is returned, the same transaction
   * makes the campaign what `raise.to` is, under the lock of its row, which it takes before that of the head: limit and
   * `returned` are one higher, and so is the version. `Stale`: nothing was stored, as the campaign is at another
   * version, or there is no `raise` and the coupon could be revoked.
   */
  readonly revoke: (
    revocation: Revocation
  ) => Effect.Effect<RedemptionAnswer | { readonly _tag: "Stale" }, LedgerUnavailable | CommitInDoubt>

  /** The answers that a batch's requests have been given before; `undefined`: there is none yet. */
  readonly answers: (
    batch: RedemptionBatch
  ) => Effect.Effect<ReadonlyArray<RedemptionAnswer | undefined>, LedgerUnavailable>

  /**
   * Settles a batch in doubt for good: forbids it by a VOID marker under its batch id (waiting for a transaction that
   * is still alive), then reads the answers. `undefined`: it was not committed and never will be. Safe to repeat.
   */
  readonly resolve: (
    batch: RedemptionBatch
  ) => Effect.Effect<ReadonlyArray<RedemptionAnswer | undefined>, LedgerUnavailable>

  /** The coupons that have these codes, letter for letter, in no particular order. At most 1,000 codes. */
  readonly findByCodes: (
    campaignId: CampaignId,
    codes: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyArray<Coupon>, LedgerUnavailable>

  /**
   * The states of these coupons, of any campaigns, in no particular order, and the ledger's clock when they were read;
   * one that is neither redeemed nor revoked is absent. At most 1,000 coupons.
   */
  readonly standings: (coupons: ReadonlyArray<Pick<Coupon, "campaignId" | "id">>) => Effect.Effect<
    { readonly now: EpochMillis; readonly standings: ReadonlyArray<CouponStanding> },
    LedgerUnavailable
  >

  /**
   * The validities that these campaigns have had, in no particular order; one that does not exist is absent. Whatever
   * is set later is for coupons beyond `issued`. At most 1,000 campaigns.
   */
  readonly validities: (
    campaignIds: ReadonlyArray<CampaignId>
  ) => Effect.Effect<ReadonlyArray<ValidityHistory>, LedgerUnavailable>

  /**
   * What was done to the campaign's coupons after this sequence (0: from the first on), in order, at most `limit`; to
   * one coupon alone if `couponId` is given.
   */
  readonly list: (query: {
    readonly campaignId: CampaignId
    readonly couponId: number | undefined
    readonly afterSequence: number
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<Redemption>, LedgerUnavailable>
}>() {}
