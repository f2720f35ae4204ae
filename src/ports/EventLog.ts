import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { CampaignId } from "../domain/CampaignId.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { LedgerUnavailable } from "./Ledger.ts"

/**
 * What an event says. `campaign.ended` is an end by an operator, or that the end time has passed. Later versions add
 * types, so a reader passes over those that it does not know.
 */
export type CampaignEventType =
  | "coupon.issued"
  | "coupon.redeemed"
  | "coupon.redemption_undone"
  | "coupon.revoked"
  | "campaign.created"
  | "campaign.updated"
  | "campaign.paused"
  | "campaign.resumed"
  | "campaign.ended"
  | "campaign.sold_out"
  | "codes.imported"
  | "codes.low"

/** Further facts of an event, a JSON object (docs/reference/events.md lists them); empty for `coupon.issued`. */
export type EventPayload = Readonly<Record<string, unknown>>

/** One event of a campaign. It never changes. */
export interface CampaignEvent {
  readonly campaignId: CampaignId
  /** 1, 2, 3, … within the campaign, without a gap, in the order of commit. */
  readonly sequence: number
  readonly type: CampaignEventType
  /**
   * `coupon.issued`: the coupons with exactly these numbers, first to last; each coupon is in one such event. 0 and 0
   * for every other type.
   */
  readonly firstNumber: number
  readonly lastNumber: number
  readonly payload: EventPayload
  /** When it happened, by the ledger's clock; of a range, when its last coupon was issued. */
  readonly at: EpochMillis
}

/** How far a campaign's log goes. */
export interface EventLogHead {
  readonly campaignId: CampaignId
  /** The sequence of its last event. */
  readonly sequence: number
  /** When that was appended, by the ledger's clock. */
  readonly movedAt: EpochMillis
}

/** What the logs lack. */
export interface EventLogLag {
  /** Commits: batches of coupons or redemptions, and changes of campaigns. */
  readonly commits: number
  /** Age of the oldest of them by the ledger's clock; 0: there is none. */
  readonly oldestAgeMillis: number
}

/**
 * Each campaign's log of events, in the ledger: what was committed, once each, in the order of commit. Reading is by
 * sequence alone, so a cursor is a number. Events stay unless `EVENT_RETENTION` removes the oldest.
 */
export class EventLog extends Context.Tag("coupon/issuance/EventLog")<EventLog, {
  /**
   * The events of a campaign after this sequence (0: from the first on), in order, at most `limit`. Empty: there are
   * none yet. If retention has removed some of them, the first one returned has a greater sequence than the next.
   */
  readonly read: (
    campaignId: CampaignId,
    afterSequence: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<CampaignEvent>, LedgerUnavailable>

  /** The sequence of the campaign's last event; 0: it has none, or does not exist. */
  readonly head: (campaignId: CampaignId) => Effect.Effect<number, LedgerUnavailable>

  /** The heads of these campaigns, in no particular order; one without events is absent. At most 2,000. */
  readonly heads: (
    campaignIds: ReadonlyArray<CampaignId>
  ) => Effect.Effect<ReadonlyArray<EventLogHead>, LedgerUnavailable>

  /**
   * Heads that moved at this time or later, the earliest first, at most `limit`: one look at an index, for readers that
   * follow all campaigns. A head may appear up to some seconds after its `movedAt`, so a reader looks back ten seconds
   * each time and compares sequences.
   */
  readonly movedSince: (
    since: EpochMillis,
    limit: number
  ) => Effect.Effect<ReadonlyArray<EventLogHead>, LedgerUnavailable>

  /**
   * Appends what the logs of these campaigns lack of what is committed. The relay does so in the transaction in which
   * it settles outbox events; this is for campaigns whose events it does not settle. Instances may append side by side:
   * each event is there once. Returns the campaigns that lacked something. May have happened even if it fails.
   */
  readonly append: (
    campaignIds: ReadonlyArray<CampaignId>
  ) => Effect.Effect<ReadonlyArray<CampaignId>, LedgerUnavailable>

  /**
   * Campaigns whose logs may lack something: of the `size` campaigns after this id, and those with events that have
   * waited in the outbox for a second. `nextAfterId`: where to look next; `undefined`: these were the last campaigns.
   */
  readonly lagging: (
    afterId: CampaignId,
    size: number
  ) => Effect.Effect<
    { readonly campaignIds: ReadonlyArray<CampaignId>; readonly nextAfterId: CampaignId | undefined },
    LedgerUnavailable
  >

  /** What is committed and not in the logs yet, of all campaigns. An end time that passes is no commit. */
  readonly lag: Effect.Effect<EventLogLag, LedgerUnavailable>

  /**
   * Removes the oldest events of the `size` campaigns after this id that are older than `olderThanMillis`, at most
   * 1,000 a campaign, and never one that comes after an event that stays. Sequences go on as if they were there.
   * `nextAfterId` as above.
   */
  readonly remove: (request: {
    readonly olderThanMillis: number
    readonly afterId: CampaignId
    readonly size: number
    /** The sequence after which a campaign's events are needed (`undefined`: none is); asked where some are old. */
    readonly neededAfter: (campaignId: CampaignId) => Effect.Effect<number | undefined, LedgerUnavailable>
    /** How much older than `olderThanMillis` an event that is needed has to be, until it is removed as well. */
    readonly graceMillis: number
  }) => Effect.Effect<
    { readonly removed: number; readonly nextAfterId: CampaignId | undefined },
    LedgerUnavailable
  >
}>() {}
