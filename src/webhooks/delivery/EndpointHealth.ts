import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { named } from "../../domain/Actor.ts"
import { changeBy } from "../../domain/ChangeRecord.ts"
import type { WebhookEndpoint } from "../../domain/webhooks/Webhook.ts"
import { webhooks } from "./WebhookMetrics.ts"
import type { LedgerUnavailable } from "../../ports/Ledger.ts"
import type { WebhookEndpoints } from "../../ports/webhooks/WebhookEndpoints.ts"
import type { Outcome } from "./Outbound.ts"

/** After so long without a single good delivery an endpoint is disabled. */
const FAILING_FOR = Duration.days(5)

/** As whom the audit log has what the service does by itself. */
export const ACTOR = named("webhooks")

const GONE = "the receiver answered 410: it wants nothing any more"
const FAILED = "no delivery has succeeded for five days"

/** Follows how endpoints do, and disables those that are gone for good. */
export const make = (endpoints: WebhookEndpoints["Type"]) => {
  const disable = (endpoint: WebhookEndpoint, reason: string): Effect.Effect<void, LedgerUnavailable> =>
    Effect.gen(function*() {
      const disabledAt = yield* endpoints.now
      const to = { ...endpoint, status: "DISABLED" as const, reason, disabledAt }
      // In doubt, the next failure tries again.
      const done = yield* Effect.catchTag(
        endpoints.change({ ...changeBy(ACTOR), action: "webhook.disable", from: endpoint, to }),
        "CommitInDoubt",
        () => Effect.succeed(false)
      )
      if (!done) return
      webhooks.disabled.add()
      yield* Effect.logWarning(`a webhook endpoint is disabled: ${reason}`).pipe(
        Effect.annotateLogs({ event: "webhook.disabled", endpoint: endpoint.id, host: new URL(endpoint.url).host })
      )
    })

  return {
    failed: (endpoint: WebhookEndpoint, { isGone }: Outcome): Effect.Effect<void, LedgerUnavailable> =>
      Effect.gen(function*() {
        if (isGone) return yield* disable(endpoint, GONE)
        if (endpoint.failingSince === undefined) return yield* endpoints.noteFailing(endpoint.id, true)
        const now = yield* Clock.currentTimeMillis
        if (now - endpoint.failingSince >= Duration.toMillis(FAILING_FOR)) yield* disable(endpoint, FAILED)
      }),
    /** `hadFailed`: it may be noted as failing, and `endpoint` may be too old to know. */
    delivered: (endpoint: WebhookEndpoint, hadFailed: boolean): Effect.Effect<void> =>
      endpoint.failingSince === undefined && !hadFailed
        ? Effect.void
        : Effect.ignore(endpoints.noteFailing(endpoint.id, false))
  }
}
