import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { rootMessage } from "../../config/RootMessage.ts"
import { parseTraceparent } from "../../ports/RequestTracing.ts"

/** The log of requests that went wrong: one line a second of each kind, with how many more there were. */
export interface RequestLog {
  /** Logs a defect. `traceparent`: the header of the request, if it had one. */
  readonly report: (cause: unknown, traceparent?: string) => void
  /** Logs why a request was answered with UNAVAILABLE. */
  readonly warn: (cause: unknown, traceparent?: string) => void
}

/** During an outage every request fails, 10,000 times a second. */
const LOG_INTERVAL_MILLIS = 1_000

const limited = (
  run: (work: Effect.Effect<void>) => unknown,
  log: (suppressed: number, cause: unknown) => Effect.Effect<void>
) => {
  let last = -Infinity
  let suppressed = 0
  let latest: readonly [unknown, string | undefined] | undefined
  const write = (count: number, cause: unknown, traceparent: string | undefined) => {
    last = performance.now()
    suppressed = 0
    latest = undefined
    const span = parseTraceparent(traceparent)
    run(span === undefined ? log(count, cause) : Effect.withParentSpan(log(count, cause), span))
  }
  return (cause: unknown, traceparent?: string) => {
    if (performance.now() - last >= LOG_INTERVAL_MILLIS) return write(suppressed, cause, traceparent)
    suppressed++
    // The last failure of a burst is logged too, with the number of those before it.
    if (latest === undefined) {
      const writeLatest = () => latest === undefined ? undefined : write(suppressed - 1, ...latest)
      setTimeout(writeLatest, LOG_INTERVAL_MILLIS).unref()
    }
    latest = [cause, traceparent]
  }
}

/** `run` starts an effect in the background. */
export const make = (run: (work: Effect.Effect<void>) => unknown): RequestLog => ({
  report: limited(run, (suppressed, cause) =>
    Effect.logError("a request failed unexpectedly", Cause.isCause(cause) ? cause : Cause.die(cause)).pipe(
      Effect.annotateLogs({ suppressed })
    )),
  warn: limited(run, (suppressed, cause) =>
    Effect.logWarning("a request was answered with UNAVAILABLE").pipe(
      Effect.annotateLogs({ suppressed, cause: rootMessage(cause) })
    ))
})
