import type { CampaignId } from "../domain/Campaign.ts"

/**
 * Which campaigns go past the gate at this instance. A filter that lets everybody through costs a sixth of all a claim takes and keeps
 * nothing from the ledger, which is exact by itself; so after enough coupons in a row the gate is not asked, until somebody is
 * refused (docs/decisions.md, 27). Large giveaways get there; a campaign that sells out at once never does.
 */
export interface GateBypass {
  /** Whether claims of the campaign go to the ledger without a slot. Asked for every claim. */
  readonly isOpen: (campaignId: CampaignId) => boolean
  /** A claim that was decided got a coupon. */
  readonly issued: (campaignId: CampaignId) => void
  /** A claim was refused by gate or ledger, or put off by the gate: from here on the gate has something to filter. */
  readonly refused: (campaignId: CampaignId) => void
}

/** Campaigns beyond this many begin to count anew, the one that began longest ago first. */
const MOST_COUNTED = 2_000

/** `after`: coupons in a row, 0 for never. */
export const makeGateBypass = (after: number): GateBypass => {
  const inARow = new Map<CampaignId, number>()
  const enough = after === 0 ? Infinity : after
  return {
    isOpen: (campaignId) => (inARow.get(campaignId) ?? 0) >= enough,
    issued: (campaignId) => {
      const count = inARow.get(campaignId)
      if (count === undefined) {
        if (inARow.size >= MOST_COUNTED) inARow.delete(inARow.keys().next().value!)
        inARow.set(campaignId, 1)
      } else if (count < enough) inARow.set(campaignId, count + 1)
    },
    refused: (campaignId) => {
      inARow.delete(campaignId)
    }
  }
}
