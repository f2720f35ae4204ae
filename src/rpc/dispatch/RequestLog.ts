import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as LogLimiter from "../../base/LogLimiter.ts"
import { rootMessage } from "../../base/RootMessage.ts"
import { parseTraceparent } from "../../ports/RequestTracing.ts"

/** The log of requests that went wrong: one line a second of each kind, with how many more there were. */
export interface RequestLog {
  /** Logs a defect. `traceparent`: the header of the request, if it had one. */
  readonly report: (cause: unknown, traceparent?: string) => void
  /** Logs why a request was answered with UNAVAILABLE. */
  readonly warn: (cause: unknown, traceparent?: string) => void
}

/** `run` starts an effect in the background. */
export const make = (run: (work: Effect.Effect<void>) => unknown): RequestLog => {
  const limited = (lineOf: (cause: unknown) => Effect.Effect<void>) => {
    const limiter = LogLimiter.make<readonly [unknown, string | undefined]>(1, ([cause, traceparent], suppressed) => {
      const span = parseTraceparent(traceparent)
      const line = Effect.annotateLogs(lineOf(cause), { suppressed })
      run(span === undefined ? line : Effect.withParentSpan(line, span))
    })
    return (cause: unknown, traceparent?: string) => limiter.log([cause, traceparent])
  }
  return {
    report: limited((cause) =>
      Effect.logError("a request failed unexpectedly", Cause.isCause(cause) ? cause : Cause.die(cause))),
    warn: limited((cause) =>
      Effect.annotateLogs(Effect.logWarning("a request was answered with UNAVAILABLE"), { cause: rootMessage(cause) }))
  }
}
