import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { OutboxRelay } from "../agents/outbox/OutboxRelay.ts"
import * as Backoff from "../base/Backoff.ts"
import type { Campaign } from "../domain/Campaign.ts"
import { Unavailable } from "../domain/Failure.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import { Gate } from "../ports/Gate.ts"

/** How whatever changes a campaign brings its terms to the gate (docs/internals/protocol.md, "Changing a campaign"). */
export interface GateTerms {
  /**
   * Announces a higher limit before it is made: first to the ledger, where a rebuild finds it, then to the gate. So the
   * gate's limit is never below the ledger's, and its SOLD_OUT is always a fact. If the gate cannot be reached, the
   * limit is not raised.
   */
  readonly announce: (campaign: Campaign, couponLimit: number) => Effect.Effect<void, Unavailable>
  /** Sends a campaign's terms to the gate and waits for a second at most. Continues when the caller leaves. */
  readonly spread: (campaign: Campaign) => Effect.Effect<void>
}

/** How long an answer waits for the gate to have the change. After that, the relay brings the change to the gate. */
const GATE_WAIT = Duration.seconds(1)
const untilConfigured = Backoff.schedule({ firstMillis: 10, lastMillis: 100 })

export const make: Effect.Effect<GateTerms, never, CampaignStore | Gate | OutboxRelay | Scope.Scope> = Effect.gen(
  function*() {
    const gate = yield* Gate
    const campaigns = yield* CampaignStore
    const relay = yield* OutboxRelay
    const scope = yield* Effect.scope
    const unavailable = ({ cause }: { readonly cause: unknown }) => new Unavailable({ retryAfterSeconds: 1, cause })

    return {
      announce: ({ campaignId, version, ...terms }, couponLimit) =>
        campaigns.announceRaise(campaignId, version, couponLimit).pipe(
          Effect.zipRight(gate.configure({ ...terms, campaignId, version, couponLimit })),
          Effect.mapError(unavailable)
        ),

      spread: (campaign) =>
        Effect.retry(gate.configure(campaign), untilConfigured).pipe(
          Effect.disconnect,
          Effect.timeout(GATE_WAIT),
          Effect.catchAll(() =>
            Effect.logWarning("the gate does not have a change yet; the relay will bring it").pipe(
              Effect.annotateLogs({ campaignId: campaign.campaignId, version: campaign.version })
            )
          ),
          Effect.zipLeft(relay.wake),
          Effect.forkIn(scope),
          Effect.flatMap(Fiber.join)
        )
    }
  }
)
