/** What became of a claim, in few kinds, so that a screen can show each of them. */
export const claimKinds = ["issued", "already", "soldOut", "closed", "shed", "failed"] as const
export type ClaimKind = typeof claimKinds[number]

const kinds: ReadonlyMap<string, ClaimKind> = new Map<string, ClaimKind>([
  ["CouponAlreadyClaimed", "already"],
  ["CouponSoldOut", "soldOut"],
  ["CodesExhausted", "soldOut"],
  ["CampaignNotStarted", "closed"],
  ["CampaignPaused", "closed"],
  ["CampaignEnded", "closed"],
  ["Overloaded", "shed"],
  ["RateLimited", "shed"]
])

/** The kind of a claim that failed, by the tag of its failure. */
export const kindOfFailure = (tag: string): ClaimKind => kinds.get(tag) ?? "failed"

/** Whether such an answer proves that there is a campaign. */
export const provesCampaign = (kind: ClaimKind): boolean => kind !== "shed" && kind !== "failed"
