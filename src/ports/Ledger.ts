import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { Campaign, CampaignDraft, CampaignId, CampaignSettings, CampaignStatus } from "../domain/Campaign.ts"
import type { CampaignPhase } from "../domain/CampaignPhase.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import type {
  CampaignEnded,
  CampaignNotStarted,
  CampaignPaused,
  CouponAlreadyClaimed,
  CouponSoldOut,
  RecordNotFound
} from "../domain/Failure.ts"
import type { EpochMillis } from "../domain/Time.ts"

/**
 * The ledger could not be reached, or refused, *before* anything can have been committed: the operation did not happen
 * and never will. `cause` is for the log.
 */
export class LedgerUnavailable extends Data.TaggedError("LedgerUnavailable")<{
  readonly cause: unknown
  /** Its server cannot be reached, which whoever connects to it has logged: a line for each that finds it so would say no more. */
  readonly isOutage?: boolean
}> {}

/**
 * The connection failed after the batch was sent: it may have been committed, may still commit (bytes of a dead
 * connection can arrive late), or may never. Only `Ledger.resolve` tells.
 */
export class CommitInDoubt extends Data.TaggedError("CommitInDoubt")<{ readonly cause: unknown }> {}

/** One user's claim inside a batch. */
export interface Claim {
  readonly userId: UserId
  /** The code the user gets if the ledger issues; also what tells this batch's coupon from another's. */
  readonly code: string
}

/** The unit of a ledger transaction: claims of different users on one campaign. */
export interface ClaimBatch {
  /** 32 lower-case hexadecimal digits, fresh for every attempt: the outbox marker's key. */
  readonly batchId: string
  readonly campaignId: CampaignId
  /** At most one claim a user, in the order of arrival: where slots run short, earlier claims get them. */
  readonly claims: ReadonlyArray<Claim>
}

/** Why the ledger did not issue to a user. */
export type Refusal =
  | RecordNotFound
  | CampaignNotStarted
  | CouponAlreadyClaimed
  | CampaignEnded
  | CampaignPaused
  | CouponSoldOut

/** The ledger's answer to one claim: the coupon that this batch committed, or the reason there is none. */
export type ClaimVerdict =
  | { readonly _tag: "Issued"; readonly coupon: Coupon }
  | { readonly _tag: "Refused"; readonly reason: Refusal }

/** The answer to one claim of an in-doubt batch: `NotIssued` means it did not happen and never can. */
export type ResolvedVerdict =
  | { readonly _tag: "Issued"; readonly coupon: Coupon }
  | { readonly _tag: "HeldAlready"; readonly coupon: Coupon }
  | { readonly _tag: "NotIssued" }

/** How far the gate may lag behind the ledger, read in one statement. */
export interface IssuedTally {
  /** `current_coupon`: coupons issued. */
  readonly issued: number
  /** Coupons of outbox events that the relay has not settled yet. */
  readonly unrelayed: number
  /** The version of the campaign's terms. */
  readonly version: number
}

/** A change of a campaign's settings. */
export interface CampaignChange {
  /** 32 lower-case hexadecimal digits, fresh for every attempt: the key of the outbox event and of the audit's row. */
  readonly changeId: string
  /** What was done, for the audit: `campaign.pause`. */
  readonly action: string
  /** The campaign that the change was decided on; it applies only while the campaign is at that version. */
  readonly from: Campaign
  readonly to: CampaignSettings
}

/** `Changed`: here it is as stored. `Stale`: the campaign is at another version. `BelowIssued`: more are issued than the new limit. */
export type ChangeVerdict =
  | { readonly _tag: "Changed"; readonly campaign: Campaign }
  | { readonly _tag: "Stale" }
  | { readonly _tag: "BelowIssued"; readonly issued: number }

/** Which campaigns to list. */
export interface CampaignQuery {
  /** Ids less than this; `undefined`: from the newest on. */
  readonly beforeId: CampaignId | undefined
  readonly limit: number
  /** `undefined`: of any status. */
  readonly status: CampaignStatus | undefined
  /** The name begins with this, letter for letter; empty: any. */
  readonly namePrefix: string
  /** In one of these phases by the ledger's clock; empty: in any. */
  readonly phases: ReadonlyArray<CampaignPhase>
}

/** With a filter, a list looks at no more campaigns than these: a table of millions must not be read for one page. */
export const MAX_LIST_SCAN = 10_000

/** What a list found. */
export interface FoundCampaigns {
  readonly campaigns: ReadonlyArray<Campaign>
  /** Where the next page begins: `beforeId` for it; `undefined`: there is none. */
  readonly nextBeforeId: CampaignId | undefined
}

/** The only truth: campaigns and coupons. Everything here is durable when its effect succeeds. */
export class Ledger extends Context.Tag("coupon/issuance/Ledger")<Ledger, {
  /**
   * Stores a campaign (status ACTIVE, version 1, nothing issued), with its row in the admin audit by the fiber's `Actor`, and
   * returns it as stored. `CommitInDoubt`: it may have been stored; `resolveChange` tells, if `changeId` was given.
   */
  readonly createCampaign: (draft: CampaignDraft, changeId?: string) => Effect.Effect<Campaign, LedgerUnavailable | CommitInDoubt>

  /**
   * Applies a change under the lock of the campaign's row: settings, version + 1, the event for the gates and the row of the
   * admin audit, by the fiber's `Actor`, are one transaction. No claim is decided by the old settings once this returns. A raised
   * limit must have been announced before.
   */
  readonly changeCampaign: (change: CampaignChange) => Effect.Effect<ChangeVerdict, LedgerUnavailable | CommitInDoubt>

  /**
   * Settles a change or creation in doubt for good: forbids it by a VOID marker under its id (waiting for a transaction that
   * is still alive), then looks for its row in the audit. Returns the campaign as it is now if it was made, `undefined` if it
   * was not and never will be. Safe to repeat until it succeeds.
   */
  readonly resolveChange: (changeId: string) => Effect.Effect<Campaign | undefined, LedgerUnavailable>

  /**
   * Makes `announcedLimit` of a campaign at least this, until its next change; nothing, if it is not at `version`. May have
   * happened even if it fails, which does no harm.
   */
  readonly announceRaise: (campaignId: CampaignId, version: number, couponLimit: number) => Effect.Effect<void, LedgerUnavailable>

  /**
   * A page of at most `limit` campaigns, newest first. With a filter it looks at `MAX_LIST_SCAN` campaigns at most and may hold fewer,
   * even none, before the last page; the pages together hold each campaign that matches once.
   */
  readonly listCampaigns: (query: CampaignQuery) => Effect.Effect<FoundCampaigns, LedgerUnavailable>

  /** When these campaigns start, in no particular order; one that does not exist is absent. At most 2,000. */
  readonly startTimes: (
    campaignIds: ReadonlyArray<CampaignId>
  ) => Effect.Effect<ReadonlyArray<{ readonly campaignId: CampaignId; readonly startTime: EpochMillis }>, LedgerUnavailable>

  /** The campaign as it is now, or `undefined`. */
  readonly findCampaign: (campaignId: CampaignId) => Effect.Effect<Campaign | undefined, LedgerUnavailable>

  /** Ids of the newest campaigns, newest first, at most `limit`. */
  readonly newestCampaignIds: (limit: number) => Effect.Effect<ReadonlyArray<CampaignId>, LedgerUnavailable>

  /**
   * Commits coupons, the campaign's counter and the outbox event of a batch in one transaction (PROTOCOL, "Ledger"), and
   * returns one verdict a claim, in the order of `batch.claims`. Never issues beyond the limit, outside the window by
   * the ledger's own clock, or twice to a user. Deadlocks, lock timeouts and code collisions are retried inside (with
   * fresh codes for the latter, so trust the coupon's code, not the claim's). Fails with `LedgerUnavailable` if nothing
   * can have been committed, else with `CommitInDoubt`. Uninterruptible once the batch is sent.
   */
  readonly issue: (batch: ClaimBatch) => Effect.Effect<ReadonlyArray<ClaimVerdict>, LedgerUnavailable | CommitInDoubt>

  /**
   * Settles an in-doubt batch for good: forbids it by a VOID marker under its batch id (waiting for a transaction that is
   * still alive), then reads what each user holds. One verdict a claim, in order. Safe to repeat until it succeeds.
   */
  readonly resolve: (batch: ClaimBatch) => Effect.Effect<ReadonlyArray<ResolvedVerdict>, LedgerUnavailable>

  /** The coupons that these users hold, in no particular order; a user without one is absent. At most 1,000 users. */
  readonly findCoupons: (
    campaignId: CampaignId,
    userIds: ReadonlyArray<UserId>
  ) => Effect.Effect<ReadonlyArray<Coupon>, LedgerUnavailable>

  /** Coupons with `id > afterId` in ascending order of id, at most `limit`: a page of keyset pagination. */
  readonly listCoupons: (
    campaignId: CampaignId,
    afterId: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<Coupon>, LedgerUnavailable>

  /** Issued, unrelayed and version in one statement, so that no commit falls between the two; `undefined`: no such campaign. */
  readonly tally: (campaignId: CampaignId) => Effect.Effect<IssuedTally | undefined, LedgerUnavailable>
}>() {}
