import type { VerifiedCampaign } from "$contract/OperatorRpcs.ts"
import { clock } from "./clock.svelte.ts"

/** What a verification that ran from this page has found. */
export interface Verification {
  readonly at: number
  readonly violations: number
  readonly row: typeof VerifiedCampaign.Type | undefined
}

class Verifications {
  #byCampaign = $state.raw<ReadonlyMap<number, Verification>>(new Map())

  add(campaignId: number, violations: number, row: Verification["row"]): void {
    this.#byCampaign = new Map(this.#byCampaign).set(campaignId, { at: clock.now, violations, row })
  }

  of(campaignId: number): Verification | undefined {
    return this.#byCampaign.get(campaignId)
  }
}

/** The last verification of each campaign, for as long as the page is open. */
export const verifications = new Verifications()
