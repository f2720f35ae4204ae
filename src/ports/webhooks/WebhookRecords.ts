import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { CampaignId } from "../../domain/CampaignId.ts"
import type { ChangeRecord } from "../../domain/ChangeRecord.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { WebhookId, WebhookPosition } from "../../domain/webhooks/Webhook.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../Ledger.ts"
import type { WebhookAttempt } from "./WebhookCursors.ts"

/** An attempt as it was noted. */
export interface NotedAttempt extends WebhookAttempt {
  /** Ascending with time, with gaps. */
  readonly id: number
  readonly campaignId: CampaignId
  readonly at: EpochMillis
}

/** A batch that was set aside. */
export interface ParkedDelivery {
  /** Ascending with time, with gaps. */
  readonly id: number
  readonly endpointId: WebhookId
  readonly campaignId: CampaignId
  readonly from: WebhookPosition
  readonly to: WebhookPosition
  readonly reason: string
  readonly parkedAt: EpochMillis
  /** It is to be sent again: an operator has asked for it. */
  readonly isDue: boolean
}

/** A parked delivery that an instance sends again. */
export interface HeldParked extends ParkedDelivery {
  readonly token: number
}

/** What is kept of deliveries besides the cursors: attempts, and what was set aside. */
export class WebhookRecords extends Context.Tag("coupon/ports/WebhookRecords")<WebhookRecords, {
  /** Attempts with `id < beforeId` (`undefined`: from the newest on), the newest first. */
  readonly attempts: (query: {
    readonly endpointId: WebhookId
    readonly campaignId: CampaignId | undefined
    readonly beforeId: number | undefined
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<NotedAttempt>, LedgerUnavailable>
  /** Notes an attempt that moved no cursor. */
  readonly note: (
    endpointId: WebhookId,
    campaignId: CampaignId,
    attempt: WebhookAttempt
  ) => Effect.Effect<void, LedgerUnavailable>
  /** Removes attempts older than `olderThanMillis`, and of an endpoint those beyond its newest `keep`. */
  readonly purge: (olderThanMillis: number, keep: number) => Effect.Effect<void, LedgerUnavailable>
  /** Parked deliveries with `id > afterId`, the oldest first. */
  readonly parked: (query: {
    readonly endpointId: WebhookId
    readonly afterId: number
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<ParkedDelivery>, LedgerUnavailable>
  /** Has parked deliveries sent again: these, or all (`undefined`). One transaction with its row in the audit log. */
  readonly retry: (request: ChangeRecord & {
    readonly endpointId: WebhookId
    readonly ids: ReadonlyArray<number> | undefined
  }) => Effect.Effect<number, LedgerUnavailable | CommitInDoubt>
  /** Endpoints with parked deliveries that are due and free. */
  readonly dueParked: Effect.Effect<ReadonlyArray<WebhookId>, LedgerUnavailable>
  /** Takes the oldest parked delivery of an endpoint that is due and free. */
  readonly claimParked: (
    endpointId: WebhookId,
    owner: string,
    leaseMillis: number
  ) => Effect.Effect<HeldParked | undefined, LedgerUnavailable>
  /** Removes one that was delivered, or sets it aside again for a reason; nothing if it changed hands. */
  readonly settleParked: (held: HeldParked, failed: string | undefined) => Effect.Effect<void, LedgerUnavailable>
}>() {}
