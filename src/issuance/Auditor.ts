import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { AppConfig } from "../AppConfig.ts"
import type { CampaignId } from "../domain/Campaign.ts"
import * as Agent from "./Agent.ts"
import { Gate, type GateUnavailable } from "./Gate.ts"
import { GateRebuilder, gateTerms } from "./GateRebuilder.ts"
import { HeldCoupons } from "./HeldCoupons.ts"
import * as Metrics from "./IssuanceMetrics.ts"
import { KnownCampaigns } from "./KnownCampaigns.ts"
import { Ledger, type LedgerUnavailable } from "./Ledger.ts"

/**
 * What a comparison of a campaign's gate and ledger found: `Cold`: the gate needed a rebuild; `Lost`: it misses coupons
 * that the relay had confirmed (a failover's lost tail); `Ghosts`: it holds more than the ledger (which was restored to
 * an earlier state); `Outdated`: it went by older terms (a lost tail took the newer ones with it), and has the newest now;
 * `Unknown`: the ledger has no such campaign.
 */
export type AuditVerdict = "Agrees" | "Cold" | "Lost" | "Ghosts" | "Outdated" | "Unknown"

/** Compares gate and ledger, and has the gate rebuilt where they cannot both be right. Never touches the ledger. */
export class Auditor extends Context.Tag("coupon/issuance/Auditor")<Auditor, {
  /** Audits one campaign; a rebuild it asked for has ended when it returns. */
  readonly runOnce: (campaignId: CampaignId) => Effect.Effect<AuditVerdict, LedgerUnavailable | GateUnavailable>
}>() {}

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const gate = yield* Gate
  const ledger = yield* Ledger
  const rebuilder = yield* GateRebuilder
  const held = yield* HeldCoupons
  const known = yield* KnownCampaigns

  const repair = (campaignId: CampaignId, verdict: AuditVerdict, facts: object) =>
    Effect.logWarning(`the gate disagrees with the ledger: ${verdict}; rebuilding it`).pipe(
      Effect.annotateLogs({ campaignId, ...facts }),
      Effect.zipRight(rebuilder.ensure(campaignId)),
      Effect.as(verdict)
    )

  const compare = (campaignId: CampaignId): Effect.Effect<AuditVerdict, LedgerUnavailable | GateUnavailable> =>
    Effect.gen(function*() {
      const before = yield* gate.inspect(campaignId)
      const tally = yield* ledger.tally(campaignId)
      if (tally === undefined) return "Unknown"
      const after = yield* gate.inspect(campaignId)
      if (!after.hydrated || after.generation === undefined) {
        yield* rebuilder.ensure(campaignId)
        return "Cold"
      }
      // What the relay settled before the tally was in the gate before `after`: fewer means lost confirmations.
      if (after.issued < tally.issued - tally.unrelayed) {
        yield* gate.cold(campaignId, after.generation)
        return yield* repair(campaignId, "Lost", { gate: after.issued, ...tally })
      }
      // What the gate held before the tally, the ledger had committed before it.
      if (before.issued > tally.issued || before.version > tally.version) {
        held.forget(campaignId)
        yield* gate.forget(campaignId)
        return yield* repair(campaignId, "Ghosts", { gate: before.issued, ...tally })
      }
      // Whatever was lost, the gate has the newest terms from here on. Mostly it is only about to get them from the relay.
      if (after.version < tally.version) {
        const campaign = yield* ledger.findCampaign(campaignId)
        if (campaign !== undefined) yield* gate.configure(gateTerms(campaign))
        yield* Effect.logInfo("the gate had older terms than the ledger").pipe(
          Effect.annotateLogs({ campaignId, gate: after.version, ledger: tally.version })
        )
        return "Outdated"
      }
      return "Agrees"
    })

  const runOnce = (campaignId: CampaignId) =>
    Effect.tap(compare(campaignId), (verdict) => Effect.sync(() => Metrics.audits[verdict].add()))

  const audit = (campaigns: () => ReadonlyArray<CampaignId>) =>
    Effect.suspend(() => Effect.forEach(campaigns(), runOnce, { concurrency: 4, discard: true }))

  yield* Agent.run("the auditor", audit(known.active), Effect.sleep(config.auditInterval))
  // A gate that came back may have lost its memory or its tail: look at every campaign, also those at rest.
  yield* gate.suspicions.pipe(
    Stream.runForEach(() => Effect.catchAllCause(audit(known.all), (cause) => Effect.logDebug("the audit failed", cause))),
    Effect.forkScoped
  )
  return Auditor.of({ runOnce })
})

export const layer = Layer.scoped(Auditor, make)
