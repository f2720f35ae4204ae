import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { PermissionDenied, RateLimited, Unauthenticated } from "../domain/IssueFailure.ts"
import { Unavailable } from "../domain/IssueFailure.ts"
import type { Principal } from "./Principal.ts"
import { anonymous, anonymousAdmin } from "./Principal.ts"
import type { Access } from "./Role.ts"

/** Why somebody is not let in; `transport/ErrorCatalog` has the messages. */
export type Refusal = Unauthenticated | PermissionDenied | RateLimited | Unavailable

/** Decides who may call what: the one place that does, whatever the protocol. */
export class Guard extends Context.Tag("coupon/security/Guard")<Guard, {
  /** Whether ANYONE and SELF without an Authorization header are let in, whoever they are, so that nobody need ask. */
  readonly publicIsOpen: boolean
  /**
   * Lets a call in, or fails with why not. `authorization` is the header's value, `userId` the user that a call of SELF is
   * about. Without keys configured (and not in production) everybody is let in as `anonymous`, with the role ADMIN.
   */
  readonly admit: (authorization: string | undefined, access: Access, userId?: bigint) => Effect.Effect<Principal, Refusal>
}>() {}

/** Lets everybody in: for tests of what lies behind. */
export const open: Guard["Type"] = {
  publicIsOpen: true,
  admit: (_, access) => Effect.succeed(access === "ANYONE" || access === "SELF" ? anonymous : anonymousAdmin)
}

const notReady = new Unavailable({ retryAfterSeconds: 1 })

/**
 * For transports of their own, such as the operator plane: as `Guard.admit`, and UNAVAILABLE while the stores, and with them the
 * keys, are still awaited. Pass `Startup`'s type: `admit(startup, request.headers.authorization, "VIEWER")`.
 */
export const admit = (
  startup: { readonly current: () => { readonly guard: Guard["Type"] } | undefined },
  authorization: string | undefined,
  access: Access
): Effect.Effect<Principal, Refusal> => startup.current()?.guard.admit(authorization, access) ?? Effect.fail(notReady)
