import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { EpochMillis } from "../domain/Time.ts"
import type { Principal } from "../domain/Principal.ts"
import type { Role } from "../domain/Role.ts"

/** What is known of a key; its secret is known to its holder alone. */
export interface ApiKey {
  /** 16 letters and digits; also the second part of the secret, so that a key found somewhere can be revoked. */
  readonly id: string
  /** For people and for the audit log; need not be unique, so that a key can be replaced by its successor. */
  readonly name: string
  readonly role: Role
  /** Most calls a second with this key, at each instance; `undefined`: any number. */
  readonly requestsPerSecond: number | undefined
  readonly createdAt: EpochMillis
  /** `undefined`: it is valid. */
  readonly revokedAt: EpochMillis | undefined
}

/** A key that was just made. */
export interface CreatedKey {
  readonly id: string
  /** `cpn_<id>_<43 characters>`: shown this once and stored nowhere. */
  readonly secret: string
}

/** The store of keys is away; after `create` the key may have been stored, but nobody has its secret. */
export class KeysUnavailable extends Data.TaggedError("KeysUnavailable")<{ readonly cause: unknown }> {
  override readonly message = "the API keys cannot be read or written: the ledger is away"
}

/** A key cannot be as asked; `message` says why. */
export class KeyRefused extends Data.TaggedError("KeyRefused")<{ readonly message: string }> {}

/** API keys: who holds one may do what its role says. */
export class ApiKeys extends Context.Tag("coupon/security/ApiKeys")<ApiKeys, {
  /**
   * Written to the audit log as done by `actor`, as is `revoke`: `key.create`, `key.revoke`.
   * Names have 1 to 100 printable characters and are not `bootstrap` or `anonymous`; `requestsPerSecond` is a whole number from 1 to 1,000,000.
   * The key is valid at once at this instance, within 1 s at every other.
   */
  readonly create: (key: {
    readonly name: string
    readonly role: Role
    readonly requestsPerSecond?: number | undefined
  }, actor: string) => Effect.Effect<CreatedKey, KeyRefused | KeysUnavailable>
  /** Every key that ever was, the oldest first. ADMIN_API_KEY is none of them. */
  readonly list: Effect.Effect<ReadonlyArray<ApiKey>, KeysUnavailable>
  /**
   * Ends a key's validity: at once at this instance, within 10 s at every other. `false`: there is no such key. A key that
   * was revoked before stays as it was, which is `true`.
   */
  readonly revoke: (id: string, actor: string) => Effect.Effect<boolean, KeysUnavailable>
  /** Whose secret this is; `undefined`: nobody's (any more). A key made at another instance is known within 1 s. */
  readonly authenticate: (secret: string) => Effect.Effect<Principal | undefined, KeysUnavailable>
  /**
   * Whether administration needs a key: there is an ADMIN_API_KEY, a key was ever made (revoked ones count), or the ledger was ever
   * served in production mode. Never `false` again after it was `true`; what closes it at another instance is known within 1 s.
   */
  readonly configured: Effect.Effect<boolean, KeysUnavailable>
}>() {}
