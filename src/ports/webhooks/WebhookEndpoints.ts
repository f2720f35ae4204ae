import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { ChangeRecord } from "../../domain/ChangeRecord.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { WebhookEndpoint, WebhookId } from "../../domain/webhooks/Webhook.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../Ledger.ts"

/** A change of an endpoint, and how the audit log has it. */
export interface WebhookChange extends ChangeRecord {
  /** E.g. `webhook.update`. */
  readonly action: string
  /** What it was decided on: it applies only while the endpoint is at that version. */
  readonly from: WebhookEndpoint
  /** Its version is not read: it becomes the next one. */
  readonly to: WebhookEndpoint
}

/** The endpoints of webhooks. Each write is one transaction with its row in the audit log, which has no secret. */
export class WebhookEndpoints extends Context.Tag("coupon/ports/WebhookEndpoints")<WebhookEndpoints, {
  /** The ledger's clock. */
  readonly now: Effect.Effect<EpochMillis, LedgerUnavailable>
  /** Every endpoint, the oldest first. */
  readonly all: Effect.Effect<ReadonlyArray<WebhookEndpoint>, LedgerUnavailable>
  /** Stores one; `false`: there are `MAX_WEBHOOKS` already, and nothing was done. */
  readonly create: (
    endpoint: WebhookEndpoint,
    record: ChangeRecord
  ) => Effect.Effect<boolean, LedgerUnavailable | CommitInDoubt>
  /**
   * Applies a change; `false`: the endpoint is not at that version, or gone. Positions in campaigns that it leaves are
   * removed. When it is enabled or gets another URL, what has failed is tried again at once.
   */
  readonly change: (change: WebhookChange) => Effect.Effect<boolean, LedgerUnavailable | CommitInDoubt>
  /** Removes one with its positions, attempts and parked deliveries; `false`: as with `change`. */
  readonly remove: (
    endpoint: WebhookEndpoint,
    record: ChangeRecord
  ) => Effect.Effect<boolean, LedgerUnavailable | CommitInDoubt>
  /** Seals secrets anew, under another key: nothing changes for others, so no row and no version. */
  readonly reseal: (endpoint: WebhookEndpoint, sealed: ReadonlyArray<string>) => Effect.Effect<void, LedgerUnavailable>
  /** Notes since when deliveries fail, unless that is noted, or that one has succeeded. */
  readonly noteFailing: (id: WebhookId, failing: boolean) => Effect.Effect<void, LedgerUnavailable>
}>() {}
