import * as Data from "effect/Data"
import type { NoAnswer } from "../client/ClientFailure.ts"
import type { CallFailure } from "../client/CouponClient.ts"
import type { OperatorCallFailure } from "../client/OperatorClient.ts"
import { publicTags } from "../contract/OperatorErrors.ts"
import { type FailureTag, table, textOf } from "../contract/FailureTable.ts"
import { type EpochMillis, formatRfc3339 } from "../domain/Time.ts"
import type { Exit } from "./ExitCode.ts"

/** Why a command did not do what was asked: printed on standard error, and shown by the exit code. */
export class CliFailure extends Data.TaggedError("CliFailure")<{
  readonly exit: Exit
  /** For programs: the failure's message such as `RECORD_NOT_FOUND`, or a word of the command's own. */
  readonly code: string
  readonly message: string
  /** What to do about it. */
  readonly hint?: string | undefined
}> {}

/** A mistake on the command line. */
export const usage = (message: string): CliFailure => new CliFailure({ exit: "USAGE", code: "USAGE", message })

type Answered = Exclude<FailureTag, "DeadlineExceeded">

/** How each failure of the service ends a command. */
const exits: { readonly [Tag in Answered]: { readonly exit: Exit; readonly hint?: string } } = {
  InvalidArgument: { exit: "USAGE" },
  RecordNotFound: { exit: "NOT_FOUND", hint: "check the ids; `coupon campaign list` shows all campaigns" },
  CampaignNotStarted: { exit: "PRECONDITION", hint: "`coupon campaign get` shows when it starts" },
  CouponAlreadyClaimed: { exit: "PRECONDITION" },
  CampaignEnded: { exit: "PRECONDITION" },
  CodesExhausted: { exit: "PRECONDITION" },
  CampaignPaused: { exit: "PRECONDITION", hint: "`coupon campaign resume` resumes it" },
  CouponSoldOut: { exit: "PRECONDITION", hint: "`coupon campaign update --limit` raises the limit" },
  CouponRedeemed: { exit: "PRECONDITION" },
  CouponExpired: { exit: "PRECONDITION" },
  CouponRevoked: { exit: "PRECONDITION" },
  Conflict: {
    exit: "PRECONDITION",
    hint: "it was changed meanwhile: look with `coupon campaign get`, then repeat with its version"
  },
  Overloaded: { exit: "UNAVAILABLE", hint: "try again in a second" },
  RateLimited: { exit: "UNAVAILABLE", hint: "this key has used its calls of this second: try again in a second" },
  Unavailable: { exit: "UNAVAILABLE", hint: "a store is down: `coupon doctor` says which; try again" },
  OutcomeUnknown: { exit: "UNKNOWN", hint: "look before you repeat it (a claim may be repeated at any time)" },
  Unauthenticated: {
    exit: "ACCESS",
    hint: "give a key by COUPON_API_KEY (or --key, which other users of this machine can see)"
  },
  PermissionDenied: {
    exit: "ACCESS",
    hint: "use a key with a higher role, or with other limits; an ADMIN makes one by `coupon keys create`"
  },
  WebhooksOff: { exit: "PRECONDITION", hint: "set SECRETS_KEY: `npm start -- --help` says what it is" },
  InternalServerError: { exit: "FAILED", hint: "the cause is in the log of the instance that answered" }
}

const answered = (tag: Answered, message: string): CliFailure =>
  new CliFailure({ ...exits[tag], code: table[tag].message, message })

const unexpected = (url: string, status: number | undefined, text: string): CliFailure => {
  const message = `${url} answers ${text}`
  if (status === undefined) {
    return new CliFailure({
      exit: "FAILED",
      code: "UNEXPECTED",
      message,
      hint: "this may be another server than coupon-issuance, or a version that does not know this call"
    })
  }
  return new CliFailure({
    exit: status === 429 || status >= 500 ? "UNAVAILABLE" : "FAILED",
    code: `HTTP_${status}`,
    message,
    hint: status === 404
      ? "a proxy may hide the operator plane from the public: the repository's Envoy serves it on a listener of its " +
        "own, http://127.0.0.1:8081; and with ADMIN_PORT set, an instance serves it there alone (--url or COUPON_URL)"
      : "a proxy or another server may have answered"
  })
}

/** No answer, or none of the service. */
export const ofNoAnswer = (failure: NoAnswer): CliFailure => {
  switch (failure._tag) {
    case "TimedOut":
      return new CliFailure({
        exit: failure.mayBeDone ? "UNKNOWN" : "UNAVAILABLE",
        code: table.DeadlineExceeded.message,
        message: `${failure.url} did not answer in time`,
        hint: failure.mayBeDone
          ? "it may have been done: look before you repeat it"
          : "try again, or wait longer with --timeout"
      })
    case "Unreachable":
      return new CliFailure({
        exit: failure.mayBeDone ? "UNKNOWN" : "UNAVAILABLE",
        code: failure.mayBeDone ? table.OutcomeUnknown.message : "UNREACHABLE",
        message: `${failure.url} does not answer: ${failure.reason}`,
        hint: failure.mayBeDone
          ? "it may have been done: look (e.g. `coupon campaign list`, `coupon get`) before you repeat it"
          : "is the service running (`npm start`), and at this address? " +
            "--url or COUPON_URL gives another one; `coupon doctor` shows more"
      })
    case "UnexpectedAnswer":
      return unexpected(failure.url, failure.status, failure.text)
  }
}

const at = (time: EpochMillis | undefined): string => time === undefined ? "" : `: at ${formatRfc3339(time)}`

/** How a failed call of the public API ends a command. */
export const ofCall = (failure: CallFailure | CliFailure): CliFailure => {
  switch (failure._tag) {
    case "CliFailure":
      return failure
    case "TimedOut":
    case "Unreachable":
    case "UnexpectedAnswer":
      return ofNoAnswer(failure)
    case "CouponAlreadyClaimed": {
      const { code, expiresAt, issuedAt, userId } = failure.coupon
      const until = expiresAt === undefined ? "" : ` until ${formatRfc3339(expiresAt)}`
      const since = formatRfc3339(issuedAt)
      return answered(failure._tag, `${textOf(failure)}: user ${userId} holds ${code} since ${since}${until}`)
    }
    case "CouponRedeemed": {
      const { redeemedAt, terminalId } = failure.coupon
      return answered(failure._tag, `${textOf(failure)}${at(redeemedAt)}${terminalId === "" ? "" : `, ${terminalId}`}`)
    }
    case "CouponExpired":
      return answered(failure._tag, textOf(failure) + at(failure.coupon.expiresAt))
    case "CouponRevoked":
      return answered(failure._tag, textOf(failure) + at(failure.coupon.revokedAt))
    default:
      return answered(failure._tag, textOf(failure))
  }
}

/** Where webhooks are meant, the hints about campaigns would mislead. */
const webhookHints: { readonly [Tag in Answered]?: string } = {
  RecordNotFound: "check the ids; `coupon webhook list` shows all webhooks, `coupon campaign list` all campaigns",
  Conflict: "it was changed meanwhile: look with `coupon webhook get`, then repeat with its version"
}

/** How a failed call about webhooks ends a command. */
export const ofWebhookCall = (failure: CallFailure | CliFailure): CliFailure => {
  const ended = ofCall(failure)
  const hint = (webhookHints as { readonly [tag: string]: string | undefined })[failure._tag]
  return hint === undefined ? ended : new CliFailure({ ...ended, message: ended.message, hint })
}

/** How a failed call of the operator plane ends a command. */
export const ofOperatorCall = (failure: OperatorCallFailure | CliFailure): CliFailure => {
  switch (failure._tag) {
    case "CliFailure":
      return failure
    case "TimedOut":
    case "Unreachable":
    case "UnexpectedAnswer":
      return ofNoAnswer(failure)
    case "NotFound":
      // It may be a key: the hint about campaigns alone would mislead.
      return new CliFailure({
        exit: "NOT_FOUND",
        code: table.RecordNotFound.message,
        message: failure.message,
        hint: "check the id; `coupon campaign list` shows all campaigns, `coupon keys list` all keys"
      })
    case "Conflict":
      // Of keys: the hint about versions of campaigns would mislead.
      return new CliFailure({
        exit: "PRECONDITION",
        code: failure.code ?? table.Conflict.message,
        message: failure.message
      })
    default:
      return answered(publicTags[failure._tag], failure.message)
  }
}

/** An answer that ends without its last event was cut short: its verdict would not cover all campaigns. */
export const cutShort = new CliFailure({
  exit: "UNAVAILABLE",
  code: "UNREACHABLE",
  message: "the answer ended before it was complete",
  hint: "the instance may have stopped: try again"
})
