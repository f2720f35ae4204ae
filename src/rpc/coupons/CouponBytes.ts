import type { DatedCoupon } from "../../domain/redemption/Redemption.ts"
import { type EpochMillis, formatRfc3339 } from "../../domain/Time.ts"

/** Tags of the fields of `coupon.v1.Coupon`, and of a field of such messages whose number is 1. */
const CAMPAIGN_ID = 0x08
const USER_ID = 0x10
const CODE = 0x1a
const ISSUED_AT = 0x22
const NUMBER = 0x28
const EXPIRES_AT = 0x5a
const COUPON = 0x0a

/** What a coupon takes at most besides its code: 6 tags, 3 lengths, two times of 27 and numbers of 5, 5 and 10. */
const MOST_BYTES = 100

const MAX_PLAIN = BigInt(Number.MAX_SAFE_INTEGER)

/** A field of the text of a time, tag and length first; those of one batch are the same, and made once. */
const makeTimeField = (tag: number): (time: EpochMillis) => Buffer => {
  let last: EpochMillis | undefined
  let field = Buffer.alloc(0)
  return (time) => {
    if (time !== last) {
      const text = Buffer.from(formatRfc3339(time), "latin1")
      field = Buffer.concat([Buffer.from([tag, text.length]), text])
      last = time
    }
    return field
  }
}

const issuedField = makeTimeField(ISSUED_AT)
const expiryField = makeTimeField(EXPIRES_AT)

/** Each function writes at a place, and returns the place behind what it wrote. */
const writeVarint = (bytes: Buffer, at: number, value: number): number => {
  while (value > 127) {
    bytes[at++] = value % 128 | 128
    value = Math.floor(value / 128)
  }
  bytes[at++] = value
  return at
}

const writeUserId = (bytes: Buffer, at: number, userId: bigint): number => {
  if (userId >= 0n && userId <= MAX_PLAIN) return writeVarint(bytes, at, Number(userId))
  let rest = BigInt.asUintN(64, userId)
  for (; rest > 127n; rest >>= 7n) bytes[at++] = Number(rest & 127n) | 128
  bytes[at++] = Number(rest)
  return at
}

const writeBytes = (bytes: Buffer, at: number, field: Buffer): number => {
  for (let k = 0; k < field.length; k++) bytes[at++] = field[k]!
  return at
}

/** In UTF-8. Codes are short: to call the platform for each takes longer than all the rest of a coupon. */
const writeText = (bytes: Buffer, at: number, text: string): number => {
  const start = at
  for (let k = 0; k < text.length; k++) {
    const unit = text.charCodeAt(k)
    if (unit < 0x80) bytes[at++] = unit
    else if (unit < 0x800) {
      bytes[at++] = unit >> 6 | 0xc0
      bytes[at++] = unit & 63 | 128
    } else if ((unit & 0xf800) !== 0xd800) {
      bytes[at++] = unit >> 12 | 0xe0
      bytes[at++] = unit >> 6 & 63 | 128
      bytes[at++] = unit & 63 | 128
    } else return start + bytes.write(text, start, "utf8")
  }
  return at
}

/** Writes what `write` writes behind its length, which is one byte unless there is more than that can say. */
const writeSized = (bytes: Buffer, at: number, write: (at: number) => number): number => {
  const end = write(at + 1)
  const length = end - at - 1
  if (length < 128) {
    bytes[at] = length
    return end
  }
  const start = writeVarint(bytes, at, length)
  // The length lies over the first of what was written.
  return write(start)
}

/**
 * The field `coupons` of a message, of number 1, in the format of protobuf: byte for byte as protobuf-es writes it, but
 * without a message for each coupon, which saves an export an eighth of the service's time.
 */
export const couponsField = (coupons: ReadonlyArray<DatedCoupon>): Buffer => {
  let most = 0
  for (let k = 0; k < coupons.length; k++) most += MOST_BYTES + 3 * coupons[k]!.code.length
  const bytes = Buffer.allocUnsafe(most)
  let coupon: DatedCoupon
  const writeCode = (at: number) => writeText(bytes, at, coupon.code)
  const writeCoupon = (at: number) => {
    const { campaignId, code, expiresAt, id, issuedAt, userId } = coupon
    if (campaignId !== 0) {
      bytes[at++] = CAMPAIGN_ID
      at = writeVarint(bytes, at, campaignId)
    }
    if (userId !== 0n) {
      bytes[at++] = USER_ID
      at = writeUserId(bytes, at, userId)
    }
    if (code !== "") {
      bytes[at++] = CODE
      at = writeSized(bytes, at, writeCode)
    }
    at = writeBytes(bytes, at, issuedField(issuedAt))
    if (id !== 0) {
      bytes[at++] = NUMBER
      at = writeVarint(bytes, at, id)
    }
    return expiresAt === undefined ? at : writeBytes(bytes, at, expiryField(expiresAt))
  }
  let at = 0
  for (let k = 0; k < coupons.length; k++) {
    coupon = coupons[k]!
    bytes[at++] = COUPON
    at = writeSized(bytes, at, writeCoupon)
  }
  return bytes.subarray(0, at)
}
