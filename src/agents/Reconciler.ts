import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type CampaignId, gateTerms } from "../domain/Campaign.ts"
import * as Agent from "./Agent.ts"
import { Gate, type GateState, type GateUnavailable } from "../ports/Gate.ts"
import { GateRebuilder } from "./GateRebuilder.ts"
import { HeldCoupons } from "./HeldCoupons.ts"
import * as GateMetrics from "../metrics/GateMetrics.ts"
import { KnownCampaigns } from "./KnownCampaigns.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import { type IssuedTally, Ledger, type LedgerUnavailable } from "../ports/Ledger.ts"

/**
 * What a comparison of a campaign's gate and ledger found: `Cold`: the gate needed a rebuild; `Lost`: it misses coupons
 * that the relay had confirmed (a failover's lost tail); `Ghosts`: it holds more than the ledger (which was restored to
 * an earlier state); `Broken`: it cannot be read, or has keys of another type, and was forgotten and rebuilt;
 * `Foreign`: it is another deployment's, and is left alone; `Outdated`: it had older terms (a lost tail took the newer
 * ones with it), and has the newest now; `Unknown`: the ledger has no such campaign.
 */
export type ReconcileVerdict = "Agrees" | "Cold" | "Lost" | "Ghosts" | "Broken" | "Foreign" | "Outdated" | "Unknown"

/** Compares gate and ledger, and has the gate rebuilt where they cannot both be right. Never changes the ledger. */
export class Reconciler extends Context.Tag("coupon/agents/Reconciler")<Reconciler, {
  /** Reconciles the campaigns with claims lately. */
  readonly runOnce: Effect.Effect<void, LedgerUnavailable | GateUnavailable>
  /** Reconciles every known campaign, also those at rest. */
  readonly reconcileAll: Effect.Effect<void, LedgerUnavailable | GateUnavailable>
  /** Reconciles one campaign. A rebuild that it asked for has ended when it returns. */
  readonly reconcile: (campaignId: CampaignId) => Effect.Effect<ReconcileVerdict, LedgerUnavailable | GateUnavailable>
}>() {}

export const make = Effect.gen(function*() {
  const gate = yield* Gate
  const campaigns = yield* CampaignStore
  const ledger = yield* Ledger
  const rebuilder = yield* GateRebuilder
  const held = yield* HeldCoupons
  const known = yield* KnownCampaigns

  const repair = (campaignId: CampaignId, verdict: ReconcileVerdict, facts: object) =>
    Effect.logWarning(`the gate disagrees with the ledger: ${verdict}; rebuilding it`).pipe(
      Effect.annotateLogs({ campaignId, ...facts }),
      Effect.zipRight(rebuilder.attempt(campaignId)),
      Effect.as(verdict)
    )

  const bringTerms = (campaignId: CampaignId, { version }: GateState, tally: IssuedTally) =>
    Effect.gen(function*() {
      const campaign = yield* campaigns.find(campaignId)
      if (campaign !== undefined) yield* gate.configure(gateTerms(campaign))
      yield* Effect.logInfo("the gate had older terms than the ledger").pipe(
        Effect.annotateLogs({ campaignId, gate: version, ledger: tally.version })
      )
      return "Outdated" as const
    })

  const compare = (campaignId: CampaignId): Effect.Effect<ReconcileVerdict, LedgerUnavailable | GateUnavailable> =>
    Effect.gen(function*() {
      const before = yield* gate.inspect(campaignId)
      const tally = yield* ledger.tally(campaignId)
      if (tally === undefined) return "Unknown"
      const after = yield* gate.inspect(campaignId)
      if (after.condition === "Foreign") return "Foreign"
      if (after.condition === "Broken") {
        yield* gate.forget(campaignId)
        return yield* repair(campaignId, "Broken", {})
      }
      // It knows no users, and with newer terms it is cold.
      const isRetired = after.condition === "Retired"
      if (isRetired && after.version <= tally.version) {
        return after.version < tally.version ? yield* bringTerms(campaignId, after, tally) : "Agrees"
      }
      if (!isRetired && (!after.hydrated || after.generation === undefined)) {
        yield* rebuilder.attempt(campaignId)
        return "Cold"
      }
      // What the relay settled before the tally was in the gate before `after`: fewer means lost confirmations.
      if (after.generation !== undefined && after.issued < tally.issued - tally.unrelayed) {
        yield* gate.cold(campaignId, after.generation)
        return yield* repair(campaignId, "Lost", { gate: after.issued, ...tally })
      }
      // What the gate held before the tally, the ledger had committed before it.
      if (before.issued > tally.issued || before.version > tally.version) {
        held.forget(campaignId)
        yield* gate.forget(campaignId)
        return yield* repair(campaignId, "Ghosts", { gate: before.issued, ...tally })
      }
      // Whatever was lost, the gate has the newest terms from here on. Mostly the relay is only about to bring them.
      return after.version < tally.version ? yield* bringTerms(campaignId, after, tally) : "Agrees"
    })

  const reconcile = (campaignId: CampaignId) =>
    Effect.tap(compare(campaignId), (verdict) => Effect.sync(() => GateMetrics.comparisons[verdict].add()))

  return Reconciler.of({
    runOnce: Effect.suspend(() => Agent.forEach(known.active(), reconcile)),
    reconcileAll: Effect.suspend(() => Agent.forEach(known.all(), reconcile)),
    reconcile
  })
})

export const layer = Layer.effect(Reconciler, make)
