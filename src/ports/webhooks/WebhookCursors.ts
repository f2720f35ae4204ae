import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { CampaignId } from "../../domain/CampaignId.ts"
import type { ChangeRecord } from "../../domain/ChangeRecord.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { WebhookId, WebhookPosition } from "../../domain/webhooks/Webhook.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../Ledger.ts"

/** An endpoint's cursor in a campaign's log. */
export interface WebhookCursor {
  readonly endpointId: WebhookId
  readonly campaignId: CampaignId
  readonly position: WebhookPosition
  /** Attempts in a row that failed, all of the same batch. */
  readonly failures: number
  /** Where the batch that failed ends; `undefined`: none did. */
  readonly end: WebhookPosition | undefined
}

/** A cursor that an instance holds: no other may move it. `token` goes up each time that it changes hands. */
export interface HeldCursor extends WebhookCursor {
  readonly token: number
}

/** A cursor that was not to be had. */
export interface OtherCursor extends WebhookCursor {
  /** When to ask again: when its lease ends, or its pause after a failure. */
  readonly waitMillis: number
}

/** What a delivery has come to, as it is kept for operators. */
export interface WebhookAttempt {
  readonly from: WebhookPosition
  readonly to: WebhookPosition
  /** How many requests it stands for: good ones are summed up. */
  readonly requests: number
  readonly events: number
  readonly result: "DELIVERED" | "FAILED" | "PARKED"
  /** The last HTTP status; `undefined`: no answer came. */
  readonly status: number | undefined
  /** Why it failed, for operators; empty if it did not. */
  readonly reason: string
  /** The beginning of the receiver's answer. */
  readonly answer: string
  readonly tookMillis: number
}

/** The most deliveries that an endpoint has set aside. */
export const MAX_PARKED = 10_000

/**
 * How far each endpoint has got in each campaign's log, and which instance delivers: one row each, and a lease on it.
 * What moves a cursor names its token; it does nothing if the cursor has changed hands since.
 */
export class WebhookCursors extends Context.Tag("coupon/ports/WebhookCursors")<WebhookCursors, {
  /**
   * Takes the cursors of these campaigns that are free and due, in this order, as long as no more than `concurrency` of
   * the endpoint are held by all instances together; none of an endpoint that is not enabled. A cursor that does not
   * exist is made: before the first event at or after `since`. At most 100 campaigns.
   */
  readonly claim: (request: {
    readonly endpointId: WebhookId
    readonly campaigns: ReadonlyArray<{ readonly campaignId: CampaignId; readonly since: EpochMillis }>
    readonly concurrency: number
    readonly owner: string
    readonly leaseMillis: number
  }) => Effect.Effect<
    { readonly held: ReadonlyArray<HeldCursor>; readonly others: ReadonlyArray<OtherCursor> },
    LedgerUnavailable
  >
  /** Extends leases, and returns those that are still held. At most 1,000. */
  readonly renew: (
    held: ReadonlyArray<HeldCursor>,
    leaseMillis: number
  ) => Effect.Effect<ReadonlyArray<HeldCursor>, LedgerUnavailable>
  /** Moves a held cursor on after good answers, with a note of them; `false`: it is not held any more. */
  readonly advance: (
    held: HeldCursor,
    position: WebhookPosition,
    attempt: WebhookAttempt | undefined
  ) => Effect.Effect<boolean, LedgerUnavailable>
  /** Notes that the batch up to `end` has failed, and gives the cursor back; it is due again after `waitMillis`. */
  readonly fail: (
    held: HeldCursor,
    failure: {
      readonly position: WebhookPosition
      readonly end: WebhookPosition
      readonly failures: number
      readonly waitMillis: number
      readonly attempt: WebhookAttempt
    }
  ) => Effect.Effect<void, LedgerUnavailable>
  /** Sets the batch up to `attempt.to` aside and moves on; `Full`: there are `MAX_PARKED`, and nothing was done. */
  readonly park: (
    held: HeldCursor,
    attempt: WebhookAttempt
  ) => Effect.Effect<"Parked" | "Full" | "Lost", LedgerUnavailable>
  /**
   * Cursors that no instance holds and that are due after a failure, or were set back by `replay`; the earliest first,
   * at most `limit`.
   */
  readonly due: (limit: number) => Effect.Effect<ReadonlyArray<WebhookCursor>, LedgerUnavailable>
  /**
   * Moves a held cursor past events that retention has removed, with a row in the audit log; `false`: it is not held
   * any more. Of a cursor that is there already, or beyond, it does nothing.
   */
  readonly skip: (
    held: HeldCursor,
    to: WebhookPosition,
    record: ChangeRecord
  ) => Effect.Effect<boolean, LedgerUnavailable>
  /**
   * The sequence after which enabled endpoints still need a campaign's events, for their cursors, for what they would
   * begin with, or for what they have set aside; `undefined`: no endpoint needs any.
   */
  readonly neededAfter: (campaignId: CampaignId) => Effect.Effect<number | undefined, LedgerUnavailable>
  /** Gives a cursor back that has nothing left to deliver, or leaves the rest to a later turn. */
  readonly release: (held: HeldCursor) => Effect.Effect<void, LedgerUnavailable>
  /**
   * Sets a cursor so that the events after `sequence` are delivered next, of those that retention has not removed, and
   * takes it from the instance that holds it. One transaction with its row in the audit log.
   */
  readonly replay: (request: ChangeRecord & {
    readonly endpointId: WebhookId
    readonly campaignId: CampaignId
    readonly sequence: number
  }) => Effect.Effect<void, LedgerUnavailable | CommitInDoubt>
}>() {}
