import type { CampaignId } from "../domain/Campaign.ts"
import type { ReserveAnswer } from "../ports/Gate.ts"

/**
 * Where a claim goes next:
 * - `Reserve`: ask the gate for a slot, the usual way;
 * - `Check`: the gate said that the campaign is sold out, so first ask the cheaper `Gate.check`;
 * - `Bypass`: to the ledger without a slot, because the gate has let all of the latest claims pass;
 * - `Ledger`: to the ledger without a slot, because the gate does not answer, or its rebuild takes longer than
 *   `COLD_WAIT`.
 */
export type Way = "Reserve" | "Check" | "Bypass" | "Ledger"

/**
 * What this instance knows about each campaign's gate, and the way that claims take because of it. Every way is exact,
 * because the ledger alone decides; a wrong way costs one more request (docs/internals/protocol.md, "What a claim does
 * with the gate's answer").
 */
export interface GateRoute {
  /** Called for every claim. `now` is `performance.now()`, here and below. */
  readonly next: (campaignId: CampaignId, now: number) => Way
  /** The gate answered `reserve`. */
  readonly answered: (campaignId: CampaignId, answer: ReserveAnswer["_tag"]) => void
  /** The gate failed to answer. */
  readonly failed: (now: number) => void
  /** The ledger issued a coupon. */
  readonly issued: (campaignId: CampaignId) => void
  /** The ledger rejected a claim: the gate has something to filter. */
  readonly rejected: (campaignId: CampaignId) => void
  /** A claim waited for the rebuild in vain. True for the first one: its caller calls `rebuilt` when that ends. */
  readonly waitedInVain: (campaignId: CampaignId) => boolean
  readonly rebuilt: (campaignId: CampaignId) => void
}

/** How long claims skip a gate that failed to answer, before one tries it again. */
const GATE_DOWN_MILLIS = 200

/** Beyond this many campaigns, the oldest entry is dropped; claims of that campaign ask the gate again. */
const MAX_CAMPAIGNS = 10_000

interface Learned {
  /** Coupons issued since a claim was last rejected or put off. */
  issuedInARow: number
  soldOut: boolean
  longCold: boolean
}

/** `bypassAfter`: coupons in a row after which the gate is bypassed (docs/internals/decisions.md, 27); 0 for never. */
export const make = (bypassAfter: number): GateRoute => {
  const campaigns = new Map<CampaignId, Learned>()
  const enough = bypassAfter === 0 ? Infinity : bypassAfter
  let downUntil = 0

  const learn = (campaignId: CampaignId): Learned => {
    let learned = campaigns.get(campaignId)
    if (learned === undefined) {
      if (campaigns.size >= MAX_CAMPAIGNS) campaigns.delete(campaigns.keys().next().value!)
      campaigns.set(campaignId, learned = { issuedInARow: 0, soldOut: false, longCold: false })
    }
    return learned
  }

  const rejected = (campaignId: CampaignId): void => {
    const learned = campaigns.get(campaignId)
    if (learned !== undefined) learned.issuedInARow = 0
  }

  return {
    next: (campaignId, now) => {
      const learned = campaigns.get(campaignId)
      if (learned !== undefined && learned.issuedInARow >= enough) return "Bypass"
      if (now < downUntil) return "Ledger"
      if (learned === undefined) return "Reserve"
      return learned.longCold ? "Ledger" : learned.soldOut ? "Check" : "Reserve"
    },
    answered: (campaignId, answer) => {
      switch (answer) {
        case "Reserved": {
          const learned = campaigns.get(campaignId)
          if (learned !== undefined) learned.soldOut = false
          return
        }
        case "Cold":
          return
        case "SoldOut":
          learn(campaignId).soldOut = true
          return rejected(campaignId)
        default:
          return rejected(campaignId)
      }
    },
    failed: (now) => {
      downUntil = now + GATE_DOWN_MILLIS
    },
    issued: (campaignId) => {
      learn(campaignId).issuedInARow++
    },
    rejected,
    waitedInVain: (campaignId) => {
      const learned = learn(campaignId)
      const isFirst = !learned.longCold
      learned.longCold = true
      return isFirst
    },
    rebuilt: (campaignId) => {
      const learned = campaigns.get(campaignId)
      if (learned !== undefined) learned.longCold = false
    }
  }
}
