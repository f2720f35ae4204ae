import type { ByKind } from "./Outcomes.ts"

/** A second of the service. */
export interface Second {
  /** Epoch milliseconds of the server's clock. */
  readonly at: number
  readonly perSecond: ByKind
  readonly p50: number
  readonly p99: number
}

/** A chart shows at most so many points, whatever its window. */
export const MAX_POINTS = 180

/** A gap of more than this is shown as one. */
export const GAP_MILLIS = 3_500

/** The windows of the chart, in milliseconds. */
export const windows = { minute: 60_000, quarter: 900_000 } as const
export type Window = keyof typeof windows

/** Seconds of the last 15 minutes, oldest first. */
export const appended = (seconds: ReadonlyArray<Second>, next: Second): ReadonlyArray<Second> => {
  const last = seconds.at(-1)
  if (last !== undefined && next.at <= last.at) return seconds
  const from = seconds.findIndex(({ at }) => at > next.at - windows.quarter - 5_000)
  return [...from < 0 ? [] : seconds.slice(from), next]
}

const mean = (seconds: ReadonlyArray<Second>): Second => {
  const at = seconds.at(-1)!.at
  const perSecond: Record<string, number> = {}
  for (const second of seconds) {
    for (const [kind, rate] of Object.entries(second.perSecond)) {
      perSecond[kind] = (perSecond[kind] ?? 0) + rate / seconds.length
    }
  }
  return {
    at,
    perSecond: perSecond as unknown as ByKind,
    // A mean would hide the worst second, which is what one looks for.
    p50: Math.max(...seconds.map(({ p50 }) => p50)),
    p99: Math.max(...seconds.map(({ p99 }) => p99))
  }
}

/**
 * The points of a window that ends at `until`: means of neighbours, so that there are at most `MAX_POINTS`. `undefined`
 * stands for a gap, where nothing was received.
 */
export const pointsOf = (
  seconds: ReadonlyArray<Second>,
  until: number,
  window: Window
): ReadonlyArray<Second | undefined> => {
  const span = windows[window]
  const step = Math.max(1_000, span / MAX_POINTS)
  const shown = seconds.filter(({ at }) => at > until - span && at <= until)
  const buckets = new Map<number, Array<Second>>()
  for (const second of shown) {
    const bucket = Math.floor(second.at / step)
    const found = buckets.get(bucket)
    if (found === undefined) buckets.set(bucket, [second])
    else found.push(second)
  }
  const points: Array<Second | undefined> = []
  let before: Second | undefined
  for (const bucket of buckets.values()) {
    const point = mean(bucket)
    if (before !== undefined && point.at - before.at > Math.max(GAP_MILLIS, 2.5 * step)) points.push(undefined)
    points.push(point)
    before = point
  }
  return points
}
