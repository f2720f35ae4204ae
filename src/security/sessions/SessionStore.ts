import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { ChangeRecord } from "../../domain/ChangeRecord.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { KeysUnavailable } from "../ApiKeys.ts"

/** Whose sessions are those of ADMIN_API_KEY, which has no id. */
export const BOOTSTRAP = "bootstrap"

/** A session that was started with an API key. */
export interface StoredSession {
  /** 16 hexadecimal digits. It names the session, and opens nothing. */
  readonly id: string
  /** `SessionToken.hashOf` of its token. */
  readonly tokenHash: string
  /** The id of its key, or `BOOTSTRAP`. */
  readonly keyId: string
  readonly createdAt: EpochMillis
  readonly endsAt: EpochMillis
  /** Where it was started from. */
  readonly address: string
}

/** Sessions at one moment. */
export interface StoredSessions {
  /** The store's clock. */
  readonly now: EpochMillis
  /** Those whose time is not over, the oldest first. */
  readonly sessions: ReadonlyArray<StoredSession>
}

/**
 * Stores the sessions of the console beside the keys, for all instances. A session is there until it ends. Times are
 * the store's. Writes are durable when they return, and in one transaction with their rows of the audit log.
 */
export class SessionStore extends Context.Tag("coupon/security/SessionStore")<SessionStore, {
  /**
   * Adds a session that lasts for `lifeMillis` (`session.start`). Of its key, the `most` latest ones stay. Sessions
   * whose time is over are removed.
   */
  readonly insert: (
    session: Omit<StoredSession, "createdAt" | "endsAt">,
    limits: { readonly lifeMillis: number; readonly most: number },
    change: ChangeRecord
  ) => Effect.Effect<void, KeysUnavailable>
  readonly all: Effect.Effect<StoredSessions, KeysUnavailable>
  /** Ends a session (`session.end`). `false`: there is none. */
  readonly remove: (id: string, change: ChangeRecord) => Effect.Effect<boolean, KeysUnavailable>
}>() {}
