import * as Effect from "effect/Effect"
import type { ChangeRecord } from "../../domain/ChangeRecord.ts"
import type { Role } from "../../domain/Role.ts"
import { KeysUnavailable, LastAdminKey } from "../../security/ApiKeys.ts"
import {
  ApiKeyStore, type KeyChange, needsAnotherAdmin, type NewKey, type StoredKey
} from "../../security/ApiKeyStore.ts"
import type { KeyLimits } from "../../security/KeyLimits.ts"
import type { Row } from "../Rows.ts"
import { integer } from "../text/Literals.ts"
import { type KeyDialect, type KeyEntry, recordedWrites } from "./RecordedWrites.ts"

const unavailable = (cause: unknown) => new KeysUnavailable({ cause })

/** The limits in effect, as `l`, and the end, as `e`, of keys `k`. Joined: a subquery that is killed would be NULL. */
const withLimits = "LEFT JOIN (SELECT key_id, MAX(version) AS version FROM api_key_limits GROUP BY key_id) AS m " +
  "ON m.key_id = k.id LEFT JOIN api_key_limits AS l ON l.key_id = m.key_id AND l.version = m.version " +
  "LEFT JOIN api_key_ends AS e ON e.key_id = k.id"

/** What the audit log shows of a key: no field without a value. */
const state = (key: Pick<NewKey, "id" | "name" | "role" | "requestsPerSecond" | "limits">) => {
  const { id, limits, name, requestsPerSecond, role } = key
  return { id, name, role, requestsPerSecond, ...limitState(limits) }
}

const limitState = ({ campaigns, expiresAt, networks }: KeyLimits) => ({
  expiresAt: expiresAt === undefined ? undefined : new Date(expiresAt).toISOString(),
  networks,
  campaigns
})

const limitsOf = ({ id, name }: StoredKey, limits: KeyLimits) => ({ id, name, ...limitState(limits) })

const list = (value: unknown): ReadonlyArray<never> | undefined =>
  value === null ? undefined : JSON.parse(String(value)) as ReadonlyArray<never>

/**
 * What all ledgers do alike with keys. Each write begins with its row of the audit log, which is recorded only if the
 * write applies; the other statements do nothing without that row.
 */
export const make = <Statement>(dialect: KeyDialect<Statement>): ApiKeyStore["Type"] => {
  const { at, commit, insertIfAbsent, later, now, read, text, time, today } = dialect
  const write = recordedWrites(dialect)
  const maybe = <A>(value: A | undefined, literal: (value: A) => string) =>
    value === undefined ? "NULL" : literal(value)

  const keyOf = (row: Row): StoredKey => ({
    id: row.id as string,
    name: row.name as string,
    role: row.role as Role,
    secretHash: row.secret_hash as string,
    requestsPerSecond: row.requests_per_second === null ? undefined : Number(row.requests_per_second),
    limits: {
      expiresAt: row.expires_at === null ? undefined : time(row.expires_at),
      networks: list(row.networks),
      campaigns: list(row.campaigns)
    },
    limitsVersion: Number(row.version ?? 0),
    createdAt: time(row.created_at),
    revokedAt: row.revoked_at === null ? undefined : time(row.revoked_at),
    replaced: row.successor === null ? undefined : { by: row.successor as string, endsAt: time(row.ends_at) },
    lastUsedOn: row.last_day === null ? undefined : String(row.last_day)
  })

  const all = Effect.mapBoth(
    Effect.suspend(() =>
      read(
        `SELECT ${now()} AS ledger_now, k.*, l.version, l.expires_at, l.networks, l.campaigns, ` +
          "e.successor, e.ends_at, u.last_day FROM deployment AS d LEFT JOIN api_keys AS k ON 1 = 1 " +
          `${withLimits} LEFT JOIN api_key_use AS u ON u.key_id = k.id ORDER BY k.created_at, k.id`
      )
    ),
    {
      onFailure: unavailable,
      // The deployment has one row; without a key it has the clock alone.
      onSuccess: (rows) => ({
        now: time(rows[0]!.ledger_now),
        keys: rows.filter(({ id }) => id !== null).map(keyOf)
      })
    }
  )

  const newLimits = (id: string, version: number, limits: KeyLimits, recorded: string, now: string) => {
    const { campaigns, expiresAt, networks } = limits
    const values = [
      text(id),
      integer(version),
      maybe(expiresAt, at),
      ...[networks, campaigns].map((some) => maybe(some, (of) => text(JSON.stringify(of)))),
      now
    ]
    return "INSERT INTO api_key_limits (key_id, version, expires_at, networks, campaigns, set_at) " +
      `SELECT ${values.join(", ")} FROM ${recorded}`
  }

  const newKey = (key: NewKey, recorded: string, now: string): ReadonlyArray<string> => {
    const { id, limits, name, requestsPerSecond, role, secretHash } = key
    const values = [...[id, name, role, secretHash].map(text), maybe(requestsPerSecond, integer), now]
    const isLimited = Object.values(limits).some((limit) => limit !== undefined)
    return [
      "INSERT INTO api_keys (id, name, role, secret_hash, requests_per_second, created_at) " +
      `SELECT ${values.join(", ")} FROM ${recorded}`,
      ...isLimited ? [newLimits(id, 1, limits, recorded, now)] : []
    ]
  }

  /** Joined, it leaves no row unless another ADMIN key without a successor is valid after `until`, an expression. */
  const withAnotherAdmin = ({ id }: StoredKey, until: string) =>
    `CROSS JOIN (SELECT k.id FROM api_keys AS k ${withLimits} WHERE k.role = 'ADMIN' AND k.id <> ${text(id)} ` +
    `AND k.revoked_at IS NULL AND e.key_id IS NULL AND (l.expires_at IS NULL OR l.expires_at > ${until}) LIMIT 1) AS o `

  /** The key, if it is as it was read, and was neither revoked nor replaced. */
  const unchanged = ({ id, limitsVersion }: StoredKey, joined: string) =>
    `api_keys AS k ${joined}LEFT JOIN api_key_limits AS l ON l.key_id = k.id ` +
    `AND l.version > ${integer(limitsVersion)} LEFT JOIN api_key_ends AS e ON e.key_id = k.id ` +
    `WHERE k.id = ${text(id)} AND k.revoked_at IS NULL AND l.key_id IS NULL AND e.key_id IS NULL`

  const entryOf = <By extends ChangeRecord>(by: By, action: string, before: unknown, after: unknown) =>
    ({ ...by, action, outcome: "DONE" as const, before, after })

  /** A change of a key that ends it at `until`, or not earlier than before. */
  const change = (
    key: StoredKey,
    until: number,
    entry: KeyEntry & KeyChange,
    statements: (recorded: string, now: string) => ReadonlyArray<string>
  ) =>
    Effect.gen(function*() {
      const needsAnother = needsAnotherAdmin(key, until, entry)
      const joined = needsAnother ? withAnotherAdmin(key, at(until)) : ""
      if (yield* write(entry, () => unchanged(key, joined), statements)) return true
      if (!needsAnother) return false
      const isAsRead = (one: StoredKey) =>
        one.id === key.id && one.limitsVersion === key.limitsVersion && one.revokedAt === undefined &&
        one.replaced === undefined
      return (yield* all).keys.some(isAsRead) ? yield* new LastAdminKey() : false
    })

  return ApiKeyStore.of({
    all,
    insert: (key, change) =>
      write(
        entryOf(change, "key.create", undefined, state(key)),
        (now) =>
          "(SELECT 1 AS one) AS o LEFT JOIN " +
          `(SELECT k.id FROM api_keys AS k ${withLimits} WHERE k.name = ${text(key.name)} AND k.revoked_at IS NULL ` +
          `AND e.key_id IS NULL AND (l.expires_at IS NULL OR l.expires_at > ${now})) AS taken ON 1 = 1 ` +
          "WHERE taken.id IS NULL",
        (recorded, now) => newKey(key, recorded, now)
      ),
    revoke: (id, by) =>
      Effect.gen(function*() {
        const stored = yield* all
        const key = stored.keys.find((one) => one.id === id)
        if (key === undefined) return false
        if (key.revokedAt !== undefined) return true
        const needsAnother = needsAnotherAdmin(key, stored.now, by)
        const done = yield* write(
          entryOf(by, "key.revoke", state(key), undefined),
          (now) =>
            `api_keys AS k ${needsAnother ? withAnotherAdmin(key, now) : ""}` +
            `WHERE k.id = ${text(id)} AND k.revoked_at IS NULL`,
          (recorded, now) => [
            `UPDATE api_keys SET revoked_at = ${now} WHERE id = ${text(id)} AND revoked_at IS NULL ` +
            `AND EXISTS (SELECT 1 FROM ${recorded})`
          ]
        )
        if (done || !needsAnother) return true
        return (yield* all).keys.some((one) => one.id === id && one.revokedAt === undefined)
          ? yield* new LastAdminKey()
          : true
      }),
    limit: (key, limits, by) =>
      change(
        key,
        limits.expiresAt ?? Infinity,
        entryOf(by, "key.limit", limitsOf(key, key.limits), limitsOf(key, limits)),
        (recorded, now) => [newLimits(key.id, key.limitsVersion + 1, limits, recorded, now)]
      ),
    rotate: (key, { endsAt, successor }, by) =>
      change(
        key,
        Math.max(endsAt, successor.limits.expiresAt ?? Infinity),
        entryOf(by, "key.rotate", state(key), {
          ...state(successor),
          formerEndsAt: new Date(endsAt).toISOString()
        }),
        (recorded, now) => [
          ...newKey(successor, recorded, now),
          "INSERT INTO api_key_ends (key_id, successor, ends_at) " +
          `SELECT ${text(key.id)}, ${text(successor.id)}, ${at(endsAt)} FROM ${recorded}`
        ]
      ),
    noteUse: (ids) =>
      ids.length === 0 ? Effect.void : Effect.mapBoth(
        Effect.suspend(() =>
          commit([
            // Not ON DUPLICATE KEY UPDATE, for which MariaDB asks for the right to change key_id.
            `UPDATE api_key_use SET last_day = ${later}(last_day, ${today()}) WHERE key_id IN (${
              ids.map(text).join(", ")
            })`,
            `${insertIfAbsent} api_key_use (key_id, last_day) VALUES ` +
            ids.map((id) => `(${text(id)}, ${today()})`).join(", ")
          ])
        ),
        { onFailure: unavailable, onSuccess: () => undefined }
      )
  })
}
