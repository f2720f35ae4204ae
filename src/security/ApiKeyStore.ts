import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { ChangeRecord } from "../domain/ChangeRecord.ts"
import type { ApiKey, KeysUnavailable } from "./ApiKeys.ts"

/** A key as it is kept. */
export interface StoredKey extends ApiKey {
  /** SHA-256 of the secret, in lower-case hex. */
  readonly secretHash: string
}

/**
 * Stores the keys beside the coupons, for all instances. Both writes add a row to the audit log in their transaction,
 * under the change's id; one that does nothing adds none.
 */
export class ApiKeyStore extends Context.Tag("coupon/security/ApiKeyStore")<ApiKeyStore, {
  /** Durable when it returns. Times are the store's. */
  readonly insert: (
    key: Omit<StoredKey, "createdAt" | "revokedAt">,
    change: ChangeRecord
  ) => Effect.Effect<void, KeysUnavailable>
  /** Every key that ever was, the oldest first. */
  readonly all: Effect.Effect<ReadonlyArray<StoredKey>, KeysUnavailable>
  /** Durable when it returns; `false`: there is no such key, `true` also for one that was revoked before. */
  readonly revoke: (id: string, change: ChangeRecord) => Effect.Effect<boolean, KeysUnavailable>
}>() {}
