import { claimKinds } from "./ClaimKind.ts"

/**
 * What is counted of a campaign: its claims by what became of them; claims that were put before the ledger; coupons
 * that were committed, and handed over by the relay; and claims that were shed before they were read, whatever their
 * campaign.
 */
export const saleCounts = [...claimKinds, "reserved", "committed", "delivered", "unread"] as const
export type SaleCount = typeof saleCounts[number]

/**
 * One second of a campaign's sale as it goes over the wire: the second (Unix time), and what was counted in it, in the
 * order of `saleCounts`. A later version may add counts at the end.
 */
export type SaleSecond = ReadonlyArray<number>

/** So many seconds of each campaign are kept: of 15 minutes of a sale without a pause. */
export const MAX_SALE_SECONDS = 900

/** The sums of two, of the first one's second. */
export const added = (a: SaleSecond, b: SaleSecond): SaleSecond =>
  Array.from({ length: Math.max(a.length, b.length) }, (_, k) => k === 0 ? a[0]! : (a[k] ?? 0) + (b[k] ?? 0))
