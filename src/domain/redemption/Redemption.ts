import * as Either from "effect/Either"
import type { CampaignId } from "../CampaignId.ts"
import type { Coupon } from "../Coupon.ts"
import * as DisplayName from "../DisplayName.ts"
import { InvalidArgument } from "../InvalidArgument.ts"
import { type EpochMillis, parseRfc3339 } from "../Time.ts"

/** What is done to a coupon that was issued. */
export type RedemptionAction = "REDEEM" | "UNDO" | "REVOKE"

/** What a coupon is now. `EXPIRED`: its time has passed, and it was neither redeemed nor revoked. */
export type CouponState = "ISSUED" | "REDEEMED" | "EXPIRED" | "REVOKED"

/** What a request says besides its coupon; empty: nothing. */
export interface RedemptionDetails {
  readonly terminalId: string
  readonly orderRef: string
  readonly reason: string
  /** When it happened by the caller's clock, which decides nothing. */
  readonly occurredAt: EpochMillis | undefined
}

/** One act that was done to a coupon. It never changes. */
export interface Redemption extends RedemptionDetails {
  readonly campaignId: CampaignId
  /** 1, 2, 3, … within the campaign, without a gap, in the order of commit. */
  readonly sequence: number
  /** The coupon's number. */
  readonly couponId: number
  readonly action: RedemptionAction
  readonly requestId: string
  /** Of a revocation: its slot was returned, so one more user gets a coupon. */
  readonly slotReturned: boolean
  /** By the ledger's clock. */
  readonly at: EpochMillis
}

const MAX_ID = 64
const MAX_REASON = 200

const text = (field: string, value: string, most: number): Either.Either<string, InvalidArgument> => {
  if (value === "") return Either.right(value)
  const flaw = Array.from(value).length > most ? `must be at most ${most} characters` : DisplayName.flawOf(value)
  return flaw === undefined ? Either.right(value) : Either.left(new InvalidArgument({ field, reason: flaw }))
}

/** Validates what a request says besides its coupon. */
export const parseDetails = (input: {
  readonly terminalId?: string
  readonly orderRef?: string
  readonly reason?: string
  readonly occurredAt?: string
}): Either.Either<RedemptionDetails, InvalidArgument> =>
  Either.gen(function*() {
    const { occurredAt = "", orderRef = "", reason = "", terminalId = "" } = input
    return {
      terminalId: yield* text("terminalId", terminalId, MAX_ID),
      orderRef: yield* text("orderRef", orderRef, MAX_ID),
      reason: yield* text("reason", reason, MAX_REASON),
      occurredAt: occurredAt === "" ? undefined : yield* parseRfc3339("occurredAt", occurredAt)
    }
  })

/** A coupon with its expiry, which never changes either. */
export interface DatedCoupon extends Coupon {
  /** From then on, by the ledger's clock, it cannot be redeemed; `undefined`: it does not expire. */
  readonly expiresAt: EpochMillis | undefined
}

/** A coupon as it was issued. One without the field does not expire. */
export type IssuedCoupon = Coupon & { readonly expiresAt?: EpochMillis | undefined }

/** A coupon with what became of it. */
export interface KnownCoupon extends DatedCoupon {
  readonly state: CouponState
  /** When it was redeemed; `undefined`: it is not. */
  readonly redeemedAt: EpochMillis | undefined
  /** Where it was redeemed; empty: it is not, or the request did not say. */
  readonly terminalId: string
  /** When it was revoked; `undefined`: it is not. */
  readonly revokedAt: EpochMillis | undefined
}

/** A coupon that was neither redeemed nor revoked, at a time of the ledger's clock. */
export const issuedCoupon = (coupon: Coupon, expiresAt: EpochMillis | undefined, now: EpochMillis): KnownCoupon => ({
  ...coupon,
  state: expiresAt !== undefined && expiresAt <= now ? "EXPIRED" : "ISSUED",
  expiresAt,
  redeemedAt: undefined,
  terminalId: "",
  revokedAt: undefined
})

/** A coupon that this redemption has redeemed. */
export const redeemedCoupon = (
  coupon: Coupon,
  expiresAt: EpochMillis | undefined,
  { at, terminalId }: Pick<Redemption, "at" | "terminalId">
): KnownCoupon => ({ ...coupon, state: "REDEEMED", expiresAt, redeemedAt: at, terminalId, revokedAt: undefined })

/** A coupon that this revocation has revoked. */
export const revokedCoupon = (
  coupon: Coupon,
  expiresAt: EpochMillis | undefined,
  { at }: Pick<Redemption, "at">
): KnownCoupon => ({ ...coupon, state: "REVOKED", expiresAt, redeemedAt: undefined, terminalId: "", revokedAt: at })
