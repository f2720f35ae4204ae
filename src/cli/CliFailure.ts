import * as Data from "effect/Data"
import type { Exit } from "./ExitCode.ts"

/** Why a command did not do what it was asked: told on standard error, and by the exit code. */
export class CliFailure extends Data.TaggedError("CliFailure")<{
  readonly exit: Exit
  /** For programs: the contract's message or a tag, e.g. `RECORD_NOT_FOUND`. */
  readonly code: string
  readonly message: string
  /** What to do about it. */
  readonly hint?: string | undefined
}> {}

const inner = (cause: unknown): { readonly code: string | undefined; readonly message: string } => {
  if (!(cause instanceof Error)) return { code: undefined, message: String(cause) }
  const { code } = cause as NodeJS.ErrnoException
  if (cause instanceof AggregateError && cause.errors.length > 0) return inner(cause.errors[0])
  if (cause.cause !== undefined && cause.cause !== null) {
    const deeper = inner(cause.cause)
    if (deeper.message !== "") return deeper
  }
  return { code: typeof code === "string" ? code : undefined, message: cause.message || cause.name }
}

/** Codes of connections that were never made, so that nothing can have been done over them. */
const NEVER_SENT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT"])

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "the name server does not answer",
  ECONNRESET: "the connection was cut",
  UND_ERR_SOCKET: "the connection was cut"
}

/** The service was not reached, or the connection broke. `writes`: the call changes something. */
export const unreachable = (url: string, cause: unknown, writes: boolean): CliFailure => {
  const { code, message } = inner(cause)
  const unknown = writes && (code === undefined || !NEVER_SENT.has(code))
  return new CliFailure({
    exit: unknown ? "UNKNOWN" : "UNAVAILABLE",
    code: unknown ? "OUTCOME_UNKNOWN" : "UNREACHABLE",
    message: `${url} does not answer: ${words[code ?? ""] ?? message}`,
    hint: unknown
      ? "whether it was done is not known: look (e.g. `coupon campaign list`, `coupon get`) before you repeat it"
      : "is the service running (`npm start`), and at this address? --url or COUPON_URL says another one; `coupon doctor` looks closer"
  })
}

/** How failures of the contract end a command, by the part of the message before any colon. */
const contract: Readonly<Record<string, { readonly exit: Exit; readonly hint?: string }>> = {
  INVALID_ARGUMENT: { exit: "USAGE" },
  RECORD_NOT_FOUND: { exit: "NOT_FOUND", hint: "check the ids; `coupon campaign list` shows the campaigns there are" },
  CAMPAIGN_NOT_STARTED: { exit: "PRECONDITION", hint: "`coupon campaign get` shows when it starts" },
  COUPON_ALREADY_CLAIMED: { exit: "PRECONDITION" },
  CAMPAIGN_ENDED: { exit: "PRECONDITION" },
  CAMPAIGN_PAUSED: { exit: "PRECONDITION", hint: "`coupon campaign resume` lets it go on" },
  COUPON_SOLD_OUT: { exit: "PRECONDITION", hint: "`coupon campaign update --limit` raises the limit" },
  CONFLICT: { exit: "PRECONDITION", hint: "somebody else changed it: look with `coupon campaign get`, then repeat with its version" },
  OVERLOADED: { exit: "UNAVAILABLE", hint: "try again in a second" },
  RATE_LIMITED: { exit: "UNAVAILABLE", hint: "this key's calls a second are spent: try again in a second" },
  UNAVAILABLE: { exit: "UNAVAILABLE", hint: "a store is down: `coupon doctor` says which; try again" },
  OUTCOME_UNKNOWN: { exit: "UNKNOWN", hint: "look before you repeat it (a claim may be repeated at any time)" },
  UNAUTHENTICATED: { exit: "ACCESS", hint: "give a key by COUPON_API_KEY (or --key, which other users of this machine can see)" },
  PERMISSION_DENIED: { exit: "ACCESS", hint: "use a key with a higher role; an ADMIN makes one by `coupon keys create`" },
  INTERNAL_SERVER_ERROR: { exit: "FAILED", hint: "the cause is in the log of the instance that answered" }
}

/** A failure with one of the contract's messages; `undefined`: it is none of them. */
export const fromContract = (text: string): CliFailure | undefined => {
  const code = text.split(":", 1)[0]!.trim()
  const known = contract[code]
  return known && new CliFailure({ exit: known.exit, code, message: text, hint: known.hint })
}

/** The caller's own timeout ran out. */
export const tooSlow = (url: string, writes: boolean): CliFailure =>
  new CliFailure({
    exit: writes ? "UNKNOWN" : "UNAVAILABLE",
    code: "DEADLINE_EXCEEDED",
    message: `${url} did not answer in time`,
    hint: writes ? "whether it was done is not known: look before you repeat it" : "try again, or allow it more by --timeout"
  })
