import * as Effect from "effect/Effect"
import type { CampaignId } from "../../domain/CampaignId.ts"
import { changeBy } from "../../domain/ChangeRecord.ts"
import type { WebhookId } from "../../domain/webhooks/Webhook.ts"
import type { LedgerUnavailable } from "../../ports/Ledger.ts"
import type { HeldCursor, WebhookCursors } from "../../ports/webhooks/WebhookCursors.ts"
import type { Batch } from "./BatchReader.ts"
import { ACTOR } from "./EndpointHealth.ts"
import { webhooks } from "./WebhookMetrics.ts"

/** Counts and logs events that an endpoint will never get, because retention has removed them. */
export const note = (endpointId: WebhookId, campaignId: CampaignId, count: number): Effect.Effect<void> =>
  Effect.zipRight(
    Effect.sync(() => webhooks.skipped.add(count)),
    Effect.logWarning("a webhook goes past events that EVENT_RETENTION has removed").pipe(
      Effect.annotateLogs({ event: "webhook.skipped", endpoint: endpointId, campaignId, events: count })
    )
  )

/** Moves a cursor past removed events, with a row in the audit log; `false`: it is not held any more. */
export const skip = (
  cursors: WebhookCursors["Type"],
  held: HeldCursor,
  { lost, to }: Batch
): Effect.Effect<boolean, LedgerUnavailable> =>
  Effect.tap(
    cursors.skip(held, to, changeBy(ACTOR)),
    (isHeld) => isHeld ? note(held.endpointId, held.campaignId, lost) : Effect.void
  )
