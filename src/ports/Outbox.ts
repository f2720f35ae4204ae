import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { CampaignId, CampaignTerms } from "../domain/Campaign.ts"
import type { Coupon } from "../domain/Coupon.ts"
import type { LedgerUnavailable } from "./Ledger.ts"

/** A fact that the ledger committed and that the gate does not have yet. */
export type OutboxEvent =
  | {
    readonly _tag: "Issued"
    readonly id: string
    readonly campaignId: CampaignId
    readonly coupons: ReadonlyArray<Coupon>
  }
  | { readonly _tag: "Changed"; readonly id: string; readonly campaignId: CampaignId; readonly terms: CampaignTerms }

/** What waits in the outbox; VOID markers do not count. */
export interface OutboxBacklog {
  readonly events: number
  /** Age of the oldest event in milliseconds, by the ledger's clock; 0 if there is none. */
  readonly oldestAgeMillis: number
}

/** What a poll did. */
export interface Polled {
  readonly taken: number
  readonly settled: number
  /** Campaigns whose logs got events. */
  readonly appended: ReadonlyArray<CampaignId>
}

/** Events, each committed together with the fact that it announces. Delivered at least once, in no particular order. */
export class Outbox extends Context.Tag("coupon/issuance/Outbox")<Outbox, {
  /**
   * Takes at most `limit` events that no other instance is publishing right now, hands them to `publish`, and deletes
   * those whose ids it returns; the others stay for a later poll. If `publish` fails, all stay. Events of the campaigns
   * `except` are left for a later poll.
   *
   * In the transaction that deletes them, the event log of every campaign whose events were taken gets what it lacks,
   * also if nothing of it was settled, and those of `except` too (`EventLog`).
   */
  readonly poll: <E, R>(
    limit: number,
    publish: (events: ReadonlyArray<OutboxEvent>) => Effect.Effect<ReadonlyArray<string>, E, R>,
    except?: ReadonlyArray<CampaignId>
  ) => Effect.Effect<Polled, LedgerUnavailable | E, R>

  readonly backlog: Effect.Effect<OutboxBacklog, LedgerUnavailable>

  /** What waits of one campaign; looks at all that waits. */
  readonly backlogOf: (campaignId: CampaignId) => Effect.Effect<OutboxBacklog, LedgerUnavailable>

  /** Deletes VOID markers older than `olderThanMillis`, at most 1,000; returns how many. */
  readonly purgeVoid: (olderThanMillis: number) => Effect.Effect<number, LedgerUnavailable>
}>() {}
