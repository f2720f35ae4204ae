import * as Effect from "effect/Effect"
import type { CampaignId, CampaignStatus } from "../domain/Campaign.ts"
import { isPool } from "../domain/codes/CampaignCodes.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import {
  CampaignEnded,
  CampaignNotStarted,
  CampaignPaused,
  CodesExhausted,
  type ClaimRejection,
  CouponAlreadyClaimed,
  CouponSoldOut,
  RecordNotFound
} from "../domain/Failure.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { CommitInDoubt } from "../ports/Ledger.ts"
import type { Claim, ClaimVerdict, Ledger, LedgerUnavailable, ResolvedVerdict } from "../ports/Ledger.ts"

/** The campaign as the transaction saw it under the lock of its row, before it issued anything. */
export interface LockedCampaign {
  readonly couponLimit: number
  readonly issuedCount: number
  readonly status: CampaignStatus
  readonly startTime: EpochMillis
  readonly endTime: EpochMillis | undefined
  /** The text that its codes are drawn by (`codesText`). Other codes were not inserted. */
  readonly codes: string | undefined
  /** How many codes its pool has. */
  readonly codeCount: number
  /** See `ClaimVerdict`. */
  readonly validity: number | undefined
}

/** What a group commit did. */
export interface CommitFacts {
  readonly campaignId: CampaignId
  /** `undefined`: there is no such campaign. */
  readonly campaign: LockedCampaign | undefined
  /** The ledger's clock, read after the lock: it decides the window, and is when the coupons were issued. */
  readonly now: EpochMillis
  /** Coupons that the transaction inserted. */
  readonly inserted: number
}

const rejected = (reason: ClaimRejection): ClaimVerdict => ({ _tag: "Rejected", reason })

const notIssued: ClaimVerdict = { _tag: "NotIssued" }

/**
 * The verdicts when they follow from the commit alone, without reading what the users hold: every claim was issued (ids
 * follow the order of arrival), the campaign does not exist, or it has not started. Else `undefined`.
 */
export const decideWithoutReading = (
  facts: CommitFacts,
  claims: ReadonlyArray<Claim>
): ReadonlyArray<ClaimVerdict> | undefined => {
  const { campaign, campaignId, inserted, now } = facts
  if (campaign === undefined) return claims.map(() => rejected(new RecordNotFound()))
  if (inserted === claims.length && !isPool(campaign.codes)) {
    return claims.map(({ code, userId }, index) => ({
      _tag: "Issued",
      coupon: { campaignId, id: campaign.issuedCount + index + 1, userId, code, issuedAt: now },
      validity: campaign.validity
    }))
  }
  return inserted === 0 && now < campaign.startTime ? claims.map(() => rejected(new CampaignNotStarted())) : undefined
}

/**
 * The verdict of each claim, in order, given the coupons its users hold after the commit. A coupon is this batch's if
 * and only if its number is one of those that the batch took under the lock. The precedence of rejections is the public
 * contract's (docs/reference/errors.md).
 */
export const decide = (
  facts: CommitFacts,
  claims: ReadonlyArray<Claim>,
  held: ReadonlyArray<Coupon>
): ReadonlyArray<ClaimVerdict> => {
  const byUser = new Map<UserId, Coupon>(held.map((coupon) => [coupon.userId, coupon]))
  const issuedBefore = facts.campaign?.issuedCount ?? 0
  const verdicts = claims.map((claim): ClaimVerdict => {
    const coupon = byUser.get(claim.userId)
    const isOwn = coupon !== undefined && coupon.id > issuedBefore && coupon.id <= issuedBefore + facts.inserted
    if (isOwn) return { _tag: "Issued", coupon, validity: facts.campaign?.validity }
    const reason = rejection(facts, coupon)
    return reason === undefined ? notIssued : rejected(reason)
  })
  const issued = verdicts.filter(({ _tag }) => _tag === "Issued").length
  // A user without a coupon may have been erased since.
  const without = claims.filter(({ userId }) => !byUser.has(userId)).length
  if (issued > facts.inserted || issued + without < facts.inserted) {
    throw new Error(`the batch inserted ${facts.inserted} coupons, but ${issued} of its users hold them`)
  }
  return verdicts
}

/** The verdicts on a commit that went through; what the users hold is read only where its facts leave that open. */
export const verdictsOn = (
  facts: CommitFacts,
  claims: ReadonlyArray<Claim>,
  findCoupons: Ledger["Type"]["findCoupons"]
): Effect.Effect<ReadonlyArray<ClaimVerdict>, LedgerUnavailable | CommitInDoubt> => {
  const verdicts = decideWithoutReading(facts, claims)
  if (verdicts !== undefined) return Effect.succeed(verdicts)
  return findCoupons(facts.campaignId, claims.map((claim) => claim.userId)).pipe(
    // The commit stands; only who got what is not known yet.
    Effect.mapError((error) => facts.inserted > 0 ? new CommitInDoubt({ cause: error.cause }) : error),
    Effect.map((held) => decide(facts, claims, held))
  )
}

/** `undefined`: nothing spoke against the claim but a coupon that its user held and does not hold any more. */
const rejection = (
  { campaign, inserted, now }: CommitFacts,
  coupon: Coupon | undefined
): ClaimRejection | undefined => {
  if (campaign === undefined) return new RecordNotFound()
  if (now < campaign.startTime) return new CampaignNotStarted()
  if (coupon !== undefined) return new CouponAlreadyClaimed({ coupon })
  const isOver = campaign.endTime !== undefined && now >= campaign.endTime
  if (campaign.status === "ENDED" || isOver) return new CampaignEnded()
  if (campaign.status === "PAUSED") return new CampaignPaused()
  const issued = campaign.issuedCount + inserted
  if (issued >= campaign.couponLimit) return new CouponSoldOut()
  return isPool(campaign.codes) && issued >= campaign.codeCount ? new CodesExhausted() : undefined
}

/**
 * What an in-doubt batch that is now forbidden came to, given the coupons its users hold; in the order of the claims.
 * `isOwn`: whether a coupon is the batch's; by default, if it has the code that was drawn for the claim.
 */
export const resolution = (
  claims: ReadonlyArray<Claim>,
  held: ReadonlyArray<Coupon>,
  isOwn: (coupon: Coupon, code: string) => boolean = (coupon, code) => coupon.code === code
): ReadonlyArray<ResolvedVerdict> => {
  const byUser = new Map<UserId, Coupon>(held.map((coupon) => [coupon.userId, coupon]))
  return claims.map(({ code, userId }): ResolvedVerdict => {
    const coupon = byUser.get(userId)
    if (coupon === undefined) return { _tag: "NotIssued" }
    return { _tag: isOwn(coupon, code) ? "Issued" : "HeldAlready", coupon }
  })
}
