import * as PerfHooks from "node:perf_hooks"

/** Answers rejected requests at a pace that leaves time for the admitted ones. */
export interface PacedRejections {
  /** Runs `answer`, which must not throw: at once or, when there are many, in its turn a little later. */
  readonly reject: (answer: () => void) => void
  /** A call that was admitted has ended. */
  readonly served: () => void
  /** Answers that wait. */
  readonly held: () => number
}

/** Milliseconds: of a clock, and how long the event loop had nothing to do so far. */
export interface Clock {
  readonly now: () => number
  readonly idle: () => number
}

/**
 * A rejected request costs Node what a bare echo does, a third of a durable coupon. At ten times the load that the
 * service can carry, rejecting all at once would leave no time for the rest. A client whose answer waits sends no new
 * request meanwhile, so this also slows the flood down.
 *
 * While the event loop has time to spare, so many are answered a turn, which is at most once in an interval.
 */
const A_TURN = 32
const INTERVAL_MILLIS = 1

/** Less idle time than this share means no time to spare. Then one is rejected for so many served: 4 % of the time. */
const IDLE_SHARE = 0.05
const SERVED_FOR_ONE = 8

/** An answer that has waited this long is sent in any case, 32 a turn. */
const LONGEST_WAIT_MILLIS = 3_000

/** Beyond, the oldest are answered at once: a bound for memory. */
const MOST = 10_000

const platform: Clock = { now: () => performance.now(), idle: () => PerfHooks.performance.eventLoopUtilization().idle }

export const make = (clock: Clock = platform): PacedRejections => {
  let waiting: Array<() => void> = []
  let since: Array<number> = []
  let next = 0
  let allowance = A_TURN
  let served = 0
  let unused = true
  let [lookedAt, idleThen] = [0, 0]
  let timer: NodeJS.Timeout | undefined

  const begin = (now: number, idle: number) => {
    lookedAt = now
    idleThen = idle
    served = 0
    unused = true
  }

  const turn = () => {
    const now = clock.now()
    const idle = clock.idle()
    if (next === waiting.length && unused) {
      clearInterval(timer)
      timer = undefined
      allowance = A_TURN
      return
    }
    // A fraction of an answer is kept for the next turn. An allowance that was not used is not.
    const kept = next === waiting.length ? 0 : allowance % 1
    allowance = idle - idleThen > (now - lookedAt) * IDLE_SHARE ? A_TURN : kept + served / SERVED_FOR_ONE
    begin(now, idle)
    for (let answered = 0; next < waiting.length; answered++) {
      if (allowance >= 1) allowance--
      else if (answered >= A_TURN || now - since[next]! < LONGEST_WAIT_MILLIS) break
      unused = false
      waiting[next++]!()
    }
    if (next === waiting.length) {
      waiting = []
      since = []
      next = 0
    } else if (next > MOST) {
      waiting = waiting.slice(next)
      since = since.slice(next)
      next = 0
    }
  }

  return {
    held: () => waiting.length - next,
    served: () => {
      served++
    },
    reject: (answer) => {
      if (timer === undefined) {
        timer = setInterval(turn, INTERVAL_MILLIS)
        begin(clock.now(), clock.idle())
      }
      unused = false
      if (allowance >= 1) {
        allowance--
        answer()
        return
      }
      waiting.push(answer)
      since.push(clock.now())
      if (waiting.length - next > MOST) waiting[next++]!()
    }
  }
}
