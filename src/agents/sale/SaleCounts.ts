import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type { CampaignId } from "../../domain/Campaign.ts"
import { kindOfFailure, provesCampaign } from "../../domain/sale/ClaimKind.ts"
import { type SaleCount, saleCounts } from "../../domain/sale/SaleSecond.ts"

/** Campaigns beyond this many have no counts of their own; those of a live sale stay. */
export const MAX_COUNTED = 64

/** What this instance has counted of one campaign since it began to, by the places of `saleCounts`. */
export interface CampaignCounts {
  readonly campaignId: CampaignId
  readonly values: Float64Array
  /** Whether some claim has proved that the campaign exists. */
  isProven: boolean
  /** When its counts last changed, in epoch seconds; noted by `SaleHistory`. */
  changedAt: number
}

const places = Object.fromEntries(saleCounts.map((name, k) => [name, k])) as Readonly<Record<SaleCount, number>>
const ISSUED = places.issued

/**
 * What this instance counts of each campaign. In memory, and only of campaigns that are claimed: it is for a screen,
 * and nothing is decided by it.
 */
export class SaleCounts extends Context.Tag("coupon/agents/SaleCounts")<SaleCounts, {
  /** A claim has ended: called for every one of them, and costs some nanoseconds. */
  readonly ended: (campaignId: CampaignId, exit: Exit.Exit<unknown, { readonly _tag: string }>) => void
  /** Called once a batch. Whatever is committed or delivered proves that there is a campaign. */
  readonly add: (campaignId: CampaignId, count: SaleCount, by: number) => void
  readonly all: () => ReadonlyArray<CampaignCounts>
}>() {}

export const make = (): SaleCounts["Type"] => {
  const campaigns = new Map<CampaignId, CampaignCounts>()
  // Of a rush, nearly all claims are of one campaign.
  let latest: CampaignCounts | undefined

  /** Makes room: first of what no claim has proved, so that claims of invented campaigns displace no sale. */
  const evict = () => {
    let worst: CampaignCounts | undefined
    for (const one of campaigns.values()) {
      const isWorse = worst === undefined || (one.isProven === worst.isProven
        ? one.changedAt < worst.changedAt
        : worst.isProven)
      if (isWorse) worst = one
    }
    if (worst === latest) latest = undefined
    campaigns.delete(worst!.campaignId)
  }

  const find = (campaignId: CampaignId): CampaignCounts => {
    let found = campaigns.get(campaignId)
    if (found === undefined) {
      if (campaigns.size >= MAX_COUNTED) evict()
      found = {
        campaignId,
        values: new Float64Array(saleCounts.length),
        isProven: false,
        changedAt: Math.floor(Date.now() / 1_000)
      }
      campaigns.set(campaignId, found)
    }
    latest = found
    return found
  }

  const of = (campaignId: CampaignId): CampaignCounts =>
    latest !== undefined && latest.campaignId === campaignId ? latest : find(campaignId)

  return SaleCounts.of({
    ended: (campaignId, exit) => {
      if (exit._tag === "Success") {
        const counts = of(campaignId)
        counts.values[ISSUED]!++
        counts.isProven = true
        return
      }
      const tag = exit.cause._tag === "Fail" ? exit.cause.error._tag : ""
      if (tag === "RecordNotFound") return
      const kind = kindOfFailure(tag)
      const counts = of(campaignId)
      counts.values[places[kind]]!++
      if (provesCampaign(kind)) counts.isProven = true
    },
    add: (campaignId, count, by) => {
      if (by === 0) return
      const counts = of(campaignId)
      counts.values[places[count]]! += by
      if (count !== "reserved") counts.isProven = true
    },
    all: () => [...campaigns.values()]
  })
}

export const layer: Layer.Layer<SaleCounts> = Layer.effect(SaleCounts, Effect.sync(make))
