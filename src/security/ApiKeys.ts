import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { EpochMillis } from "../domain/Time.ts"
import type { Actor } from "../domain/Actor.ts"
import { EXPIRES_SOON_MILLIS, type Principal } from "../domain/Principal.ts"
import type { Role } from "../domain/Role.ts"
import type { KeyLimits, LimitsChange } from "./KeyLimits.ts"

/** A key without its secret, which only its holder has. */
export interface ApiKey {
  /** 16 letters and digits; also the second part of the secret, so that a key found somewhere can be revoked. */
  readonly id: string
  /** For people and for the audit log. Of the valid keys that have no successor, each has another one. */
  readonly name: string
  readonly role: Role
  /** Most calls a second with this key, at each instance; `undefined`: any number. */
  readonly requestsPerSecond: number | undefined
  readonly limits: KeyLimits
  readonly createdAt: EpochMillis
  /** `undefined`: it was not. */
  readonly revokedAt: EpochMillis | undefined
  /** The key that replaced it, and when its own time ends for that. */
  readonly replaced: { readonly by: string; readonly endsAt: EpochMillis } | undefined
  /** The last day on which it was used, in UTC, such as `2026-06-25`. */
  readonly lastUsedOn: string | undefined
}

/** When a key's time is over, unless it is revoked before; `undefined`: never. */
export const endOf = ({ limits: { expiresAt }, replaced }: ApiKey): EpochMillis | undefined =>
  expiresAt === undefined ? replaced?.endsAt : Math.min(expiresAt, replaced?.endsAt ?? expiresAt)

/** Whether a key may be used at that time. */
export const isValid = (key: ApiKey, now: EpochMillis): boolean =>
  key.revokedAt === undefined && now < (endOf(key) ?? Number.POSITIVE_INFINITY)

/** Whether a valid key expires soon, and none has replaced it. */
export const expiresSoon = (key: ApiKey, now: EpochMillis): boolean =>
  isValid(key, now) && key.replaced === undefined &&
  (key.limits.expiresAt ?? Number.POSITIVE_INFINITY) < now + EXPIRES_SOON_MILLIS

/** A key that was just made. */
export interface CreatedKey {
  readonly id: string
  /** `cpn_<id>_<43 characters>`: shown this once and stored nowhere. */
  readonly secret: string
}

/** A key that was just made in the place of another one. */
export interface Rotation extends CreatedKey {
  /** When the former key ends. */
  readonly formerEndsAt: EpochMillis
  /** When the new one expires; `undefined`: never. */
  readonly expiresAt: EpochMillis | undefined
}

/** The store of keys is away. After `create` or `rotate` the key may have been stored, but its secret is lost. */
export class KeysUnavailable extends Data.TaggedError("KeysUnavailable")<{ readonly cause: unknown }> {
  override readonly message = "the API keys cannot be read or written: the ledger is away"
}

/** A key cannot be as asked; `message` says why. */
export class KeyRejected extends Data.TaggedError("KeyRejected")<{ readonly message: string }> {}

/** The keys that are there do not allow it; `message` says why. */
export class KeyConflict extends Data.TaggedError("KeyConflict")<{ readonly message: string }> {}

/**
 * It would leave no ADMIN key, sooner than keys end already, and there is no ADMIN_API_KEY: administration would be
 * locked out, for a ledger that ever had a key never opens again.
 */
export class LastAdminKey extends Data.TaggedError("LastAdminKey")<{}> {
  override readonly message =
    "this is the last ADMIN key, and ADMIN_API_KEY is not set, so without it no key could administer: " +
    "make another ADMIN key first (coupon keys create --role ADMIN), or set ADMIN_API_KEY"
}

/** There is no key with that id. */
export class KeyNotFound extends Data.TaggedError("KeyNotFound")<{}> {}

/** What is wrong with a secret. Only the holder of a key's secret receives anything but `unknown`. */
export type KeyFlaw =
  | "unknown"
  | "revoked"
  /** Its time is over, or it was replaced. */
  | "expired"
  /** It may not be used from this address. */
  | "network"
  /** It is the token of a session, which has ended. */
  | "session"

/** API keys: who holds one may do what its role says. Every act enters the audit log as done by `actor`. */
export class ApiKeys extends Context.Tag("coupon/security/ApiKeys")<ApiKeys, {
  /**
   * Makes a key (`key.create`). It is valid at once at this instance, within 1 s at every other one. Names have 1 to
   * 100 printable characters and do not look like those that the audit log uses for others; `requestsPerSecond` is a
   * whole number from 1 to 1,000,000. Fails with `KeyConflict` while a valid key has the name.
   */
  readonly create: (key: {
    readonly name: string
    readonly role: Role
    readonly requestsPerSecond?: number | undefined
    readonly limits?: LimitsChange | undefined
  }, actor: Actor) => Effect.Effect<CreatedKey, KeyRejected | KeyConflict | KeysUnavailable>
  /** Every key that ever was, the oldest first. ADMIN_API_KEY is none of them. */
  readonly list: Effect.Effect<ReadonlyArray<ApiKey>, KeysUnavailable>
  /** The valid keys without a successor that expire within `EXPIRES_SOON_MILLIS`, the first to expire first. */
  readonly expiring: Effect.Effect<ReadonlyArray<ApiKey>, KeysUnavailable>
  /**
   * Ends a key's validity (`key.revoke`): at once at this instance, within 10 s at every other one. Returns whether
   * there is such a key, also if it was revoked before. Of keys that are revoked at the same time, at any instances,
   * one ADMIN key remains.
   */
  readonly revoke: (id: string, actor: Actor) => Effect.Effect<boolean, LastAdminKey | KeysUnavailable>
  /**
   * Changes a valid key's limits (`key.limit`): at once at this instance, within 10 s at every other one. Running
   * streams with the key end. The last ADMIN key cannot be given an earlier end.
   */
  readonly limit: (
    id: string,
    change: LimitsChange,
    actor: Actor
  ) => Effect.Effect<void, KeyNotFound | KeyRejected | KeyConflict | LastAdminKey | KeysUnavailable>
  /**
   * Makes a key in the place of a valid one (`key.rotate`): of the same name, role, rate and limits. The former one
   * ends after `overlap`, 0 s to 30 days, or when it expires. The new one lives as long as that was to from its making
   * on, unless `expiresAt` says otherwise (`null`: for ever). Once per key. A successor of the last ADMIN key cannot
   * end earlier than that was to.
   */
  readonly rotate: (
    id: string,
    rotation: { readonly overlap: Duration.Duration; readonly expiresAt?: EpochMillis | null | undefined },
    actor: Actor
  ) => Effect.Effect<Rotation, KeyNotFound | KeyRejected | KeyConflict | LastAdminKey | KeysUnavailable>
  /** The holder of a secret, who sends it from `address`, or why there is none. */
  readonly authenticate: (secret: string, address: () => string) => Effect.Effect<Principal | KeyFlaw, KeysUnavailable>
  /**
   * As `authenticate`, for a caller who has proved in another way that it acts for the holder of the key with this id.
   * `undefined`: ADMIN_API_KEY, which it has proved to be the one that is set now.
   */
  readonly holder: (
    keyId: string | undefined,
    address: () => string
  ) => Effect.Effect<Principal | KeyFlaw, KeysUnavailable>
  /**
   * Whether administration needs a key: there is an ADMIN_API_KEY, a key was ever made (revoked ones count), or the
   * ledger was ever served in production mode. Never `false` again after it was `true`. A change at another instance
   * takes effect within 1 s.
   */
  readonly configured: Effect.Effect<boolean, KeysUnavailable>
  /** Records which keys were used since the last time, and counts those that expire soon. For an agent. */
  readonly upkeep: Effect.Effect<void, KeysUnavailable>
}>() {}
