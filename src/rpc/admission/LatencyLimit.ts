/** Limits the calls in progress by their latency. */
export interface LatencyLimit {
  readonly current: () => number
  /** A call ended; both in milliseconds, `now` of `performance.now()`. */
  readonly ended: (latency: number, now: number) => void
  /** A call was rejected. */
  readonly refused: () => void
  /** Calls rejected for one that ended, in the last window; 0 while none is rejected. */
  readonly pressure: () => number
}

/** The limit is adjusted once in this time: a few group commits. */
const WINDOW_MILLIS = 100

/** Windows over the target before the first rejection: a burst, or a pause of the ledger, passes without one. */
const PATIENT_WINDOWS = 2

/** The limit is lifted after this many windows that hardly used it. */
const CALM_WINDOWS = 10

/** A slow ledger alone is no overload: this many times its latency at rest is always allowed, up to the maximum. */
const OVER_BASE = 5
const MAX_TARGET_MILLIS = 1_000

/** The latency at rest is the lowest of the last 30 to 60 s. */
const BASE_MILLIS = 30_000

/** Never limit below this: smaller queues add no visible latency, and group commit needs batches of about this size. */
export const FLOOR = 64

/** The lowest latency of the last one to two periods of `BASE_MILLIS`. */
const makeBase = () => {
  let from = -Infinity
  let [current, before] = [Infinity, Infinity]
  return {
    least: () => Math.min(current, before),
    learn: (latency: number, now: number) => {
      if (now - from > BASE_MILLIS) {
        before = current
        current = Infinity
        from = now
      }
      current = Math.min(current, latency)
    }
  }
}

/**
 * By Little's law, `limit = rate x target`. As in CoDel (RFC 8289), only a queue that stands is limited, not one that
 * comes and goes. Then the limit follows by AIMD: over the target it moves halfway to what the window's rate gives,
 * otherwise up by its square root, as in Netflix' Gradient2.
 *
 * Vegas and Gradient2 take any latency above the lowest one for a queue. That fails here: group commit turns waiting
 * claims into batches, and 13 ms with 128 calls instead of 1.5 ms with one is how it reaches its rate. In a long rush,
 * Gradient2's long-term average also drifts up to any latency. docs/internals/decisions.md has more.
 *
 * Latency is weighted by itself (sum of squares over sum), which is what a call in progress sees. Otherwise answers
 * from memory, which take no time, would hide the others.
 */
export const make = (options: {
  readonly most: number
  readonly targetMillis: number
  /** Called at the end of each window, about ten times a second. */
  readonly looked?: (limit: number) => void
}): LatencyLimit => {
  const { most, targetMillis } = options
  const floor = Math.min(FLOOR, most)
  let limit = most
  let limiting = false
  let [over, calm] = [0, 0]
  let [sum, squares, count, refusals] = [0, 0, 0, 0]
  let windowFrom = -Infinity
  const base = makeBase()
  let pressure = 0

  const lower = (proposed: number) => {
    calm = 0
    if (limiting) limit += (proposed - limit) / 2
    else if (++over >= PATIENT_WINDOWS) {
      limiting = true
      limit = proposed
    }
  }

  const raise = (isUsed: boolean) => {
    if (isUsed) {
      calm = 0
      limit += Math.sqrt(limit)
    } else if (++calm >= CALM_WINDOWS) {
      limiting = false
      limit = most
    }
  }

  const close = (now: number) => {
    const latency = sum > 0 ? squares / sum : 0
    const inFlight = sum / (now - windowFrom)
    const atRest = inFlight <= floor
    if (atRest && sum > 0) base.learn(latency, now)
    const least = base.least()
    const allowed = least === Infinity ? 0 : Math.min(OVER_BASE * least, MAX_TARGET_MILLIS)
    const target = Math.max(targetMillis, allowed)
    if (latency > target && !atRest) lower(Math.max(floor, inFlight * target / latency))
    else {
      over = 0
      if (limiting) raise(refusals > 0 || inFlight > limit / 2)
      else if (!atRest) base.learn(latency, now)
    }
    limit = Math.min(limit, most)
    pressure = refusals / count
    options.looked?.(limit)
    sum = squares = count = refusals = 0
    windowFrom = now
  }

  return {
    current: () => limit,
    pressure: () => pressure,
    refused: () => {
      refusals++
    },
    ended: (latency, now) => {
      // After a pause a window begins with its first call.
      if (count === 0 && now - windowFrom > WINDOW_MILLIS) windowFrom = now
      sum += latency
      squares += latency * latency
      count++
      if (now - windowFrom >= WINDOW_MILLIS) close(now)
    }
  }
}
