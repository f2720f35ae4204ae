import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { EpochMillis } from "../domain/Time.ts"
import { AdminAudit } from "../issuance/AdminAudit.ts"
import { KeysUnavailable } from "../security/ApiKeys.ts"
import type { StoredKey } from "../security/ApiKeyStore.ts"
import { ApiKeyStore } from "../security/ApiKeyStore.ts"
import type { Role } from "../security/Role.ts"
import { timeFromSql } from "./MySql.ts"
import type { Row } from "./Rows.ts"

interface Dialect {
  readonly time: (value: unknown) => EpochMillis
  /** The store's clock. */
  readonly now: string
}

const unavailable = (cause: unknown) => new KeysUnavailable({ cause })

const make = (dialect: Dialect) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const audit = yield* AdminAudit
    const run = (text: string, values: ReadonlyArray<string | number | null> = []) =>
      Effect.mapError(sql.unsafe<Row>(text, values), unavailable)
    // Recorded first: an act that is recorded and did not happen is better than one that happened in silence.
    const record = (action: string, before: unknown, after: unknown) =>
      Effect.mapError(audit.append({ action, campaignId: undefined, before, after }), unavailable)

    const keyOf = (row: Row): StoredKey => ({
      id: row.id as string,
      name: row.name as string,
      role: row.role as Role,
      secretHash: row.secret_hash as string,
      requestsPerSecond: row.requests_per_second === null ? undefined : Number(row.requests_per_second),
      createdAt: dialect.time(row.created_at),
      revokedAt: row.revoked_at === null ? undefined : dialect.time(row.revoked_at)
    })
    const all = Effect.map(run("SELECT * FROM api_keys ORDER BY created_at, id"), (rows) => rows.map(keyOf))

    return ApiKeyStore.of({
      all,
      insert: ({ id, name, requestsPerSecond, role, secretHash }) =>
        Effect.zipRight(
          record("key.create", undefined, { id, name, role, requestsPerSecond }),
          Effect.asVoid(run(
            `INSERT INTO api_keys (id, name, role, secret_hash, requests_per_second, created_at) VALUES (?, ?, ?, ?, ?, ${dialect.now})`,
            [id, name, role, secretHash, requestsPerSecond ?? null]
          ))
        ),
      revoke: (id) =>
        Effect.gen(function*() {
          const key = (yield* all).find((one) => one.id === id)
          if (key === undefined) return false
          if (key.revokedAt !== undefined) return true
          const { name, requestsPerSecond, role } = key
          yield* record("key.revoke", { id, name, role, requestsPerSecond }, undefined)
          yield* run(`UPDATE api_keys SET revoked_at = ${dialect.now} WHERE id = ? AND revoked_at IS NULL`, [id])
          return true
        })
    })
  })

/** The keys in whichever database the client is connected to. */
export const layer: Layer.Layer<ApiKeyStore, never, SqlClient | AdminAudit> = Layer.effect(
  ApiKeyStore,
  Effect.flatMap(SqlClient, (sql) =>
    make(sql.onDialectOrElse({
      sqlite: (): Dialect => ({ time: Number, now: "CAST(unixepoch('subsec') * 1000 AS INTEGER)" }),
      orElse: (): Dialect => ({ time: timeFromSql, now: "UTC_TIMESTAMP(6)" })
    })))
)
