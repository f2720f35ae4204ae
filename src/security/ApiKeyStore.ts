import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { ChangeRecord } from "../domain/ChangeRecord.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { type ApiKey, endOf, type KeysUnavailable, type LastAdminKey } from "./ApiKeys.ts"
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

/** A change that may end a key: as whose it is recorded, and what it must leave. */
export interface KeyChange extends ChangeRecord {
  /** Whether an ADMIN key without a successor has to remain, because there is no other way in. */
  readonly keepsAdmin: boolean
}

/** A successor of a key, and when the key ends for it. */
export interface Replacement {
  readonly successor: NewKey
  readonly endsAt: EpochMillis
}

/**
 * Whether a change needs another ADMIN key that is valid after `until`: it ends one there, earlier than before. Of a
 * rotation `until` is when the later of the two keys ends; infinity: never.
 */
export const needsAnotherAdmin = (key: ApiKey, until: number, { keepsAdmin }: KeyChange): boolean =>
  keepsAdmin && key.role === "ADMIN" && until < (endOf(key) ?? Infinity)

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
 * store's. `LastAdminKey`: the change keeps an ADMIN key, and would end the last one earlier than before; nothing was
 * done. That is decided in the transaction, so of changes at the same time one is too many.
 */
export class ApiKeyStore extends Context.Tag("coupon/security/ApiKeyStore")<ApiKeyStore, {
  /** `false`: a valid key that has no successor has this name. */
  readonly insert: (key: NewKey, change: ChangeRecord) => Effect.Effect<boolean, KeysUnavailable>
  readonly all: Effect.Effect<StoredKeys, KeysUnavailable>
  /** `false`: there is no such key, `true` also for one that was revoked before. */
  readonly revoke: (id: string, change: KeyChange) => Effect.Effect<boolean, LastAdminKey | KeysUnavailable>
  /** Sets the limits of a key. `false`: its limits are not those of `key` any more, or it was revoked or replaced. */
  readonly limit: (
    key: StoredKey,
    limits: KeyLimits,
    change: KeyChange
  ) => Effect.Effect<boolean, LastAdminKey | KeysUnavailable>
  /** Adds a successor to a key, which ends at `endsAt`. `false` as in `limit`. */
  readonly rotate: (
    key: StoredKey,
    replacement: Replacement,
    change: KeyChange
  ) => Effect.Effect<boolean, LastAdminKey | KeysUnavailable>
  /** Records that these keys were used today, by the store's clock in UTC. */
  readonly noteUse: (ids: ReadonlyArray<string>) => Effect.Effect<void, KeysUnavailable>
}>() {}
