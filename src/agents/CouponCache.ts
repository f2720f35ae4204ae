import type { CampaignId } from "../domain/Campaign.ts"
import type { UserId } from "../domain/Coupon.ts"
import * as CouponCode from "../domain/CouponCode.ts"
import type { IssuedCoupon } from "../domain/redemption/Redemption.ts"

/** A set-associative cache of coupons by campaign and user. */
export interface CouponCache {
  readonly find: (campaignId: CampaignId, userId: UserId) => IssuedCoupon | undefined
  /** Keeps a coupon, in place of the oldest of those that share its set if there are `WAYS` of them. */
  readonly remember: (coupon: IssuedCoupon) => void
  /** Drops all coupons of a campaign; looks at every slot. */
  readonly forget: (campaignId: CampaignId) => void
  /** Drops coupons, by their numbers within each campaign; looks at every slot. */
  readonly drop: (numbers: ReadonlyMap<CampaignId, ReadonlySet<number>>) => void
  /** Drops all coupons. */
  readonly clear: () => void
  /** The campaigns of which there are coupons here; looks at every slot. */
  readonly campaigns: () => ReadonlyArray<CampaignId>
}

/** Slots of a set, any of which a coupon may take. */
const WAYS = 4

/** Integers of a slot: campaign (0: empty), the user id's two halves, coupon id. */
const FIELDS = 4

const CODE_BYTES = 2 * CouponCode.LENGTH

// The halves of a 64-bit integer without a BigInt in between.
const whole = new BigInt64Array(1)
const halves = new Int32Array(whole.buffer)

/** Spreads the key over `mask + 1` sets, by the multipliers of MurmurHash3's finalizer. */
const setOf = (campaignId: CampaignId, low: number, high: number, mask: number): number => {
  let hash = low ^ Math.imul(high, 0x85ebca6b) ^ Math.imul(campaignId, 0xc2b2ae35)
  hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b)
  hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35)
  return (hash ^ hash >>> 16) & mask
}

/**
 * Makes a cache of `4 · 2^setBits` coupons of 61 bytes each. They are in typed arrays until they are asked for: coupons
 * in a Map would outlive V8's young generation and die in the old one.
 */
export const make = (setBits: number): CouponCache => {
  const mask = 2 ** setBits - 1
  const slots = WAYS * (mask + 1)
  const fields = new Int32Array(slots * FIELDS)
  const issuedAt = new Float64Array(slots)
  /** NaN: the coupon has no expiry, or none that is known. */
  const expiresAt = new Float64Array(slots)
  const codes = new Uint16Array(slots * CouponCode.LENGTH)
  const texts = Buffer.from(codes.buffer)
  /**
   * Coupons that were asked for. A user who asks again is likely to go on, and the reply is cached with the object. And
   * those whose codes have another length than the default format's.
   */
  const asked = new Array<IssuedCoupon | undefined>(slots).fill(undefined)
  /** Of each set, the slot that is replaced next. */
  const oldest = new Uint8Array(mask + 1)

  /** The slot of a key in its set, or -1. */
  const slotIn = (set: number, campaignId: CampaignId, low: number, high: number): number => {
    for (let slot = set * WAYS; slot < (set + 1) * WAYS; slot++) {
      const at = slot * FIELDS
      if (fields[at] === campaignId && fields[at + 1] === low && fields[at + 2] === high) return slot
    }
    return -1
  }

  return {
    find: (campaignId, userId) => {
      whole[0] = userId
      const slot = slotIn(setOf(campaignId, halves[0]!, halves[1]!, mask), campaignId, halves[0]!, halves[1]!)
      if (slot < 0) return undefined
      const known = asked[slot]
      if (known !== undefined) return known
      const code = texts.toString("utf16le", slot * CODE_BYTES, (slot + 1) * CODE_BYTES)
      const coupon = { campaignId, id: fields[slot * FIELDS + 3]!, userId, code, issuedAt: issuedAt[slot]! }
      const expiry = expiresAt[slot]!
      return asked[slot] = Number.isNaN(expiry) ? coupon : { ...coupon, expiresAt: expiry }
    },
    remember: (coupon) => {
      const { campaignId, code, id, issuedAt: at, userId } = coupon
      whole[0] = userId
      const [low, high] = [halves[0]!, halves[1]!]
      const set = setOf(campaignId, low, high, mask)
      let slot = slotIn(set, campaignId, low, high)
      if (slot < 0) {
        slot = set * WAYS + oldest[set]!
        oldest[set] = (oldest[set]! + 1) % WAYS
      }
      const isPacked = code.length === CouponCode.LENGTH
      asked[slot] = isPacked ? undefined : coupon
      const first = slot * FIELDS
      fields[first] = campaignId
      fields[first + 1] = low
      fields[first + 2] = high
      fields[first + 3] = id
      issuedAt[slot] = at
      expiresAt[slot] = coupon.expiresAt ?? NaN
      if (!isPacked) return
      for (let i = 0; i < CouponCode.LENGTH; i++) codes[slot * CouponCode.LENGTH + i] = code.charCodeAt(i)
    },
    forget: (campaignId) => {
      for (let at = 0; at < fields.length; at += FIELDS) if (fields[at] === campaignId) fields[at] = 0
    },
    drop: (numbers) => {
      for (let at = 0; at < fields.length; at += FIELDS) {
        if (numbers.get(fields[at]!)?.has(fields[at + 3]!) !== true) continue
        fields.fill(0, at, at + FIELDS)
        asked[at / FIELDS] = undefined
      }
    },
    clear: () => {
      fields.fill(0)
      asked.fill(undefined)
    },
    campaigns: () => {
      const found = new Set<CampaignId>()
      for (let at = 0; at < fields.length; at += FIELDS) if (fields[at] !== 0) found.add(fields[at]!)
      return [...found]
    }
  }
}
