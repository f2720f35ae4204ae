import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { ChangeRecord } from "../domain/ChangeRecord.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { ApiKey, KeysUnavailable } from "./ApiKeys.ts"
import type { KeyLimits } from "./KeyLimits.ts"

/** A key as it is kept. */
export interface StoredKey extends ApiKey {
  /** `Secret.hashOf` of the secret, in lower-case hex. */
  readonly secretHash: string
  /** How often its limits were set. */
  readonly limitsVersion: number
}

/** A key that is to be made. */
export type NewKey = Pick<StoredKey, "id" | "name" | "role" | "requestsPerSecond" | "limits" | "secretHash">

/** All keys at one moment. */
export interface StoredKeys {
  /** The store's clock. */
  readonly now: EpochMillis
  /** Every key that ever was, the oldest first. */
  readonly keys: ReadonlyArray<StoredKey>
}

/**
 * Stores the keys beside the coupons, for all instances. Every write but `noteUse` adds a row to the audit log in its
 * transaction, under the change's id; one that does nothing adds none. All are durable when they return. Times are the
 * store's.
 */
export class ApiKeyStore extends Context.Tag("coupon/security/ApiKeyStore")<ApiKeyStore, {
  /** `false`: a valid key that has no successor has this name. */
  readonly insert: (key: NewKey, change: ChangeRecord) => Effect.Effect<boolean, KeysUnavailable>
  readonly all: Effect.Effect<StoredKeys, KeysUnavailable>
  /** `false`: there is no such key, `true` also for one that was revoked before. */
  readonly revoke: (id: string, change: ChangeRecord) => Effect.Effect<boolean, KeysUnavailable>
  /** Sets the limits of a key. `false`: its limits are not those of `key` any more, or it was revoked or replaced. */
  readonly limit: (key: StoredKey, limits: KeyLimits, change: ChangeRecord) => Effect.Effect<boolean, KeysUnavailable>
  /** Adds a successor to a key, which ends at `endsAt`. `false` as in `limit`. */
  readonly rotate: (
    key: StoredKey,
    rotation: { readonly successor: NewKey; readonly endsAt: EpochMillis },
    change: ChangeRecord
  ) => Effect.Effect<boolean, KeysUnavailable>
  /** Records that these keys were used today, by the store's clock in UTC. */
  readonly noteUse: (ids: ReadonlyArray<string>) => Effect.Effect<void, KeysUnavailable>
}>() {}
