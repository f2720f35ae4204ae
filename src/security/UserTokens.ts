import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { readFileSync } from "node:fs"
import { createLocalJWKSet, createRemoteJWKSet, errors, jwtVerify, type JSONWebKeySet, type JWTVerifyGetKey } from "jose"
import { AppConfig } from "../config/AppConfig.ts"

/** The token is not valid, or not for us; `message` is fit for its bearer. */
export class TokenRefused extends Data.TaggedError("TokenRefused")<{ readonly message: string }> {}

/** The issuer's keys cannot be had, so nothing is known of the token. */
export class IssuerUnavailable extends Data.TaggedError("IssuerUnavailable")<{ readonly cause: unknown }> {}

/** JWT_JWKS_FILE cannot be used; `message` says why. */
export class JwksUnusable extends Data.TaggedError("JwksUnusable")<{ readonly message: string }> {}

/** Tokens (JWT, RFC 7519) by which users prove who they are; `undefined`: they do not. */
export class UserTokens extends Context.Tag("coupon/security/UserTokens")<UserTokens, {
  /** The token's subject, once its signature, issuer, audience and times hold. */
  readonly subject: (token: string) => Effect.Effect<string, TokenRefused | IssuerUnavailable>
} | undefined>() {}

/** Asymmetric ones alone: with a shared secret, whoever can check tokens can also make them. */
const ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
/** Clocks differ. */
const TOLERANCE_SECONDS = 5
/** A signature costs 50 to 200 µs to check; a user who retries shows the same token. */
const REMEMBERED = 10_000
/** The longest time for which a token is believed without looking at it again: a key that the issuer withdrew is out by then. */
const REMEMBERED_MILLIS = 60_000

const refusalOf = (error: unknown): TokenRefused | IssuerUnavailable => {
  if (error instanceof errors.JWTExpired) return new TokenRefused({ message: "the token has expired" })
  if (error instanceof errors.JWTClaimValidationFailed) {
    return new TokenRefused({ message: `the token's ${error.claim} ${error.reason === "missing" ? "is missing" : "is not the one asked for"}` })
  }
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed) {
    return new TokenRefused({ message: "the token's signature is not the issuer's" })
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return new TokenRefused({ message: "the token's algorithm is not allowed" })
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid || !(error instanceof errors.JOSEError)) {
    return new IssuerUnavailable({ cause: error })
  }
  // What is left of jose's own errors: the token is malformed. JOSEError itself is what a failed fetch of the keys throws.
  return error.code === "ERR_JOSE_GENERIC" ? new IssuerUnavailable({ cause: error }) : new TokenRefused({ message: "the token is malformed" })
}

const keysOf = (config: AppConfig["Type"]): Effect.Effect<JWTVerifyGetKey | undefined, JwksUnusable> => {
  if (Option.isSome(config.jwksUrl)) {
    return Effect.succeed(createRemoteJWKSet(config.jwksUrl.value, { timeoutDuration: 3_000 }))
  }
  if (Option.isNone(config.jwksFile)) return Effect.succeed(undefined)
  const path = config.jwksFile.value
  return Effect.try({
    try: () => createLocalJWKSet(JSON.parse(readFileSync(path, "utf8")) as JSONWebKeySet),
    catch: (error) => new JwksUnusable({ message: `JWT_JWKS_FILE: ${path} is not a JSON Web Key Set: ${(error as Error).message}` })
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
    // A token that never expires cannot be taken back.
    requiredClaims: ["sub", "exp"]
  }
  const known = new Map<string, { readonly subject: string; readonly until: number }>()

  return {
    subject: (token: string) =>
      Effect.suspend(() => {
        const remembered = known.get(token)
        if (remembered !== undefined && Date.now() < remembered.until) return Effect.succeed(remembered.subject)
        return Effect.map(
          Effect.tryPromise({ try: () => jwtVerify(token, keys, rules), catch: refusalOf }),
          ({ payload }) => {
            const now = Date.now()
            if (known.size >= REMEMBERED) known.delete(known.keys().next().value!)
            known.set(token, { subject: payload.sub!, until: Math.min(payload.exp! * 1_000, now + REMEMBERED_MILLIS) })
            return payload.sub!
          }
        )
      })
  }
})

export const layer: Layer.Layer<UserTokens, JwksUnusable, AppConfig> = Layer.effect(UserTokens, make)
