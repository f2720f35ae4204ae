import * as Data from "effect/Data"

/** The caller's timeout ran out. `mayBeDone`: the call changes something, and the service may still do it. */
export class TimedOut extends Data.TaggedError("TimedOut")<{ readonly url: string; readonly mayBeDone: boolean }> {}

/** The connection could not be made, or failed before the answer. `mayBeDone` as in `TimedOut`. */
export class Unreachable extends Data.TaggedError("Unreachable")<{
  readonly url: string
  /** In a few words, e.g. `nothing listens there`. */
  readonly reason: string
  readonly mayBeDone: boolean
}> {}

/** The answer is not one of this service: another server, a proxy, or a version that does not know the call. */
export class UnexpectedAnswer extends Data.TaggedError("UnexpectedAnswer")<{
  readonly url: string
  /** The HTTP status; `undefined`: it is not known. */
  readonly status: number | undefined
  /** What was answered, for people. */
  readonly text: string
}> {}

/** A call may fail with these whatever it asks for. */
export type NoAnswer = TimedOut | Unreachable | UnexpectedAnswer

const innermost = (cause: unknown): { readonly code: string | undefined; readonly message: string } => {
  if (!(cause instanceof Error)) return { code: undefined, message: String(cause) }
  const { code } = cause as NodeJS.ErrnoException
  if (cause instanceof AggregateError && cause.errors.length > 0) return innermost(cause.errors[0])
  if (cause.cause !== undefined && cause.cause !== null) {
    const deeper = innermost(cause.cause)
    if (deeper.message !== "") return deeper
  }
  return { code: typeof code === "string" ? code : undefined, message: cause.message || cause.name }
}

/** Error codes of connections that were never made: the service has not received the call. */
const NEVER_SENT = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT"
])

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "the name server does not answer",
  ECONNRESET: "the connection was cut",
  UND_ERR_SOCKET: "the connection was cut"
}

/** Why no answer came, from what the HTTP client threw. `writes`: the call changes something. */
export const unreachable = (url: string, cause: unknown, writes: boolean): Unreachable => {
  const { code = "", message } = innermost(cause)
  return new Unreachable({ url, reason: reasons[code] ?? message, mayBeDone: writes && !NEVER_SENT.has(code) })
}
