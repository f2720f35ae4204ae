import { stringify } from "csv-stringify/sync"
import type { Coupon } from "../../contract/gen/coupon/v1/coupon_pb.ts"

/** How coupons are written, a line each. */
export interface CouponText {
  /** The line before the first coupon; empty: there is none. */
  readonly header: string
  readonly lines: (coupons: ReadonlyArray<Coupon>) => string
  /** The coupon that a line was written for; `undefined`: it is none of this form. */
  readonly read: (line: string) => { readonly campaignId: number; readonly number: number } | undefined
  /** Whether this may be the beginning of a line. */
  readonly begins: (part: string) => boolean
}

const COLUMNS = ["number", "user_id", "code", "issued_at", "campaign_id", "expires_at"] as const

const cells = (coupon: Coupon): ReadonlyArray<string | number> =>
  [coupon.number, String(coupon.userId), coupon.code, coupon.issuedAt, coupon.campaignId, coupon.expiresAt ?? ""]

const place = (campaignId: number, number: number) =>
  Number.isSafeInteger(campaignId) && Number.isSafeInteger(number) && campaignId > 0 && number > 0
    ? { campaignId, number }
    : undefined

/**
 * RFC 4180, with line feeds. A value that a spreadsheet would take for a formula has a ' before it, as OWASP advises
 * (https://owasp.org/www-community/attacks/CSV_Injection).
 */
const csv: CouponText = {
  header: `${COLUMNS.join(",")}\n`,
  lines: (coupons) => {
    const text = stringify(coupons.map(cells), { escape_formulas: true, record_delimiter: "\n" })
    // The user of a coupon that was erased is a negative number, and no formula.
    return coupons.some(({ userId }) => userId < 0n) ? text.replace(/^(\d+),'-/gm, "$1,-") : text
  },
  // Number, campaign and time are no text, whatever stands between them.
  read: (line) => {
    const [, number, campaignId] = /^(\d{1,10}),.*,(\d{1,10}),[-\dT:.Z]*$/.exec(line) ?? []
    return place(Number(campaignId), Number(number))
  },
  begins: (part) => /^\d{0,10}(,|$)/.test(part)
}

const OBJECT = "{\"campaignId\":"

/** The fields of the API's JSON, one object a line. */
const ndjson: CouponText = {
  header: "",
  lines: (coupons) => {
    let text = ""
    for (const { campaignId, code, expiresAt, issuedAt, number, userId } of coupons) {
      text += `${JSON.stringify({ campaignId, userId: String(userId), code, issuedAt, number, expiresAt })}\n`
    }
    return text
  },
  read: (line) => {
    try {
      const { campaignId, number } = JSON.parse(line) as { readonly campaignId: unknown; readonly number: unknown }
      return place(Number(campaignId), Number(number))
    } catch {
      return undefined
    }
  },
  begins: (part) => part.startsWith(OBJECT) || OBJECT.startsWith(part)
}

export const formats = { csv, ndjson }
