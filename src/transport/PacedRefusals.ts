/** Answers refused requests no faster than leaves time for those that were not. */
export interface PacedRefusals {
  /** Runs `answer`, which must not throw: at once or, when there are many, in its turn a little later. */
  readonly refuse: (answer: () => void) => void
  /** Answers that wait. */
  readonly held: () => number
}

/**
 * A refused request costs Node what a bare echo does, a fourth of a durable coupon: with ten times as many requests as the service
 * can carry, refusing all of them at once would leave it no time for any other. The client of an answer that waits does not
 * ask again meanwhile, so this slows the flood itself down, at no cost.
 *
 * The pace is so many an interval of a timer that fires at most once in a turn of the event loop: 32,000 a second
 * on a loop with nothing else to do, and few where turns are long, which is when time is short.
 */
const A_TURN = 32
const INTERVAL_MILLIS = 1

/** Beyond, the oldest are answered at once: a bound for memory, and for how long anybody waits. */
const MOST = 10_000

export const make = (): PacedRefusals => {
  let waiting: Array<() => void> = []
  let next = 0
  let allowance = A_TURN
  let timer: NodeJS.Timeout | undefined

  const turn = () => {
    const end = Math.min(next + A_TURN, waiting.length)
    allowance = A_TURN - (end - next)
    while (next < end) waiting[next++]!()
    if (next === waiting.length) {
      waiting = []
      next = 0
      if (allowance === A_TURN) {
        clearInterval(timer)
        timer = undefined
      }
    } else if (next > MOST) {
      waiting = waiting.slice(next)
      next = 0
    }
  }

  return {
    held: () => waiting.length - next,
    refuse: (answer) => {
      timer ??= setInterval(turn, INTERVAL_MILLIS)
      if (allowance > 0) {
        allowance--
        answer()
        return
      }
      waiting.push(answer)
      if (waiting.length - next > MOST) waiting[next++]!()
    }
  }
}
