import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import { randomBytes } from "node:crypto"
import type { Role } from "../domain/Role.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { Actor } from "../ports/Actor.ts"
import type { AdminAct } from "../ports/AuditLog.ts"
import { KeysUnavailable } from "../security/ApiKeys.ts"
import { ApiKeyStore, type StoredKey } from "../security/ApiKeyStore.ts"
import type { Row } from "./Rows.ts"

type NewKey = Parameters<ApiKeyStore["Type"]["insert"]>[0]

/** Who does what, and under which id the audit log has it. */
export interface KeyEntry {
  readonly changeId: string
  readonly actor: string
  readonly act: AdminAct
}

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

    const write = (
      act: Omit<AdminAct, "campaignId">,
      run: (entry: KeyEntry) => Effect.Effect<unknown, unknown>
    ) =>
      Effect.flatMap(FiberRef.get(Actor), (actor) => {
        const changeId = randomBytes(16).toString("hex")
        return Effect.mapError(run({ changeId, actor, act: { ...act, campaignId: undefined } }), unavailable)
      })

    return ApiKeyStore.of({
      all,
      insert: (key) => {
        const { id, name, requestsPerSecond, role } = key
        const act = { action: "key.create", before: undefined, after: { id, name, role, requestsPerSecond } }
        return Effect.asVoid(write(act, (entry) => dialect.insert(key, entry)))
      },
      revoke: (id) =>
        Effect.gen(function*() {
          const key = (yield* all).find((one) => one.id === id)
          if (key === undefined) return false
          if (key.revokedAt !== undefined) return true
          const { name, requestsPerSecond, role } = key
          const act = { action: "key.revoke", before: { id, name, role, requestsPerSecond }, after: undefined }
          yield* write(act, (entry) => dialect.revoke(id, entry))
          return true
        })
    })
  })
