import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import type { Role } from "../domain/Role.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { AuditEntry } from "../ports/AuditLog.ts"
import { KeysUnavailable } from "../security/ApiKeys.ts"
import { ApiKeyStore, type StoredKey } from "../security/ApiKeyStore.ts"
import type { Row } from "./Rows.ts"

type NewKey = Parameters<ApiKeyStore["Type"]["insert"]>[0]

/** What the audit log is to have of a write. */
export type KeyEntry = Omit<AuditEntry, "campaignId">

/** The keys, where the databases differ. Both writes are one transaction with their row of the audit log. */
export interface ApiKeyDialect {
  readonly time: (value: unknown) => EpochMillis
  readonly insert: (key: NewKey, entry: KeyEntry) => Effect.Effect<unknown, unknown>
  /** Does nothing to a key that was revoked before, and then adds no row to the audit log either. */
  readonly revoke: (id: string, entry: KeyEntry) => Effect.Effect<unknown, unknown>
}

const unavailable = (cause: unknown) => new KeysUnavailable({ cause })

/** What all ledgers do alike with keys. */
export const make = (dialect: ApiKeyDialect): Effect.Effect<ApiKeyStore["Type"], never, SqlClient> =>
  Effect.map(SqlClient, (sql) => {
    const keyOf = (row: Row): StoredKey => ({
      id: row.id as string,
      name: row.name as string,
      role: row.role as Role,
      secretHash: row.secret_hash as string,
      requestsPerSecond: row.requests_per_second === null ? undefined : Number(row.requests_per_second),
      createdAt: dialect.time(row.created_at),
      revokedAt: row.revoked_at === null ? undefined : dialect.time(row.revoked_at)
    })
    const all = Effect.mapBoth(sql.unsafe<Row>("SELECT * FROM api_keys ORDER BY created_at, id"), {
      onFailure: unavailable,
      onSuccess: (rows) => rows.map(keyOf)
    })

    return ApiKeyStore.of({
      all,
      insert: (key, change) => {
        const { id, name, requestsPerSecond, role } = key
        const after = { id, name, role, requestsPerSecond }
        const entry = { ...change, action: "key.create", outcome: "DONE", before: undefined, after } as const
        return Effect.mapBoth(dialect.insert(key, entry), {
          onFailure: unavailable,
          onSuccess: () => undefined
        })
      },
      revoke: (id, change) =>
        Effect.gen(function*() {
          const key = (yield* all).find((one) => one.id === id)
          if (key === undefined) return false
          if (key.revokedAt !== undefined) return true
          const { name, requestsPerSecond, role } = key
          const before = { id, name, role, requestsPerSecond }
          yield* Effect.mapError(
            dialect.revoke(id, { ...change, action: "key.revoke", outcome: "DONE", before, after: undefined }),
            unavailable
          )
          return true
        })
    })
  })
