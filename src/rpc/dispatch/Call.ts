import type { IssueFailure } from "../../domain/Failure.ts"
import type { Request, Response } from "../Request.ts"
import type { Metadata, Route } from "../Route.ts"

/**
 * One call, as its protocol has read it, and where its outcome goes. The fields stand in the same order wherever one is
 * made: then all calls have one hidden class.
 */
export interface Call {
  readonly route: Route
  /** What the route's decoder returned. */
  readonly input: unknown
  /** The caller's own timeout; `undefined`: none. */
  readonly timeoutMillis: number | undefined
  /** The value of the header `authorization`. */
  readonly authorization: string | undefined
  /** The value of the header `traceparent`. */
  readonly traceparent: string | undefined
  /** Present if and only if the route wants it. */
  readonly metadata: Metadata | undefined
  /** The result of `Dispatcher.clientOf`. */
  readonly client: number
  /** Where the call came from, for `HttpSource`. A call that needs no key asks for nothing of it. */
  readonly request: Request
  readonly response: Response
  /** The call succeeded. Must not throw. */
  readonly answered: (answer: unknown) => void
  /** The call failed; `undefined`: by a defect, which is in the log. Must not throw. */
  readonly failed: (failure: IssueFailure | undefined) => void
}
