import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Actor } from "../domain/Actor.ts"
import { changeBy } from "../domain/ChangeRecord.ts"
import { AuditLog } from "../ports/AuditLog.ts"
import { Gate, GateUnavailable } from "../ports/Gate.ts"
import type { SinkUnavailable } from "../agents/outbox/CouponSinks.ts"
import { GateRebuilder } from "../agents/GateRebuilder.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../ports/Ledger.ts"
import { NotFound } from "../contract/OperatorErrors.ts"
import type { RebuildEvent } from "../contract/operator/Rebuild.ts"

type Event = typeof RebuildEvent.Type
type Failure = NotFound | CommitInDoubt | SinkUnavailable | LedgerUnavailable

/** The shortest time between two progress events. A page of 5,000 coupons takes about 15 ms. */
const PROGRESS_MILLIS = 100

/** Which gate is to be rebuilt, and who asks for it. `discard`: forget what the gate holds first. */
interface RebuildRequest {
  readonly campaignId: number
  readonly discard: boolean
  readonly actor: Actor
}

/**
 * Closes a gate, fills it again, and reports progress. The work belongs to the instance and not to the caller:
 * otherwise Ctrl-C would leave a half full gate, which delays claims until one of them has it rebuilt.
 */
export const make: Effect.Effect<
  (request: RebuildRequest) => Stream.Stream<Event, Failure, AuditLog | Gate | GateRebuilder | CampaignStore>,
  never,
  Scope.Scope
> = Effect.map(Effect.scope, (scope) => ({ actor, campaignId, discard }) =>
  Stream.unwrap(Effect.gen(function*() {
    const audit = yield* AuditLog
    const gate = yield* Gate
    const campaigns = yield* CampaignStore
    const rebuilder = yield* GateRebuilder
    const events = yield* Mailbox.make<Event, Failure>()
    const tell = (event: Event) => void events.unsafeOffer(event)

    const work = Effect.gen(function*() {
      const began = performance.now()
      const campaign = yield* campaigns.find(campaignId)
      if (campaign === undefined) return yield* new NotFound({ message: `there is no campaign ${campaignId}` })
      tell({ _tag: "Started", campaignId, coupons: campaign.issuedCount })
      const { condition, generation, hydrated } = yield* gate.inspect(campaignId)
      const act = { action: "gate.rebuild", campaignId, before: undefined, after: { discard } }
      yield* audit.append({ ...changeBy(actor), ...act, outcome: "DONE" })
      yield* Effect.annotateLogs(
        Effect.logWarning("an operator has the gate rebuilt from the ledger"),
        { campaignId, discard }
      )
      if (discard || condition === "Broken") yield* gate.forget(campaignId)
      else if (hydrated && generation !== undefined) yield* gate.cold(campaignId, generation)
      let reportedAt = Number.NEGATIVE_INFINITY
      let rebuilt: number | undefined
      const outcome = yield* rebuilder.runOnce(campaignId, (coupons, of) => {
        rebuilt = coupons
        if (performance.now() - reportedAt < PROGRESS_MILLIS) return
        reportedAt = performance.now()
        tell({ _tag: "Progress", coupons, of: Math.max(coupons, of) })
      })
      if (outcome === "Missing") return yield* new NotFound({ message: `there is no campaign ${campaignId}` })
      if (outcome === "Foreign") {
        return yield* new GateUnavailable({ cause: new Error("the gate's keys belong to another deployment") })
      }
      // This instance wrote nothing: a claim, or another instance, has started the rebuild before.
      if (rebuilt === undefined && campaign.issuedCount > 0) tell({ _tag: "Waiting" })
      const { issued } = yield* gate.inspect(campaignId)
      tell({ _tag: "Done", coupons: issued, tookMillis: Math.round(performance.now() - began) })
    })

    yield* Effect.forkIn(Mailbox.into(work, events), scope)
    return Mailbox.toStream(events)
  })))
