import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { readFileSync } from "node:fs"
import { createLocalJWKSet, createRemoteJWKSet, errors, jwtVerify } from "jose"
import type { JSONWebKeySet, JWTVerifyGetKey } from "jose"
import { AppConfig } from "../config/AppConfig.ts"

/** The token is not valid, or not for this service; `message` is fit for its bearer. */
export class TokenRejected extends Data.TaggedError("TokenRejected")<{
  readonly message: string
  /** `claims`: issuer, audience, type or life are not those asked for. */
  readonly kind: "malformed" | "signature" | "expired" | "claims"
}> {}

/** The issuer's keys cannot be fetched, so the token cannot be checked. */
export class IssuerUnavailable extends Data.TaggedError("IssuerUnavailable")<{ readonly cause: unknown }> {}

/** JWT_JWKS_FILE cannot be used; `message` says why. */
export class JwksUnusable extends Data.TaggedError("JwksUnusable")<{ readonly message: string }> {}

/** Tokens (JWT, RFC 7519) by which users prove who they are; `undefined` if none are configured. */
export class UserTokens extends Context.Tag("coupon/security/UserTokens")<UserTokens, {
  /** The token's subject, once its signature, issuer, audience and times hold. */
  readonly subject: (token: string) => Effect.Effect<string, TokenRejected | IssuerUnavailable>
  /** Whether `subject` knows the answer without checking a signature. */
  readonly remembers: (token: string) => boolean
} | undefined>() {}

/** The types of header `typ` that are taken, apart from none: any JWT (RFC 7519) and access tokens (RFC 9068). */
const TYPES = ["jwt", "at+jwt"]

/** Asymmetric ones alone: a shared secret that checks tokens can also make them. */
const ALGORITHMS = [
  "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"
]
/** The clocks of issuer and instance differ by less than this. */
const TOLERANCE_SECONDS = 5
/** Checked tokens that are kept. A signature takes 50 to 200 µs to check, and a user who retries sends the same one. */
const REMEMBERED = 10_000
/** How long a checked token stays valid without another check. Bounds the use of a key that the issuer withdrew. */
const REMEMBERED_MILLIS = 60_000

const rejectionOf = (error: unknown): TokenRejected | IssuerUnavailable => {
  if (error instanceof TokenRejected) return error
  if (error instanceof errors.JWTExpired) {
    return new TokenRejected({ kind: "expired", message: "the token has expired" })
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    const problem = error.reason === "missing" ? "is missing" : "is not the one asked for"
    return new TokenRejected({ kind: "claims", message: `the token's ${error.claim} ${problem}` })
  }
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed) {
    return new TokenRejected({ kind: "signature", message: "the token's signature is not the issuer's" })
  }
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return new TokenRejected({ kind: "malformed", message: "the token's algorithm is not allowed" })
  }
  const isOfKeys = error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid
  // A failed fetch of the keys throws a plain JOSEError. All that is left of jose's errors means a malformed token.
  return isOfKeys || !(error instanceof errors.JOSEError) || error.code === "ERR_JOSE_GENERIC"
    ? new IssuerUnavailable({ cause: error })
    : new TokenRejected({ kind: "malformed", message: "the token is malformed" })
}

const keysOf = (config: AppConfig["Type"]): Effect.Effect<JWTVerifyGetKey | undefined, JwksUnusable> => {
  if (Option.isSome(config.jwksUrl)) {
    return Effect.succeed(createRemoteJWKSet(config.jwksUrl.value, { timeoutDuration: 3_000 }))
  }
  if (Option.isNone(config.jwksFile)) return Effect.succeed(undefined)
  const path = config.jwksFile.value
  return Effect.try({
    try: () => createLocalJWKSet(JSON.parse(readFileSync(path, "utf8")) as JSONWebKeySet),
    catch: (error) =>
      new JwksUnusable({ message: `JWT_JWKS_FILE: ${path} is not a JSON Web Key Set: ${(error as Error).message}` })
  })
}

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const keys = yield* keysOf(config)
  if (keys === undefined) return undefined
  const rules = {
    issuer: Option.getOrThrow(config.jwtIssuer),
    audience: Option.getOrThrow(config.jwtAudience),
    algorithms: ALGORITHMS,
    clockTolerance: TOLERANCE_SECONDS,
    // A token that never expires cannot be revoked.
    requiredClaims: ["sub", "exp"]
  }
  const longestSeconds = Duration.toSeconds(config.jwtLongestLife)
  const verify = async (token: string) => {
    const { payload, protectedHeader: { typ } } = await jwtVerify(token, keys, rules)
    if (typ !== undefined && !TYPES.includes(typ.toLowerCase().replace(/^application\//, ""))) {
      const message = `a token of the type ${JSON.stringify(typ)} is not for claims`
      throw new TokenRejected({ kind: "claims", message })
    }
    const now = Date.now() / 1_000
    if (payload.exp! - Math.min(payload.iat ?? now, now) > longestSeconds + TOLERANCE_SECONDS) {
      throw new TokenRejected({
        kind: "claims",
        message: "the token is valid for too long: its exp is too far from its iat"
      })
    }
    return payload
  }
  /** Answers; of an expired token, too, whose bearer may repeat it a thousand times. */
  const known = new Map<string, { readonly answer: Either.Either<string, TokenRejected>; readonly until: number }>()
  const remember = (token: string, answer: Either.Either<string, TokenRejected>, until: number) => {
    if (known.size >= REMEMBERED) known.delete(known.keys().next().value!)
    known.set(token, { answer, until: Math.min(until, Date.now() + REMEMBERED_MILLIS) })
  }
  const remembered = (token: string) => {
    const found = known.get(token)
    return found !== undefined && Date.now() < found.until ? found.answer : undefined
  }

  const checked = (token: string) =>
    Effect.tryPromise({ try: () => verify(token), catch: rejectionOf }).pipe(
      Effect.map((payload) => {
        remember(token, Either.right(payload.sub!), payload.exp! * 1_000)
        return payload.sub!
      }),
      Effect.tapError((failure) =>
        Effect.sync(() => {
          if (failure._tag !== "TokenRejected" || failure.kind !== "expired") return
          remember(token, Either.left(failure), Number.POSITIVE_INFINITY)
        }))
    )

  return {
    remembers: (token: string) => remembered(token) !== undefined,
    subject: (token: string) => Effect.suspend(() => remembered(token) ?? checked(token))
  }
})

export const layer: Layer.Layer<UserTokens, JwksUnusable, AppConfig> = Layer.effect(UserTokens, make)
