import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { EpochMillis } from "../domain/Time.ts"
import type { Actor } from "../domain/Actor.ts"
import type { Principal } from "../domain/Principal.ts"
import type { Role } from "../domain/Role.ts"

/** A key without its secret, which only its holder has. */
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

/** The store of keys is away. After `create` the key may have been stored, but its secret is lost. */
export class KeysUnavailable extends Data.TaggedError("KeysUnavailable")<{ readonly cause: unknown }> {
  override readonly message = "the API keys cannot be read or written: the ledger is away"
}

/** A key cannot be as asked; `message` says why. */
export class KeyRejected extends Data.TaggedError("KeyRejected")<{ readonly message: string }> {}

/** What is wrong with a secret. Only the holder of a key's secret receives `revoked`. */
export type KeyFlaw = "unknown" | "revoked"

/** API keys: who holds one may do what its role says. */
export class ApiKeys extends Context.Tag("coupon/security/ApiKeys")<ApiKeys, {
  /**
   * Makes a key. It is valid at once at this instance, within 1 s at every other one. Names have 1 to 100 printable
   * characters and do not look like those that the audit log uses for others; `requestsPerSecond` is a whole number
   * from 1 to 1,000,000. `create` and `revoke` enter the audit log as done by `actor`, as `key.create` and
   * `key.revoke`.
   */
  readonly create: (key: {
    readonly name: string
    readonly role: Role
    readonly requestsPerSecond?: number | undefined
  }, actor: Actor) => Effect.Effect<CreatedKey, KeyRejected | KeysUnavailable>
  /** Every key that ever was, the oldest first. ADMIN_API_KEY is none of them. */
  readonly list: Effect.Effect<ReadonlyArray<ApiKey>, KeysUnavailable>
  /**
   * Ends a key's validity: at once at this instance, within 10 s at every other one. Returns whether there is such a
   * key, also if it was revoked before.
   */
  readonly revoke: (id: string, actor: Actor) => Effect.Effect<boolean, KeysUnavailable>
  /** The holder of a secret, or why there is none. */
  readonly authenticate: (secret: string) => Effect.Effect<Principal | KeyFlaw, KeysUnavailable>
  /**
   * Whether administration needs a key: there is an ADMIN_API_KEY, a key was ever made (revoked ones count), or the
   * ledger was ever served in production mode. Never `false` again after it was `true`. A change at another instance
   * takes effect within 1 s.
   */
  readonly configured: Effect.Effect<boolean, KeysUnavailable>
}>() {}
