import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf"
import type { ConnectError } from "@connectrpc/connect"
import * as Either from "effect/Either"
import { reversed } from "./Reversed.ts"
import type { CouponState as DomainState, IssuedCoupon, KnownCoupon } from "../domain/redemption/Redemption.ts"
import { formatRfc3339, parseRfc3339 } from "../domain/Time.ts"
import {
  type Coupon as CouponMessage, CouponSchema, CouponState, type IssueCouponResponse
} from "./gen/coupon/v1/coupon_pb.ts"

const states = {
  ISSUED: CouponState.ISSUED,
  REDEEMED: CouponState.REDEEMED,
  EXPIRED: CouponState.EXPIRED,
  REVOKED: CouponState.REVOKED
} satisfies Record<DomainState, CouponState>

export const statesFromWire: ReadonlyMap<CouponState, DomainState> = reversed<DomainState, CouponState>(states)

/** A coupon as messages have it, with what became of it, or with its expiry, where that is known. */
export const fields = (coupon: IssuedCoupon | KnownCoupon, timeText = formatRfc3339) =>
  ({
    campaignId: coupon.campaignId,
    userId: coupon.userId,
    code: coupon.code,
    issuedAt: timeText(coupon.issuedAt),
    number: coupon.id,
    ..."state" in coupon ? { state: states[coupon.state] } : {},
    ...coupon.expiresAt !== undefined ? { expiresAt: formatRfc3339(coupon.expiresAt) } : {},
    ..."state" in coupon && coupon.redeemedAt !== undefined
      ? { redeemedAt: formatRfc3339(coupon.redeemedAt), terminalId: coupon.terminalId }
      : {},
    ..."state" in coupon && coupon.revokedAt !== undefined ? { revokedAt: formatRfc3339(coupon.revokedAt) } : {}
  }) satisfies MessageInitShape<typeof CouponSchema>

/** A coupon as the detail `coupon.v1.Coupon` of an error. */
export const encode = (coupon: IssuedCoupon | KnownCoupon) => ({ desc: CouponSchema, value: fields(coupon) }) as const

/** A coupon of a message, with its state if the message says it; `undefined`: its time cannot be read. */
export const ofMessage = (message: CouponMessage): IssuedCoupon | KnownCoupon | undefined => {
  const { campaignId, code, number, terminalId = "", userId } = message
  const issuedAt = Either.getOrUndefined(parseRfc3339("issuedAt", message.issuedAt))
  if (issuedAt === undefined) return undefined
  // Beyond the years that a client may send.
  const expiresAt = message.expiresAt === undefined ? undefined : Date.parse(message.expiresAt)
  const coupon = { campaignId, id: number, userId, code, issuedAt }
  const state = message.state === undefined ? undefined : statesFromWire.get(message.state)
  if (state === undefined) return expiresAt === undefined ? coupon : { ...coupon, expiresAt }
  const redeemedAt = Either.getOrUndefined(parseRfc3339("redeemedAt", message.redeemedAt ?? ""))
  const revokedAt = Either.getOrUndefined(parseRfc3339("revokedAt", message.revokedAt ?? ""))
  return { ...coupon, state, expiresAt, redeemedAt, terminalId, revokedAt }
}

/** The coupon of an answer to IssueCoupon; `undefined`: its time cannot be read. */
export const ofIssued = (
  { campaignId, userId }: Pick<IssuedCoupon, "campaignId" | "userId">,
  { code, expiresAt, issuedAt, number }: Pick<IssueCouponResponse, "code" | "expiresAt" | "issuedAt" | "number">
): IssuedCoupon | undefined => {
  const at = Either.getOrUndefined(parseRfc3339("issuedAt", issuedAt))
  if (at === undefined) return undefined
  const coupon = { campaignId, id: number, userId, code, issuedAt: at }
  return expiresAt === undefined ? coupon : { ...coupon, expiresAt: Date.parse(expiresAt) }
}

/**
 * The first coupon among an error's details, with its state if the error says it; `undefined`: there is none that can
 * be read. Its id is 0 if the service is too old to send numbers.
 */
export const decode = (details: ConnectError["details"]): IssuedCoupon | KnownCoupon | undefined => {
  for (const detail of details) {
    if (!("type" in detail) || detail.type !== CouponSchema.typeName) continue
    try {
      const coupon = ofMessage(fromBinary(CouponSchema, detail.value))
      if (coupon !== undefined) return coupon
    } catch {
      // Bytes that are no coupon: another sender's detail.
    }
  }
  return undefined
}
