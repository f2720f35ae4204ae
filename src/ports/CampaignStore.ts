import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { Campaign, CampaignDraft, CampaignId, CampaignSettings, CampaignStatus } from "../domain/Campaign.ts"
import type { ChangeRecord } from "../domain/ChangeRecord.ts"
import type { CampaignPhase } from "../domain/CampaignPhase.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { CommitInDoubt, LedgerUnavailable } from "./Ledger.ts"

/** The call that a campaign was made by, of which there is one for good. */
export interface CreationRequest {
  /** 1 to 64 characters, compared byte by byte. */
  readonly id: string
  /** The SHA-256 of what was asked for, as 64 lower-case hexadecimal digits. */
  readonly content: string
}

/** A new campaign. */
export interface CampaignCreation extends ChangeRecord {
  readonly draft: CampaignDraft
  /** `undefined`: the caller has given the call no id. */
  readonly request: CreationRequest | undefined
}

/** A campaign was made by a call of this id before, which `findCreated` finds: nothing was stored, now or later. */
export class RequestRepeated extends Data.TaggedError("RequestRepeated") {}

/** A change of a campaign's settings. */
export interface CampaignChange extends ChangeRecord {
  /** What was done, for the audit log: `campaign.pause`. */
  readonly action: string
  /** The campaign that the change was decided on; it applies only while the campaign is at that version. */
  readonly from: Campaign
  readonly to: CampaignSettings
}

/**
 * `Changed`: here it is as stored. `Stale`: the campaign is at another version. `BelowIssued`: more are issued than the
 * new limit.
 */
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
  /** These campaigns alone, at most 100; `undefined`: any. */
  readonly only?: ReadonlySet<CampaignId> | undefined
}

/** With a filter, a list looks at no more campaigns than these: a table of millions must not be read for one page. */
export const MAX_LIST_SCAN = 10_000

/** What a list found. */
export interface FoundCampaigns {
  readonly campaigns: ReadonlyArray<Campaign>
  /** Where the next page begins: `beforeId` for it; `undefined`: there is none. */
  readonly nextBeforeId: CampaignId | undefined
}

/** The campaigns of the ledger. Everything here is durable when its effect succeeds. */
export class CampaignStore extends Context.Tag("coupon/issuance/CampaignStore")<CampaignStore, {
  /**
   * Stores a campaign (status ACTIVE, version 1, nothing issued), with its row in the audit log and its request's id,
   * and returns it as stored. Of calls with one id, at whatever instances, one succeeds. `CommitInDoubt`: it may have
   * been stored; `resolveChange` settles it.
   */
  readonly create: (
    creation: CampaignCreation
  ) => Effect.Effect<Campaign, LedgerUnavailable | CommitInDoubt | RequestRepeated>

  /** The campaign, as it is now, that a call of this id has made, and what that call asked for; `undefined`: none. */
  readonly findCreated: (
    requestId: string
  ) => Effect.Effect<
    { readonly campaign: Campaign; readonly content: CreationRequest["content"] } | undefined,
    LedgerUnavailable
  >

  /**
   * Applies a change under the lock of the campaign's row: settings, version + 1, the event for the gates and the row
   * of the audit log are one transaction. No claim is decided by the old settings once this returns. A raised limit
   * must have been announced before. `CommitInDoubt`: it may have been made; `resolveChange` settles it.
   */
  readonly change: (change: CampaignChange) => Effect.Effect<ChangeVerdict, LedgerUnavailable | CommitInDoubt>

  /**
   * Settles a change or creation in doubt for good: forbids it by a VOID marker under its id (waiting for a transaction
   * that is still alive), then looks for its row in the audit log. Returns the campaign as it is now if it was made,
   * `undefined` if it was not and never will be. Safe to repeat until it succeeds.
   */
  readonly resolveChange: (changeId: string) => Effect.Effect<Campaign | undefined, LedgerUnavailable>

  /**
   * Makes `announcedLimit` of a campaign at least this, until its next change; nothing, if it is not at `version`. May
   * have happened even if it fails, which does no harm.
   */
  readonly announceRaise: (
    campaignId: CampaignId,
    version: number,
    couponLimit: number
  ) => Effect.Effect<void, LedgerUnavailable>

  /** The campaign as it is now, or `undefined`. */
  readonly find: (campaignId: CampaignId) => Effect.Effect<Campaign | undefined, LedgerUnavailable>

  /**
   * A page of at most `limit` campaigns, newest first. With a filter it looks at `MAX_LIST_SCAN` campaigns at most and
   * may hold fewer, even none, before the last page; the pages together hold each campaign that matches once.
   */
  readonly list: (query: CampaignQuery) => Effect.Effect<FoundCampaigns, LedgerUnavailable>

  /** When these campaigns start, in no particular order; one that does not exist is absent. At most 2,000. */
  readonly startTimes: (
    campaignIds: ReadonlyArray<CampaignId>
  ) => Effect.Effect<
    ReadonlyArray<{ readonly campaignId: CampaignId; readonly startTime: EpochMillis }>,
    LedgerUnavailable
  >

  /** Ids of the newest campaigns, newest first, at most `limit`. */
  readonly newestCampaignIds: (limit: number) => Effect.Effect<ReadonlyArray<CampaignId>, LedgerUnavailable>
}>() {}
