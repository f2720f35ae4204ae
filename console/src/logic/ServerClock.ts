/**
 * The server's clock, estimated from the times in its messages. A message arrives after it was sent, so each time that
 * it says is too early by the message's delay: the largest difference of the last minutes is the nearest one.
 */
export interface ServerClock {
  /** A message said that it was `serverMillis`; it arrived at `localMillis`. */
  readonly observe: (serverMillis: number, localMillis: number) => void
  /** The server's time at this local one. The local time itself, before a message arrived. */
  readonly at: (localMillis: number) => number
  /** By how many milliseconds the server's clock is ahead of the local one. */
  readonly aheadMillis: () => number
}

/** Older observations are left out: clocks are corrected, and laptops sleep. */
export const WINDOW_MILLIS = 120_000

export const make = (): ServerClock => {
  let observations: ReadonlyArray<{ readonly at: number; readonly ahead: number }> = []
  const aheadMillis = () => observations.reduce((most, { ahead }) => Math.max(most, ahead), -Infinity)
  return {
    observe: (serverMillis, localMillis) => {
      if (!Number.isFinite(serverMillis)) return
      const ahead = serverMillis - localMillis
      // One that is not larger and older than this one will never be the largest again.
      observations = [
        ...observations.filter((one) => one.ahead > ahead && Math.abs(localMillis - one.at) < WINDOW_MILLIS),
        { at: localMillis, ahead }
      ]
    },
    at: (localMillis) => observations.length === 0 ? localMillis : localMillis + aheadMillis(),
    aheadMillis: () => observations.length === 0 ? 0 : aheadMillis()
  }
}
