import * as Effect from "effect/Effect"

/** Readers that go on in one turn. */
const TURN_SIZE = 8

/**
 * How long after a turn the next one comes: a thousand readers share 800 messages a second while there is time for
 * them, and 100 while claims take most of it. Each message covers what came since the last.
 */
const TURN_MILLIS = 10
const BUSY_TURN_MILLIS = 80

/** Above this share of its time the event loop is busy. */
const BUSY = 0.6

/** Readers that have something to send go on some at a time, since to encode and write a message delays claims. */
export interface ReaderTurns {
  /** Waits for the reader's turn, in the order in which they asked. */
  readonly next: Effect.Effect<void>
}

/** `utilization`: the share of its time that the event loop was busy since it was last asked. */
export const make = (utilization: () => number = sinceLast()): ReaderTurns => {
  const line = new Set<() => void>()
  let isTurning = false

  const turn = () => {
    let left = TURN_SIZE
    for (const go of line) {
      if (left-- === 0) break
      line.delete(go)
      go()
    }
    if (line.size > 0) setTimeout(turn, utilization() > BUSY ? BUSY_TURN_MILLIS : TURN_MILLIS)
    else isTurning = false
  }

  return {
    next: Effect.async<void>((resume) => {
      const go = () => resume(Effect.void)
      line.add(go)
      if (!isTurning) {
        isTurning = true
        setTimeout(turn, 1)
      }
      return Effect.sync(() => void line.delete(go))
    })
  }
}

const sinceLast = (): () => number => {
  let last = performance.eventLoopUtilization()
  return () => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, last)
    last = now
    return utilization
  }
}
