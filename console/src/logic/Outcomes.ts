import { claimKinds, type ClaimKind } from "../../../src/domain/sale/ClaimKind.ts"
import type { Counts } from "./Sale.ts"

export const kinds = claimKinds
export type Kind = ClaimKind

const kindOf: Readonly<Record<string, Kind>> = {
  OK: "issued",
  COUPON_ALREADY_CLAIMED: "already",
  COUPON_SOLD_OUT: "soldOut",
  CODES_EXHAUSTED: "soldOut",
  CAMPAIGN_NOT_STARTED: "closed",
  CAMPAIGN_PAUSED: "closed",
  CAMPAIGN_ENDED: "closed",
  OVERLOADED: "shed",
  RATE_LIMITED: "shed"
}

export type ByKind = Readonly<Record<Kind, number>>

export const none: ByKind = { issued: 0, already: 0, soldOut: 0, closed: 0, shed: 0, failed: 0 }

/** Answers by kind, from answers by message. A message that is not known is a failure. */
export const byKind = (byMessage: Readonly<Record<string, number>>): ByKind => {
  const sums: Record<Kind, number> = { ...none }
  for (const [message, count] of Object.entries(byMessage)) sums[kindOf[message] ?? "failed"] += count
  return sums
}

export const totalOf = (counts: ByKind): number => kinds.reduce((sum, kind) => sum + counts[kind], 0)

/** Answers a second by kind. Claims that were shed before they were read count as shed, whatever their campaign. */
export const byKindOf = (counts: Counts, seconds: number): ByKind => {
  const rates: Record<Kind, number> = { ...none }
  for (const kind of kinds) rates[kind] = (counts[kind] + (kind === "shed" ? counts.unread : 0)) / seconds
  return rates
}
