import { byKindOf, type ByKind } from "./Outcomes.ts"
import { type Seconds, sumOf } from "./Sale.ts"

/** The mean of some seconds. */
export interface Point {
  /** Where they begin, in epoch milliseconds. */
  readonly at: number
  readonly perSecond: ByKind
}

/** A chart shows at most so many points, whatever its window. */
export const MAX_POINTS = 180

/** Windows of the chart, in seconds; that of a sale has the length of its record. */
export const windows = { minute: 60, quarter: 900 } as const
export type Window = keyof typeof windows | "sale"

/** From a second on and before another (Unix time). */
export interface Span {
  readonly from: number
  readonly until: number
}

/** The span of a window that ends at `until`. */
export const spanOf = (window: Window, seconds: Seconds, until: number): Span => {
  if (window !== "sale") return { from: until - windows[window], until }
  const first = seconds[0]?.[0] ?? until - 1
  const last = seconds.at(-1)?.[0] ?? first
  return { from: first, until: last + 1 }
}

/**
 * The points of a span: means of neighbours, so that there are at most `MAX_POINTS`. `since`: the first second of which
 * something is known; there are no points before it.
 */
export const pointsOf = (seconds: Seconds, { from, until }: Span, since: number): ReadonlyArray<Point> => {
  // Points begin at multiples of it whatever the span, so that they stay as they are while a window moves.
  const step = Math.max(1, Math.ceil((until - from) / MAX_POINTS))
  const first = Math.ceil(Math.max(from, since) / step) * step
  const joined = Map.groupBy(seconds, ([second]) => Math.floor(second! / step) * step)
  const points: Array<Point> = []
  for (let begin = first; begin < until; begin += step) {
    const end = Math.min(begin + step, until)
    points.push({ at: begin * 1_000, perSecond: byKindOf(sumOf(joined.get(begin) ?? [], begin, end), end - begin) })
  }
  return points
}
