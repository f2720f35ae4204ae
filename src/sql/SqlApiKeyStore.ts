import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import { randomBytes } from "node:crypto"
import { AppConfig } from "../config/AppConfig.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { Actor } from "../ports/Actor.ts"
import type { AdminAct } from "../ports/AuditLog.ts"
import { KeysUnavailable } from "../security/ApiKeys.ts"
import type { StoredKey } from "../security/ApiKeyStore.ts"
import { ApiKeyStore } from "../security/ApiKeyStore.ts"
import type { Role } from "../domain/Role.ts"
import { actColumns, actorText, mysqlAct, stateText } from "./text/AuditLogText.ts"
import { integer, mysqlText, timeFromSql } from "./text/Literals.ts"
import { LibSqlDriver } from "./libsql/LibSql.ts"
import type { Row } from "./Rows.ts"
import { script } from "./mysql/Script.ts"
import * as Transactions from "./mysql/Transactions.ts"

type NewKey = Parameters<ApiKeyStore["Type"]["insert"]>[0]

/** Who does what, and under which id the audit has it. */
interface Entry {
  readonly changeId: string
  readonly actor: string
  readonly act: AdminAct
}

/** Both writes are one transaction with their row of the audit, which is there if and only if something was done. */
interface Dialect {
  readonly time: (value: unknown) => EpochMillis
  readonly insert: (key: NewKey, entry: Entry) => Effect.Effect<unknown, unknown>
  /** Does nothing to a key that was revoked before. */
  readonly revoke: (id: string, entry: Entry) => Effect.Effect<unknown, unknown>
}

const unavailable = (cause: unknown) => new KeysUnavailable({ cause })

const make = (dialect: Dialect) =>
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

    const write = (action: string, before: unknown, after: unknown, run: (entry: Entry) => Effect.Effect<unknown, unknown>) =>
      Effect.flatMap(FiberRef.get(Actor), (actor) =>
        Effect.mapError(
          run({ changeId: randomBytes(16).toString("hex"), actor, act: { action, campaignId: undefined, before, after } }),
          unavailable
        ))

    return ApiKeyStore.of({
      all,
      insert: (key) => {
        const { id, name, requestsPerSecond, role } = key
        return Effect.asVoid(write("key.create", undefined, { id, name, role, requestsPerSecond }, (entry) => dialect.insert(key, entry)))
      },
      revoke: (id) =>
        Effect.gen(function*() {
          const key = (yield* all).find((one) => one.id === id)
          if (key === undefined) return false
          if (key.revokedAt !== undefined) return true
          const { name, requestsPerSecond, role } = key
          yield* write("key.revoke", { id, name, role, requestsPerSecond }, undefined, (entry) => dialect.revoke(id, entry))
          return true
        })
    })
  })

const mysql = Effect.gen(function*() {
  const sql = yield* SqlClient
  const config = yield* AppConfig
  const { send, settings } = Transactions.make(sql, config)
  const transaction = (...statements: ReadonlyArray<string>) =>
    Effect.flatMap(
      send(script(...settings, "START TRANSACTION", ...statements, "COMMIT")),
      (sent) => sent._tag === "Left" ? Effect.fail(sent.left.cause) : Effect.void
    )
  const actOf = ({ act, actor, changeId }: Entry) => mysqlAct(changeId, actor, act, "UTC_TIMESTAMP(6)", "NULL")
  return {
    time: timeFromSql,
    insert: ({ id, name, requestsPerSecond, role, secretHash }, entry) => {
      const rate = requestsPerSecond === undefined ? "NULL" : integer(requestsPerSecond)
      return transaction(
        `INSERT INTO api_keys (id, name, role, secret_hash, requests_per_second, created_at)
VALUES (${mysqlText(id)}, ${mysqlText(name)}, ${mysqlText(role)}, ${mysqlText(secretHash)}, ${rate}, UTC_TIMESTAMP(6))`,
        `INSERT INTO admin_audit (${actColumns}) VALUES (${actOf(entry)})`
      )
    },
    revoke: (id, entry) => {
      const valid = `id = ${mysqlText(id)} AND revoked_at IS NULL`
      return transaction(
        `SELECT id FROM api_keys WHERE ${valid} FOR UPDATE`,
        `INSERT INTO admin_audit (${actColumns}) SELECT ${actOf(entry)} FROM api_keys WHERE ${valid}`,
        `UPDATE api_keys SET revoked_at = UTC_TIMESTAMP(6) WHERE ${valid}`
      )
    }
  } satisfies Dialect
})

const libsql = Effect.map(LibSqlDriver, (driver) => {
  const valid = "id = ? AND revoked_at IS NULL"
  const audited = ({ act, actor, changeId }: Entry, now: number) =>
    [changeId, now, actorText(actor), act.action, null, stateText(act.before), stateText(act.after)] as const
  const batch = (statements: (now: number) => Parameters<typeof driver.batch>[0]) =>
    Effect.uninterruptible(Effect.tryPromise({ try: () => driver.batch(statements(Date.now()), "write"), catch: (cause) => cause }))
  return {
    time: Number,
    insert: ({ id, name, requestsPerSecond, role, secretHash }, entry) =>
      batch((now) => [
        {
          sql: "INSERT INTO api_keys (id, name, role, secret_hash, requests_per_second, created_at) VALUES (?, ?, ?, ?, ?, ?)",
          args: [id, name, role, secretHash, requestsPerSecond ?? null, now]
        },
        { sql: `INSERT INTO admin_audit (${actColumns}) VALUES (?, ?, ?, ?, ?, ?, ?)`, args: [...audited(entry, now)] }
      ]),
    revoke: (id, entry) =>
      batch((now) => [
        {
          sql: `INSERT INTO admin_audit (${actColumns}) SELECT ?, ?, ?, ?, ?, ?, ? FROM api_keys WHERE ${valid}`,
          args: [...audited(entry, now), id]
        },
        { sql: `UPDATE api_keys SET revoked_at = ? WHERE ${valid}`, args: [now, id] }
      ])
  } satisfies Dialect
})

/** The keys in MySQL or MariaDB. */
export const layerMySql: Layer.Layer<ApiKeyStore, never, SqlClient | AppConfig> = Layer.effect(ApiKeyStore, Effect.flatMap(mysql, make))

/** The keys in the embedded ledger's file. */
export const layerLibSql: Layer.Layer<ApiKeyStore, never, SqlClient | LibSqlDriver> = Layer.effect(ApiKeyStore, Effect.flatMap(libsql, make))
