import * as TokenBucket from "./TokenBucket.ts"

/** Bounds how often log lines of one kind are written while something fails ten thousand times a second. */
export interface LogLimiter<A> {
  /** Writes the line, or holds it back. Of the lines held back, the last one is written, within a second. */
  readonly log: (line: A) => void
  /** Writes the line that is held back, if there is one. */
  readonly flush: () => void
}

/** Lines a second once the burst is used up. */
const PER_SECOND = 1

/**
 * `burst`: lines that are written at once. `write` receives the number of lines that were left out since the one
 * before. It must not throw: a timer calls it too.
 */
export const make = <A>(
  burst: number,
  write: (line: A, suppressed: number) => void,
  now: () => number = () => performance.now()
): LogLimiter<A> => {
  const rate = { perSecond: PER_SECOND, burst }
  const bucket = TokenBucket.make(rate, now())
  let suppressed = 0
  let last: { readonly line: A } | undefined
  let timer: NodeJS.Timeout | undefined
  const pass = (line: A, count: number) => {
    clearTimeout(timer)
    timer = undefined
    suppressed = 0
    last = undefined
    write(line, count)
  }
  const flush = () => {
    if (last === undefined) return
    // The token of the second that has passed; a timer may be a moment early for it.
    TokenBucket.drain(bucket, now())
    pass(last.line, suppressed - 1)
  }
  return {
    flush,
    log: (line) => {
      if (TokenBucket.take(bucket, rate, now()) === 0) return pass(line, suppressed)
      suppressed++
      last = { line }
      timer ??= setTimeout(flush, 1_000 / PER_SECOND).unref()
    }
  }
}
