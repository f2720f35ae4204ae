import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { CampaignId } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import type { ClaimRejection } from "../domain/Failure.ts"
import type { EpochMillis } from "../domain/Time.ts"

/**
 * The ledger could not be reached, or rejected it, *before* anything can have been committed: the operation did not
 * happen and never will. `cause` is for the log.
 */
export class LedgerUnavailable extends Data.TaggedError("LedgerUnavailable")<{
  readonly cause: unknown
  /**
   * Its server cannot be reached. Connecting to it logs that, so a line for each failed operation would say no more.
   */
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

/**
 * The ledger's answer to one claim: the coupon that this batch committed, or the reason there is none. `NotIssued`: the
 * user held a coupon at the commit and was erased right after it. The claim did nothing and never will.
 */
export type ClaimVerdict =
  | {
    readonly _tag: "Issued"
    readonly coupon: Coupon
    /** The version of the campaign's newest validity at the commit, which is the coupon's; `undefined`: it has none. */
    readonly validity: number | undefined
  }
  | { readonly _tag: "Rejected"; readonly reason: ClaimRejection }
  | { readonly _tag: "NotIssued" }

/** The answer to one claim of an in-doubt batch: `NotIssued` means it did not happen and never can. */
export type ResolvedVerdict =
  | { readonly _tag: "Issued"; readonly coupon: Coupon }
  | { readonly _tag: "HeldAlready"; readonly coupon: Coupon }
  | { readonly _tag: "NotIssued" }

/** When coupons were issued: from then on, and before then; `undefined`: at any time. */
export interface IssueWindow {
  readonly from: EpochMillis | undefined
  readonly before: EpochMillis | undefined
}

/** Which coupons of a campaign to read: a stretch of numbers, both ends included. */
export interface CouponStretch extends IssueWindow {
  readonly campaignId: CampaignId
  readonly firstId: number
  readonly lastId: number
  /** The last one first. */
  readonly descending: boolean
  readonly limit: number
}

/** Which coupons of a user to read, in the order of their campaigns. */
export interface UserCoupons extends IssueWindow {
  readonly userId: UserId
  /** Beyond this campaign in the direction of the list; `undefined`: from its beginning. */
  readonly position: CampaignId | undefined
  /** The newest campaign first. */
  readonly descending: boolean
  readonly limit: number
}

/** Of a user's coupons one read looks at so many campaigns, each of which is a look-up by key. */
export const MAX_CAMPAIGNS_LOOKED_AT = 1_000

/** What a read of a user's coupons found. */
export interface FoundUserCoupons {
  readonly coupons: ReadonlyArray<Coupon>
  /** Where the next read goes on: `position` for it; `undefined`: there are no more campaigns. */
  readonly next: CampaignId | undefined
}

/** How far the gate may lag behind the ledger, read in one statement. */
export interface IssuedTally {
  /** `current_coupon`: coupons issued. */
  readonly issued: number
  /** Coupons of outbox events that the relay has not settled yet. */
  readonly unrelayed: number
  /** The version of the campaign's terms. */
  readonly version: number
}

/**
 * The only truth about coupons. Campaigns are in `CampaignStore`. Everything here is durable when its effect succeeds.
 */
export class Ledger extends Context.Tag("coupon/issuance/Ledger")<Ledger, {
  /**
   * Commits coupons, the campaign's counter and the outbox event of a batch in one transaction
   * (docs/internals/protocol.md, "Ledger"), and returns one verdict a claim, in the order of `batch.claims`. Never
   * issues beyond the limit, outside the window by the ledger's own clock, or twice to a user. Deadlocks, lock timeouts
   * and code collisions are retried inside (with fresh codes for the latter, so trust the coupon's code, not the
   * claim's). Fails with `LedgerUnavailable` if nothing can have been committed, else with `CommitInDoubt`.
   * Uninterruptible once the batch is sent.
   */
  readonly issue: (batch: ClaimBatch) => Effect.Effect<ReadonlyArray<ClaimVerdict>, LedgerUnavailable | CommitInDoubt>

  /**
   * Settles an in-doubt batch for good: forbids it by a VOID marker under its batch id (waiting for a transaction that
   * is still alive), then reads what each user holds. One verdict a claim, in order. Safe to repeat until it succeeds.
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

  /** The coupons of the stretch that were issued in the window, in order, at most `limit`. Reads all of the stretch. */
  readonly couponsAmong: (stretch: CouponStretch) => Effect.Effect<ReadonlyArray<Coupon>, LedgerUnavailable>

  /**
   * A user's coupons in all campaigns, at most `limit`, by the keys that claims keep: it asks for each campaign, so a
   * read ends after `MAX_CAMPAIGNS_LOOKED_AT` and may have found none before the last one.
   */
  readonly couponsOfUser: (query: UserCoupons) => Effect.Effect<FoundUserCoupons, LedgerUnavailable>

  /** The coupon that has this code, letter for letter. */
  readonly findByCode: (campaignId: CampaignId, code: string) => Effect.Effect<Coupon | undefined, LedgerUnavailable>

  /**
   * Issued, unrelayed and version in one statement, so that no commit falls between the two; `undefined`: no such
   * campaign.
   */
  readonly tally: (campaignId: CampaignId) => Effect.Effect<IssuedTally | undefined, LedgerUnavailable>
}>() {}
