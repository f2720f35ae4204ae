/** How many calls may be in progress, by how long they take. */
export interface LatencyLimit {
  readonly current: () => number
  /** A call ended; both in milliseconds, `now` of `performance.now()`. */
  readonly ended: (latency: number, now: number) => void
  /** A call was refused. */
  readonly refused: () => void
  /** Calls refused for one that ended, of late; 0 while nothing has to be. */
  readonly pressure: () => number
}

/** How often the limit is looked at: a few group commits. */
const WINDOW_MILLIS = 100

/** For so many windows a queue may stand before anything is refused: a burst, or a pause of the ledger's, is carried. */
const PATIENT_WINDOWS = 2

/** After so many windows that hardly used the limit there is none any more. */
const CALM_WINDOWS = 10

/** A ledger that is slow at rest makes no queue: so many times its latency is always allowed. */
const OVER_BASE = 5
const LONGEST_TARGET_MILLIS = 1_000

/** The latency at rest is the lowest of the last 30 to 60 s. */
const BASE_MILLIS = 30_000

/** Never limit below this: smaller queues add no visible latency, and group commit needs batches of about this size. */
export const FLOOR = 64

/**
 * Little's law says how many calls in progress make a latency: `limit = rate x target`. It is applied as CoDel (RFC 8289) does its
 * own target: only to a queue that stands, never to one that comes and goes; then it is followed by AIMD, halfway down (or up) to what
 * the window's own rate gives while calls take longer than the target, and up by the limit's square root (as Netflix' Gradient2) while
 * they do not.
 *
 * Not Vegas or Gradient2, which take latency over the least latency for a queue: group commit makes batches of what waits, so
 * going from 1.5 ms with one call to 13 with 128 is how it comes to its rate, and they would end at batches of a few. And in a
 * rush that lasts, Gradient2's long-term average drifts up to any latency. docs/internals/decisions.md has more.
 *
 * Latency is weighted by itself (sum of squares over sum): what a call in progress sees. Answers from memory, which take no time
 * and hold no place, then do not hide the others.
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
  let [windowFrom, baseFrom] = [-Infinity, -Infinity]
  let [base, baseBefore] = [Infinity, Infinity]
  let pressure = 0

  const learn = (latency: number, now: number) => {
    if (now - baseFrom > BASE_MILLIS) {
      baseBefore = base
      base = Infinity
      baseFrom = now
    }
    base = Math.min(base, latency)
  }

  const close = (now: number) => {
    const latency = sum > 0 ? squares / sum : 0
    const inFlight = sum / (now - windowFrom)
    const atRest = inFlight <= floor
    if (atRest && sum > 0) learn(latency, now)
    const least = Math.min(base, baseBefore)
    const target = least === Infinity ? targetMillis : Math.max(targetMillis, Math.min(OVER_BASE * least, LONGEST_TARGET_MILLIS))
    if (latency > target && !atRest) {
      calm = 0
      const proposed = Math.max(floor, inFlight * target / latency)
      if (limiting) limit += (proposed - limit) / 2
      else if (++over >= PATIENT_WINDOWS) {
        limiting = true
        limit = proposed
      }
    } else {
      over = 0
      if (!limiting && !atRest) learn(latency, now)
      if (limiting) {
        if (refusals > 0 || inFlight > limit / 2) {
          calm = 0
          limit += Math.sqrt(limit)
        } else if (++calm >= CALM_WINDOWS) {
          limiting = false
          limit = most
        }
      }
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
