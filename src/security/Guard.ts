import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../config/AppConfig.ts"
import {
  PermissionDenied, RateLimited, type RecordNotFound, Unauthenticated, Unavailable
} from "../domain/Failure.ts"
import * as Actor from "../domain/Actor.ts"
import type { RequestSource } from "../domain/Actor.ts"
import * as CodeGuesses from "./CodeGuesses.ts"
import { RefusedActs } from "./RefusedActs.ts"
import { ApiKeys } from "./ApiKeys.ts"
import type { Principal, Touches } from "../domain/Principal.ts"
import { anonymous, anonymousAdmin, mayTouch } from "../domain/Principal.ts"
import type { Access, Right, Role } from "../domain/Role.ts"
import { allows, holdersOf, isRight } from "../domain/Role.ts"
import * as CredentialMetrics from "../metrics/CredentialMetrics.ts"
import type { Reason } from "../metrics/CredentialMetrics.ts"
import { idOf, looksLikeKey } from "./Secret.ts"
import * as SessionToken from "./sessions/SessionToken.ts"
import * as TokenBuckets from "./TokenBuckets.ts"
import { UserTokens } from "./UserTokens.ts"
import * as WrongCredentials from "./WrongCredentials.ts"

/** Why a call is rejected; `rpc/ErrorCatalog` has the messages. */
export type Rejection = Unauthenticated | PermissionDenied | RateLimited | Unavailable

/** Who sends a request: its credentials, and where it came from. */
export interface Caller {
  /** The value of the header `Authorization`. */
  readonly authorization: string | undefined
  readonly source: RequestSource
  /** The call, whose refusal the audit log records. `undefined`: reading a page is no administrative act. */
  readonly call: string | undefined
  /** The campaigns that the call is about. */
  readonly touches: Touches
}

/** Decides who may call what, in all protocols. */
export class Guard extends Context.Tag("coupon/security/Guard")<Guard, {
  /** Whether calls for ANYONE, SELF and READ_SELF need no Authorization header. They may then skip `admit`. */
  readonly publicIsOpen: boolean
  /**
   * Whether GetCampaign lists codes to a caller whom it admitted: to every key, and to others if PUBLIC_CODES says so.
   */
  readonly mayListCodes: (principal: Principal) => boolean
  /**
   * Runs a redemption for a caller whom it admitted to `REDEEM`: with the rights of REDEEMER as it is, for others as
   * `CodeGuesses` has it, and only by a code.
   */
  readonly redeeming: <A, E extends { readonly _tag: string }>(
    principal: Principal,
    source: RequestSource,
    by: "code" | "user",
    redemption: Effect.Effect<A, E>
  ) => Effect.Effect<A, E | PermissionDenied | RateLimited | RecordNotFound>
  /**
   * Admits a call, or fails with the reason. `userId` is the user that a call of SELF is about. Where
   * OPEN_ADMINISTRATION opens it, and unless `ApiKeys.configured`, every caller is `anonymous`, of role ADMIN.
   */
  readonly admit: (
    caller: Caller,
    access: Access,
    userId?: bigint
  ) => Effect.Effect<Principal, Rejection>
  /**
   * Fails unless a call of administration that was admitted as `principal` would be admitted still: its key has not
   * expired, and was not revoked, or forbidden it, at any instance, more than 10 s ago. `false`: by other limits than
   * when it was admitted. Takes nothing of the key's rate, and is not counted.
   */
  readonly recheck: (caller: Caller, role: Role, principal: Principal) => Effect.Effect<boolean, Rejection>
  /**
   * The holder of a key, of any role, who signs in to the console. Wrong keys are counted, logged and recorded as those
   * of an administrative call. A session starts no other session.
   */
  readonly signIn: (caller: Caller) => Effect.Effect<Principal, Rejection>
  /** Records that an administrative act of a caller whom it admitted failed, and why: the tag of the failure. */
  readonly actFailed: (caller: Caller, principal: Principal, reason: string) => void
}>() {}

const notAKey = new Unauthenticated({ reason: "a session is started with an API key" })

/** Admits every call, for tests. */
export const open: Guard["Type"] = {
  publicIsOpen: true,
  mayListCodes: () => true,
  redeeming: (_, __, ___, redemption) => redemption,
  recheck: () => Effect.succeed(true),
  signIn: () => Effect.fail(notAKey),
  actFailed: () => {},
  admit: (_, access) => Effect.succeed(isRight(access) ? anonymousAdmin : anonymous)
}

/** What a key of this role lacks for a call; `undefined` if it lacks nothing. */
const lacking = (role: Principal["role"], access: Access): string | undefined => {
  if (role === "NONE") return "an API key"
  if (isRight(access)) return allows(role, access) ? undefined : `the rights of ${holdersOf(access)}`
  if (access === "SELF") return allows(role, "ISSUER") ? undefined : "the rights of ISSUER"
  return undefined
}

const BEARER = /^bearer +([\x21-\x7e]+) *$/i

const SEND_KEY = "send it as \"Authorization: Bearer <key>\""
/** Nothing tells what is wrong with a key, not even its holder: the log and the metrics do. */
const invalidKey = new Unauthenticated({ reason: "the API key is unknown, revoked or expired" })
const wrongNetwork = new PermissionDenied({ reason: "the API key may not be used from this address" })
const endedSession = new Unauthenticated({ reason: "the session has ended: sign in again" })
const notBearer = new Unauthenticated({ reason: `the Authorization header is not of the form "Bearer <key>"` })

const onlyByCode = new PermissionDenied({
  reason: "to redeem by a user needs an API key with the rights of REDEEMER"
})

const storeDown = (cause: unknown) => new Unavailable({ retryAfterSeconds: 1, cause })

/** Why a call is rejected, and what that means for its client. */
interface Refusal {
  readonly failure: Rejection
  /** `undefined`: a store is away, which is not the caller's fault. */
  readonly reason: Reason | undefined
  /** Whose key it is, where it is a valid one. */
  readonly principal?: Principal
}

/** What a guesser sends, or the holder of what is no longer valid. Not expired tokens: honest clients send those. */
const WRONG: ReadonlySet<Reason | undefined> = new Set<Reason>([
  "malformed", "unknown_key", "revoked_key", "expired_key", "network", "token_malformed", "token_signature",
  "token_claims"
])

const refuse = (failure: Rejection, reason: Reason | undefined) => Effect.fail<Refusal>({ failure, reason })

const limited = (seconds: number): Refusal => ({
  failure: new RateLimited({ retryAfterSeconds: Math.ceil(seconds) }),
  reason: "limited"
})

const storeAway = (cause: unknown): Refusal => ({ failure: storeDown(cause), reason: undefined })

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const keys = yield* ApiKeys
  const tokens = yield* UserTokens
  const buckets = TokenBuckets.make()
  const wrong = WrongCredentials.make()
  const guesses = CodeGuesses.make()
  const refusedActs = yield* RefusedActs
  const keyForPublic = config.publicAccess === "key"

  /** Logs a rejected call. Never the secret: of a key of ours, its id. */
  const trace = (credential: string | undefined, access: Access, address: string, { failure, reason }: Refusal) =>
    Effect.map(Effect.runtime<never>(), (runtime) => {
      const text = failure._tag === "RateLimited" || failure._tag === "Unavailable"
        ? reason === "limited" ? "too many wrong credentials" : "rate limit"
        : failure.reason
      const key = credential === undefined ? "none" : idOf(credential) ?? "not one of ours"
      const message = `${isRight(access) ? "an administrative call" : "a call"} was refused: ${text}`
      wrong.log({ address, message, annotations: { needs: access, key, reason: String(reason) }, runtime })
    })

  /** Counts a refusal, and bounds how many wrong credentials its client may try. */
  const refused = (caller: Caller, credential: string | undefined, access: Access) => (refusal: Refusal) => {
    if (refusal.reason === undefined) return Effect.fail(refusal.failure)
    const address = caller.source.address()
    let final = refusal
    if (WRONG.has(refusal.reason)) {
      const wait = wrong.wait(address)
      if (wait > 0) final = limited(wait)
      else wrong.count(address)
    }
    CredentialMetrics.rejections[final.reason!].add()
    if (isRight(access) && caller.call !== undefined) {
      const keyId = credential === undefined ? undefined : idOf(credential)
      const actor = refusal.principal === undefined
        ? Actor.of({ name: "unauthenticated", role: "NONE", ...keyId === undefined ? {} : { keyId } }, caller.source)
        : Actor.of(refusal.principal, caller.source)
      refusedActs.note({ actor, call: caller.call, reason: final.reason! })
    }
    return Effect.zipRight(trace(credential, access, address, final), Effect.fail(final.failure))
  }

  /** Counts the call against the key's rate. */
  const counted = (principal: Principal): Effect.Effect<Principal, Refusal> => {
    const { keyId, requestsPerSecond } = principal
    if (keyId === undefined || requestsPerSecond === undefined) return Effect.succeed(principal)
    const wait = buckets.take(keyId, requestsPerSecond)
    return wait === 0
      ? Effect.succeed(principal)
      : Effect.fail({ failure: new RateLimited({ retryAfterSeconds: wait }), reason: "rate", principal })
  }

  const authenticate = (credential: string, { source }: Caller) =>
    Effect.mapError(keys.authenticate(credential, source.address), storeAway)

  /** A key's holder, if the key may touch what the call is about. */
  const withinLimits = (principal: Principal, { touches }: Caller): Effect.Effect<Principal, Refusal> => {
    if (mayTouch(principal, touches)) return Effect.succeed(principal)
    // 0: a call that names no campaign where it may, and then is about all.
    const what = typeof touches === "number" && touches > 0 ? `campaign ${touches}` : "call"
    const reason = `the key "${principal.name}" is limited to other campaigns, without this ${what}`
    return Effect.fail({ failure: new PermissionDenied({ reason }), reason: "campaign", principal })
  }

  const known = (credential: string, caller: Caller): Effect.Effect<Principal, Refusal> =>
    Effect.flatMap(authenticate(credential, caller), (found): Effect.Effect<Principal, Refusal> =>
      typeof found !== "string"
        ? Effect.succeed(found)
        : found === "network"
        ? refuse(wrongNetwork, found)
        : found === "session"
        ? refuse(endedSession, "ended_session")
        : refuse(invalidKey, `${found}_key`))

  const holder = (credential: string, caller: Caller): Effect.Effect<Principal, Refusal> =>
    Effect.flatMap(Effect.flatMap(known(credential, caller), counted), (principal) => withinLimits(principal, caller))

  const mayCall = (principal: Principal, access: Access): Effect.Effect<Principal, Refusal> => {
    const { name, role } = principal
    const missing = lacking(role, access)
    if (missing === undefined) return Effect.succeed(principal)
    const reason = `this call needs ${missing}, and the key "${name}" is of role ${role}`
    return Effect.fail({ failure: new PermissionDenied({ reason }), reason: "role", principal })
  }

  const withKey = (credential: string, access: Access, caller: Caller) =>
    Effect.flatMap(holder(credential, caller), (principal) => mayCall(principal, access))

  const administration = (
    credential: string | undefined,
    right: Right,
    caller: Caller
  ): Effect.Effect<Principal, Refusal> => {
    if (credential !== undefined) return withKey(credential, right, caller)
    const missing = Effect.suspend(() => {
      const reason = `this call needs an API key with the rights of ${holdersOf(right)}; ${SEND_KEY}`
      return refuse(new Unauthenticated({ reason }), "missing")
    })
    if (!config.mayOpenAdministration) return missing
    return Effect.flatMap(Effect.mapError(keys.configured, storeAway), (configured) =>
      configured ? missing : Effect.succeed(anonymousAdmin))
  }

  const withToken = (
    token: string,
    users: NonNullable<typeof tokens>,
    userId: bigint | undefined,
    caller: Caller
  ): Effect.Effect<Principal, Refusal> => {
    if (!users.remembers(token)) {
      // A signature takes 50 to 200 µs to check. A client that sends many wrong ones does not have it checked.
      const wait = wrong.wait(caller.source.address())
      if (wait > 0) return Effect.fail(limited(wait))
    }
    return users.subject(token).pipe(
      Effect.mapError((failure): Refusal =>
        failure._tag === "TokenRejected"
          ? { failure: new Unauthenticated({ reason: failure.message }), reason: `token_${failure.kind}` }
          : storeAway(failure)),
      Effect.flatMap((subject): Effect.Effect<Principal, Refusal> =>
        userId === undefined || subject === String(userId)
          ? Effect.succeed({ name: `user ${subject}`, role: "NONE" })
          : refuse(new PermissionDenied({ reason: "userId is not the token's subject" }), "token_subject"))
    )
  }

  const publicCall = (
    caller: Caller,
    credential: string | undefined,
    access: Exclude<Access, Right | "REDEEM">,
    userId: bigint | undefined
  ): Effect.Effect<Principal, Refusal> => {
    if (tokens !== undefined && access !== "ANYONE") {
      if (credential === undefined) {
        const reason = "this call needs a token (JWT) whose subject is userId, or an API key with the rights of " +
          `ISSUER; ${SEND_KEY.replace("key", "token or key")}`
        return refuse(new Unauthenticated({ reason }), "missing")
      }
      if (looksLikeKey(credential)) return withKey(credential, access, caller)
      // ADMIN_API_KEY may have any form.
      return Effect.flatMap(authenticate(credential, caller), (found) =>
        typeof found === "string" ? withToken(credential, tokens, userId, caller) : withKey(credential, access, caller))
    }
    if (keyForPublic) {
      if (credential === undefined) {
        return refuse(new Unauthenticated({ reason: `this call needs an API key; ${SEND_KEY}` }), "missing")
      }
      return withKey(credential, access, caller)
    }
    return keyIfAny(credential, caller)
  }

  /**
   * Where no credential is needed. A key is checked nevertheless, so that a revoked one fails, its rate and its limits
   * are kept, and its holder sees the codes. ADMIN_API_KEY may have any form. Other credentials, such as a token for a
   * proxy in front, are ignored.
   */
  const keyIfAny = (credential: string | undefined, caller: Caller): Effect.Effect<Principal, Refusal> => {
    if (credential === undefined) return Effect.succeed(anonymous)
    if (looksLikeKey(credential)) return holder(credential, caller)
    return Effect.map(authenticate(credential, caller), (found) => typeof found === "string" ? anonymous : found)
  }

  return Guard.of({
    publicIsOpen: !keyForPublic && tokens === undefined,
    mayListCodes: ({ role }) => role !== "NONE" || config.listsCodesToAll,
    redeeming: (principal, source, by, redemption) =>
      principal.role !== "NONE" && allows(principal.role, "REDEEMER")
        ? redemption
        : by === "user"
        ? Effect.fail(onlyByCode)
        : guesses.bounded(principal, source, redemption),
    recheck: (caller, role, principal) => {
      const { authorization } = caller
      const credential = authorization === undefined ? undefined : BEARER.exec(authorization)?.[1]
      if (credential !== undefined) {
        return known(credential, caller).pipe(
          Effect.flatMap((holder) => withinLimits(holder, caller)),
          Effect.flatMap((holder) => mayCall(holder, role)),
          Effect.mapBoth({
            onFailure: ({ failure }) => failure,
            onSuccess: ({ limitsVersion }) => limitsVersion === principal.limitsVersion
          })
        )
      }
      // Open administration: while the ledger is away, no first key can have closed it.
      return Effect.catchAll(Effect.as(administration(undefined, role, caller), true), ({ failure, reason }) =>
        reason === undefined ? Effect.succeed(true) : Effect.fail(failure))
    },
    actFailed: (caller, principal, reason) => {
      if (caller.call === undefined) return
      refusedActs.note({ actor: Actor.of(principal, caller.source), call: caller.call, reason })
    },
    admit: (caller, asks, userId) => {
      const access = asks === "REDEEM" && config.publicRedeem === "off" ? "REDEEMER" : asks
      const { authorization } = caller
      const credential = authorization === undefined ? undefined : BEARER.exec(authorization)?.[1]
      const asked = isRight(access) || keyForPublic || (tokens !== undefined && access !== "ANYONE")
      const admitted = authorization !== undefined && credential === undefined && asked
        ? refuse(notBearer, "malformed")
        : isRight(access)
        ? administration(credential, access, caller)
        : access === "REDEEM"
        ? keyIfAny(credential, caller)
        : publicCall(caller, credential, access, userId)
      return Effect.catchAll(admitted, refused(caller, credential, access))
    },
    signIn: (caller) => {
      const credential = caller.authorization === undefined ? undefined : BEARER.exec(caller.authorization)?.[1]
      const admitted = credential === undefined || SessionToken.isToken(credential)
        ? refuse(notAKey, "malformed")
        : holder(credential, caller)
      return Effect.catchAll(admitted, refused(caller, credential, "VIEWER"))
    }
  })
})

export const layer: Layer.Layer<Guard, never, AppConfig | ApiKeys | RefusedActs | UserTokens> =
  Layer.effect(Guard, make)

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
