import * as Effect from "effect/Effect"
import type { WebhookEndpoint, WebhookId } from "../../domain/webhooks/Webhook.ts"
import { webhooks } from "./WebhookMetrics.ts"
import type { LedgerUnavailable } from "../../ports/Ledger.ts"
import type { WebhookRecords } from "../../ports/webhooks/WebhookRecords.ts"
import * as BatchReader from "./BatchReader.ts"
import type * as EndpointHealth from "./EndpointHealth.ts"
import type { LaneServices } from "./Lane.ts"
import * as LostEvents from "./LostEvents.ts"
import * as Outbound from "./Outbound.ts"

/** Longer than a request takes. */
const LEASE_MILLIS = 30_000

export interface ParkedLaneServices extends LaneServices {
  readonly records: WebhookRecords["Type"]
  readonly health: ReturnType<typeof EndpointHealth.make>
  /** The endpoint as it is; `undefined`: it is disabled or removed, and gets nothing. */
  readonly enabled: (id: WebhookId) => WebhookEndpoint | undefined
}

/**
 * Sends parked deliveries of an endpoint again that an operator has asked for, one after the other. What fails is set
 * aside again; what retention has removed meanwhile is left out. It does not wait for the endpoint's cursors, nor they
 * for it. It ends with the answer 410 or when the endpoint is disabled, and what is still due stays so.
 */
export const run = (
  { box, enabled, expiry, health, ledger, log, records, sender }: ParkedLaneServices,
  id: WebhookId,
  owner: string
): Effect.Effect<void, LedgerUnavailable> =>
  Effect.gen(function*() {
    for (let isGone = false; !isGone;) {
      const endpoint = enabled(id)
      if (endpoint === undefined) return
      const held = yield* records.claimParked(endpoint.id, owner, LEASE_MILLIS)
      if (held === undefined) return
      const { campaignId, from, to } = held
      const reader = BatchReader.make({ expiry, ledger, log }, endpoint, campaignId, from)
      let failed: string | undefined
      for (;;) {
        // More than one, if the endpoint gets single coupons since.
        const batch = yield* reader.next(to)
        if (batch === undefined || failed !== undefined) break
        if (batch.lost > 0) {
          // The reader may have gone beyond the end: what is there was never set aside.
          const lost = Math.min(batch.to.sequence, to.number > 0 ? to.sequence + 1 : to.sequence) - batch.from.sequence
          yield* LostEvents.note(endpoint.id, campaignId, lost)
        }
        if (batch.body === undefined) continue
        const outcome = yield* Outbound.send(
          { box, sender },
          endpoint,
          Outbound.idOf(endpoint.id, campaignId, batch),
          batch.body
        )
        if (outcome.isDelivered) {
          webhooks.delivered.add()
          yield* health.delivered(endpoint, true)
          yield* records.note(endpoint.id, campaignId, {
            ...Outbound.failedAttempt(batch, outcome, "PARKED"),
            result: "DELIVERED"
          })
        } else {
          webhooks.parked.add()
          failed = outcome.reason
          isGone = outcome.isGone
          yield* records.note(endpoint.id, campaignId, Outbound.failedAttempt(batch, outcome, "PARKED"))
          // That it fails again says nothing about the endpoint: it was set aside because it failed.
          if (isGone) yield* health.failed(endpoint, outcome)
        }
      }
      yield* records.settleParked(held, failed)
    }
  })
