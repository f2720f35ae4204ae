import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { CampaignId } from "../domain/Campaign.ts"
import type { CampaignPhase, PhaseFacts, PhaseReached } from "../domain/CampaignPhase.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { CommitInDoubt, LedgerUnavailable } from "./Ledger.ts"

/** A campaign as the watch sees it: what its phase is derived from, and what was recorded of it so far. */
export interface PhaseState {
  readonly campaignId: CampaignId
  readonly name: string
  readonly facts: PhaseFacts
  /**
   * The campaign's version, and the one that the record knows: another one if an older program has changed the
   * campaign.
   */
  readonly version: number
  readonly recordedVersion: number
  /**
   * How many phases were recorded, and the last of them; there may be one without a number, of before there was a
   * record.
   */
  readonly sequence: number
  readonly recorded: PhaseReached | undefined
  /** When to look next; `undefined`: after the next change, or the last coupon. */
  readonly dueAt: EpochMillis | undefined
}

/** A phase that was reached, as the record has it. */
export interface PhaseEvent {
  /** 1, 2, 3, … within the campaign. */
  readonly sequence: number
  readonly phase: CampaignPhase
  /** When it was reached. */
  readonly at: EpochMillis
  /** When it was recorded, mostly within a second of that. */
  readonly noticedAt: EpochMillis
}

/** The record of the phases that campaigns have reached, in the ledger. No claim writes it. */
export class CampaignPhases extends Context.Tag("coupon/issuance/CampaignPhases")<CampaignPhases, {
  /**
   * Campaigns whose clock has come or that were changed, the longest due first; at most `limit`. One look at an index.
   */
  readonly due: (limit: number) => Effect.Effect<ReadonlyArray<CampaignId>, LedgerUnavailable>
  /** These campaigns, in no particular order; one that does not exist is absent. At most 2,000. */
  readonly read: (
    campaignIds: ReadonlyArray<CampaignId>
  ) => Effect.Effect<ReadonlyArray<PhaseState>, LedgerUnavailable | CommitInDoubt>
  /**
   * Adds these phases to the campaign's record and notes when it is due next, if nothing was recorded or changed since
   * `state` was read. Returns whether it did: of several instances one. `CommitInDoubt`: it may have.
   */
  readonly record: (
    state: PhaseState,
    reached: ReadonlyArray<PhaseReached>,
    dueAt: EpochMillis | undefined
  ) => Effect.Effect<boolean, LedgerUnavailable | CommitInDoubt>
  /** A campaign's phases, the newest first, at most `limit`; of those with a lower sequence if one is given. */
  readonly history: (
    campaignId: CampaignId,
    limit: number,
    beforeSequence?: number
  ) => Effect.Effect<ReadonlyArray<PhaseEvent>, LedgerUnavailable>
}>() {}
