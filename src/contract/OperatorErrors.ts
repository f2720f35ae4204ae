import * as Schema from "effect/Schema"
import type { FailureTag } from "./FailureTable.ts"

/** No key was sent, or the one that was sent is not (any more) valid. */
export class Unauthenticated extends Schema.TaggedError<Unauthenticated>()("Unauthenticated", {
  message: Schema.String
}) {}

/** The key is valid, and its role is too low for what was asked. */
export class PermissionDenied extends Schema.TaggedError<PermissionDenied>()("PermissionDenied", {
  message: Schema.String,
  /** The lowest role that would do. */
  requiredRole: Schema.String
}) {}

/**
 * The instance cannot do it now: a store is down, or the instance is stopping. Nothing was changed; try again after
 * `retryAfterSeconds`.
 */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {
  message: Schema.String,
  retryAfterSeconds: Schema.Number
}) {}

/** Too many calls at once, of this key or in all; try again after `retryAfterSeconds`. */
export class Overloaded extends Schema.TaggedError<Overloaded>()("Overloaded", {
  message: Schema.String,
  retryAfterSeconds: Schema.Number
}) {}

/** There is no such campaign or key. */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", { message: Schema.String }) {}

/** It cannot be done as things are, e.g. a key of that name exists. */
export class Conflict extends Schema.TaggedError<Conflict>()("Conflict", {
  message: Schema.String,
  /** What it is in particular, for programs: `LAST_ADMIN_KEY`. Clients that know no such word read a conflict. */
  code: Schema.optional(Schema.String)
}) {}

/** The code of a conflict: the act would leave no ADMIN key, and there is no other way in. */
export const LAST_ADMIN_KEY = "LAST_ADMIN_KEY"

/** A field breaks its rule. */
export class InvalidArgument extends Schema.TaggedError<InvalidArgument>()("InvalidArgument", {
  message: Schema.String
}) {}

/** The store failed while committing; whether it committed is not known. */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>()("OutcomeUnknown", {
  message: Schema.String
}) {}

/** Anything unexpected; the cause is in the instance's log alone. */
export class InternalError extends Schema.TaggedError<InternalError>()("InternalError", { message: Schema.String }) {}

/** The failure of the public API that each one corresponds to: clients treat both alike. */
export const publicTags = {
  Unauthenticated: "Unauthenticated",
  PermissionDenied: "PermissionDenied",
  Unavailable: "Unavailable",
  Overloaded: "Overloaded",
  NotFound: "RecordNotFound",
  Conflict: "Conflict",
  InvalidArgument: "InvalidArgument",
  OutcomeUnknown: "OutcomeUnknown",
  InternalError: "InternalServerError"
} as const satisfies Record<OperatorFailure["_tag"], FailureTag>

/** What the guard in front of every call may answer. */
export const Rejection = Schema.Union(Unauthenticated, PermissionDenied, Overloaded, Unavailable, InternalError)
export type Rejection = typeof Rejection.Type

/** What any call may fail with: calls differ in what they do, and their clients treat all failures alike. */
export const OperatorFailure = Schema.Union(
  Unauthenticated,
  PermissionDenied,
  Unavailable,
  Overloaded,
  NotFound,
  Conflict,
  InvalidArgument,
  OutcomeUnknown,
  InternalError
)
export type OperatorFailure = typeof OperatorFailure.Type
