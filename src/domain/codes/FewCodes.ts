/** Few codes are left: less than this share of the pool, or no more than coupons take in this time at their pace. */
const SHARE = 0.2
const MILLIS = 120_000

/** The pace is that of the last so many coupons, and of no less time than this: a batch alone has none. */
export const PACE_COUPONS = 10_000
const LEAST_PACE_MILLIS = 10_000

/** Whether a pool of `codeCount` codes has less than its share left. */
export const isLastShare = (codeCount: number, issued: number): boolean => codeCount - issued < SHARE * codeCount

/** Whether `left` codes last no longer at a pace of so many coupons in so many milliseconds. */
export const isSoonGone = (left: number, coupons: number, tookMillis: number): boolean =>
  left * Math.max(LEAST_PACE_MILLIS, tookMillis) < MILLIS * coupons
