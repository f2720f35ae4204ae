import * as Context from "effect/Context"
import type * as Exit from "effect/Exit"
import * as Tracer from "effect/Tracer"

/** A request that is traced: one in a hundred, unless its caller or the configuration says otherwise. */
export interface TracedRequest {
  /** Of the server, a child of the caller's if the request names one. */
  readonly span: Tracer.Span
  /** `outcome`: OK, or the tag of the failure; `undefined`: a defect. */
  readonly end: (outcome: string | undefined, exit: Exit.Exit<unknown, unknown>) => void
}

/** Decides which requests are traced. Without an exporter none is, and asking costs nothing to speak of. */
export class RequestTracing extends Context.Reference<RequestTracing>()("coupon/issuance/RequestTracing", {
  defaultValue: (): {
    /** `traceparent`: the W3C header's value. Called for every request; `undefined`: not traced. */
    readonly begin: (
      rpc: string,
      input: unknown,
      traceparent: string | undefined,
      service: string
    ) => TracedRequest | undefined
  } => ({ begin: () => undefined })
}) {}

/** Version 00 of https://www.w3.org/TR/trace-context/#traceparent-header, whose ids may not be all zeros. */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/

/** The caller's span; `undefined` if the header is not there or malformed, which W3C has ignored. */
export const parseTraceparent = (header: string | undefined): Tracer.ExternalSpan | undefined => {
  const match = header === undefined ? null : TRACEPARENT.exec(header)
  return match === null
    ? undefined
    : Tracer.externalSpan({ traceId: match[1]!, spanId: match[2]!, sampled: (parseInt(match[3]!, 16) & 1) === 1 })
}
