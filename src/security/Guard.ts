import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import * as LogLimiter from "../base/LogLimiter.ts"
import { AppConfig } from "../config/AppConfig.ts"
import { PermissionDenied, RateLimited, Unauthenticated, Unavailable } from "../domain/Failure.ts"
import type { RequestSource } from "../domain/Actor.ts"
import { ApiKeys } from "./ApiKeys.ts"
import type { Principal } from "../domain/Principal.ts"
import { anonymous, anonymousAdmin } from "../domain/Principal.ts"
import type { Access, Role } from "../domain/Role.ts"
import { allows, isRole } from "../domain/Role.ts"
import { idOf, looksLikeKey } from "./Secret.ts"
import * as TokenBuckets from "./TokenBuckets.ts"
import { UserTokens } from "./UserTokens.ts"

/** Why a call is rejected; `rpc/ErrorCatalog` has the messages. */
export type Rejection = Unauthenticated | PermissionDenied | RateLimited | Unavailable

/** Who sends a request: its credentials, and where it came from. */
export interface Caller {
  /** The value of the header `Authorization`. */
  readonly authorization: string | undefined
  readonly source: RequestSource
}

/** Decides who may call what, in all protocols. */
export class Guard extends Context.Tag("coupon/security/Guard")<Guard, {
  /** Whether calls for ANYONE, SELF and READ_SELF need no Authorization header. They may then skip `admit`. */
  readonly publicIsOpen: boolean
  /**
   * Whether GetCampaign lists codes to a caller whom it admitted. A code alone may have a value, so in production and
   * where users have tokens only a key lists them.
   */
  readonly mayListCodes: (principal: Principal) => boolean
  /**
   * Admits a call, or fails with the reason. `userId` is the user that a call of SELF is about. Where
   * OPEN_ADMINISTRATION opens it, and unless `ApiKeys.configured`, every caller is `anonymous`, of role ADMIN.
   */
  readonly admit: (
    caller: Caller,
    access: Access,
    userId?: bigint
  ) => Effect.Effect<Principal, Rejection>
}>() {}

/** Admits every call, for tests. */
export const open: Guard["Type"] = {
  publicIsOpen: true,
  mayListCodes: () => true,
  admit: (_, access) => Effect.succeed(isRole(access) ? anonymousAdmin : anonymous)
}

/** What a key of this role lacks for a call; `undefined` if it lacks nothing. */
const lacking = (role: Principal["role"], access: Access): string | undefined => {
  if (role === "NONE") return "an API key"
  if (isRole(access)) return allows(role, access) ? undefined : `the rights of ${access}`
  if (access === "SELF") return allows(role, "ISSUER") ? undefined : "the rights of ISSUER"
  return undefined
}

const BEARER = /^bearer +([\x21-\x7e]+) *$/i

const SEND_KEY = "send it as \"Authorization: Bearer <key>\""
const unknownKey = new Unauthenticated({ reason: "the API key is unknown or revoked" })
const notBearer = new Unauthenticated({ reason: `the Authorization header is not of the form "Bearer <key>"` })

const storeDown = (cause: unknown) => new Unavailable({ retryAfterSeconds: 1, cause })

/** A rejected call of administration, and the runtime of its fiber: the log line belongs to the request's trace. */
interface Rejected {
  readonly access: Access
  readonly credential: string | undefined
  readonly reason: string
  readonly runtime: Runtime.Runtime<never>
}

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const keys = yield* ApiKeys
  const tokens = yield* UserTokens
  const buckets = TokenBuckets.make()
  const keyForPublic = config.publicAccess === "key"

  const rejections = LogLimiter.make<Rejected>(1, ({ access, credential, reason, runtime }, suppressed) => {
    const key = credential === undefined ? "none" : idOf(credential) ?? "not one of ours"
    Runtime.runFork(runtime)(
      Effect.annotateLogs(Effect.logWarning(`an administrative call was refused: ${reason}`), {
        needs: access,
        key,
        suppressed
      })
    )
  })

  /** Logs attempts on administration. Never the secret: of a key of ours, its id. */
  const trace = (credential: string | undefined, access: Access) => (rejection: Rejection) => {
    if (!isRole(access) || rejection._tag === "Unavailable") return Effect.void
    const reason = rejection._tag === "RateLimited" ? "rate limit" : rejection.reason
    return Effect.map(Effect.runtime<never>(), (runtime) => rejections.log({ access, credential, reason, runtime }))
  }

  /** Counts the call against the key's rate. */
  const counted = (principal: Principal): Effect.Effect<Principal, RateLimited> => {
    const { keyId, requestsPerSecond } = principal
    if (keyId === undefined || requestsPerSecond === undefined) return Effect.succeed(principal)
    const wait = buckets.take(keyId, requestsPerSecond)
    return wait === 0 ? Effect.succeed(principal) : Effect.fail(new RateLimited({ retryAfterSeconds: wait }))
  }

  const authenticate = (credential: string) => Effect.mapError(keys.authenticate(credential), storeDown)

  const holder = (credential: string): Effect.Effect<Principal, Rejection> =>
    Effect.flatMap(authenticate(credential), (principal): Effect.Effect<Principal, Rejection> =>
      principal === undefined ? Effect.fail(unknownKey) : counted(principal))

  const withKey = (credential: string, access: Access) =>
    Effect.flatMap(holder(credential), (principal) => {
      const { name, role } = principal
      const missing = lacking(role, access)
      if (missing === undefined) return Effect.succeed(principal)
      const reason = `this call needs ${missing}, and the key "${name}" is of role ${role}`
      return Effect.fail(new PermissionDenied({ reason }))
    })

  const administration = (credential: string | undefined, role: Role): Effect.Effect<Principal, Rejection> => {
    if (credential !== undefined) return withKey(credential, role)
    const reason = `this call needs an API key with the rights of ${role}; ${SEND_KEY}`
    const missing = Effect.fail(new Unauthenticated({ reason }))
    if (!config.mayOpenAdministration) return missing
    return Effect.flatMap(Effect.mapError(keys.configured, storeDown), (configured) =>
      configured ? missing : Effect.succeed(anonymousAdmin))
  }

  const withToken = (token: string, users: NonNullable<typeof tokens>, userId: bigint | undefined) =>
    users.subject(token).pipe(
      Effect.mapError((failure) =>
        failure._tag === "TokenRejected" ? new Unauthenticated({ reason: failure.message }) : storeDown(failure)),
      Effect.flatMap((subject) =>
        userId === undefined || subject === String(userId)
          ? Effect.succeed<Principal>({ name: `user ${subject}`, role: "NONE" })
          : Effect.fail(new PermissionDenied({ reason: "userId is not the token's subject" })))
    )

  const publicCall = (
    credential: string | undefined,
    access: Exclude<Access, Role>,
    userId: bigint | undefined
  ): Effect.Effect<Principal, Rejection> => {
    if (tokens !== undefined && access !== "ANYONE") {
      if (credential === undefined) {
        return Effect.fail(new Unauthenticated({
          reason: "this call needs a token (JWT) whose subject is userId, or an API key with the rights of ISSUER; " +
            SEND_KEY.replace("key", "token or key")
        }))
      }
      if (looksLikeKey(credential)) return withKey(credential, access)
      // ADMIN_API_KEY may have any form.
      return Effect.flatMap(authenticate(credential), (principal) =>
        principal === undefined ? withToken(credential, tokens, userId) : withKey(credential, access))
    }
    if (keyForPublic) {
      if (credential === undefined) {
        return Effect.fail(new Unauthenticated({ reason: `this call needs an API key; ${SEND_KEY}` }))
      }
      return withKey(credential, access)
    }
    // No credential is needed. A key is checked nevertheless, so that a revoked one fails, its rate is kept, and its
    // holder sees the codes. ADMIN_API_KEY may have any form. Other credentials, such as a token for a proxy in front,
    // are ignored.
    if (credential === undefined) return Effect.succeed(anonymous)
    if (looksLikeKey(credential)) return holder(credential)
    return Effect.map(authenticate(credential), (principal) => principal ?? anonymous)
  }

  return Guard.of({
    publicIsOpen: !keyForPublic && tokens === undefined,
    mayListCodes: ({ role }) => role !== "NONE" || (!config.production && tokens === undefined),
    admit: ({ authorization }, access, userId) => {
      const credential = authorization === undefined ? undefined : BEARER.exec(authorization)?.[1]
      const asked = isRole(access) || keyForPublic || (tokens !== undefined && access !== "ANYONE")
      if (authorization !== undefined && credential === undefined && asked) return Effect.fail(notBearer)
      return isRole(access)
        ? Effect.tapError(administration(credential, access), trace(credential, access))
        : publicCall(credential, access, userId)
    }
  })
})

export const layer: Layer.Layer<Guard, never, AppConfig | ApiKeys | UserTokens> = Layer.effect(Guard, make)

const notReady = new Unavailable({ retryAfterSeconds: 1 })

/**
 * For other transports, such as the operator plane: as `Guard.admit`, and UNAVAILABLE while the stores, and with them
 * the keys, are still awaited. Pass `Startup`'s type: `admit(startup, caller, "VIEWER")`.
 */
export const admit = (
  startup: { readonly current: () => { readonly guard: Guard["Type"] } | undefined },
  caller: Caller,
  access: Access
): Effect.Effect<Principal, Rejection> => startup.current()?.guard.admit(caller, access) ?? Effect.fail(notReady)
