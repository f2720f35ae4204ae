import type { Point } from "./Projection.ts"

/** The rate of a sale over its time. */
export interface Curve {
  /** Ascending, in epoch milliseconds. */
  readonly times: ReadonlyArray<number>
  /** Coupons that were issued until then. */
  readonly issued: ReadonlyArray<number>
}

/** The most points of a curve: a screen shows no more. */
export const MAX_POINTS = 300

/** A curve of so many points at most, from the ranges of the event log. The first and the last point stay. */
export const curveOf = (ranges: ReadonlyArray<Point>): Curve => {
  const step = Math.max(1, ranges.length / (MAX_POINTS - 1))
  const kept: Array<Point> = []
  for (let index = 0; index < ranges.length; index += step) kept.push(ranges[Math.floor(index)]!)
  const last = ranges.at(-1)
  if (last !== undefined && kept.at(-1) !== last) kept.push(last)
  return { times: kept.map(({ at }) => at), issued: kept.map(({ issued }) => issued) }
}

/** The most coupons in one second of it, and when that was. `undefined` without coupons. */
export const busiestSecond = (
  ranges: ReadonlyArray<Point>
): { readonly at: number; readonly count: number } | undefined => {
  const counts = new Map<number, number>()
  let before = 0
  for (const { at, issued } of ranges) {
    const second = Math.floor(at / 1_000)
    counts.set(second, (counts.get(second) ?? 0) + issued - before)
    before = issued
  }
  let best: { readonly at: number; readonly count: number } | undefined
  for (const [second, count] of counts) {
    if (best === undefined || count > best.count) best = { at: second * 1_000, count }
  }
  return best
}
