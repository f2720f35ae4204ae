/** So many coupons were issued by then. */
export interface Point {
  readonly at: number
  readonly issued: number
}

/** The rate is over the last seconds: long enough to be calm, short enough to follow a rush. */
export const RATE_WINDOW_MILLIS = 10_000

/** Below this the rate says nothing about when a sale ends. */
const LEAST_SPAN_MILLIS = 1_000

/**
 * Coupons a second up to `now` over the window; 0 without points. `points` ascend. The last count before the window is
 * the count at its beginning.
 */
export const rateOf = (points: ReadonlyArray<Point>, now: number, window = RATE_WINDOW_MILLIS): number => {
  const from = now - window
  const last = points.at(-1)
  const first = points[0]
  if (last === undefined || first === undefined) return 0
  const before = points.findLast(({ at }) => at <= from) ?? first
  const span = now - Math.max(from, before.at)
  return Math.max(0, last.issued - before.issued) * 1_000 / Math.max(span, LEAST_SPAN_MILLIS)
}

/** When a sale will be sold out. */
export type Projection =
  /** It is. */
  | { readonly _tag: "SoldOut" }
  /** At this time, if it goes on as it does. */
  | { readonly _tag: "At"; readonly at: number; readonly leftMillis: number }
  /** Its end comes before that, with so many coupons left. */
  | { readonly _tag: "EndsBefore"; readonly left: number }
  /** Nothing is being issued. */
  | { readonly _tag: "Unknown" }

/** `rate` in coupons a second. `endTime`: when the campaign ends, if it does. */
export const project = (
  { couponLimit, endTime, issued, now, rate }: {
    readonly issued: number
    readonly couponLimit: number
    readonly rate: number
    readonly now: number
    readonly endTime: number | undefined
  }
): Projection => {
  const left = couponLimit - issued
  if (left <= 0) return { _tag: "SoldOut" }
  if (rate <= 0) return { _tag: "Unknown" }
  const leftMillis = left / rate * 1_000
  const at = now + leftMillis
  if (endTime === undefined || at <= endTime) return { _tag: "At", at, leftMillis }
  return { _tag: "EndsBefore", left: left - Math.floor(Math.max(0, endTime - now) / 1_000 * rate) }
}

/** Adds a point, and drops those that no window needs any more. */
export const added = (points: ReadonlyArray<Point>, point: Point, keepMillis: number): ReadonlyArray<Point> => {
  const last = points.at(-1)
  if (last !== undefined && (point.issued < last.issued || point.at < last.at)) return points
  const oldest = point.at - keepMillis
  const kept = points.findLastIndex(({ at }) => at <= oldest)
  return [...points.slice(Math.max(0, kept)), point]
}
