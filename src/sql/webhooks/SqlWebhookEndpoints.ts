import * as Effect from "effect/Effect"
import type { EpochMillis } from "../../domain/Time.ts"
import {
  MAX_WEBHOOKS, type WebhookDefinition, type WebhookEndpoint, type WebhookSecret
} from "../../domain/webhooks/Webhook.ts"
import type { WebhookEndpoints } from "../../ports/webhooks/WebhookEndpoints.ts"
import type { Row } from "../Rows.ts"
import { integer } from "../text/Literals.ts"
import { actOf, repeatable, type WebhookDialect } from "./WebhookDialect.ts"

const optional = (value: unknown): EpochMillis | undefined => value === null ? undefined : Number(value)

/** What an operator sets, as a column has it. */
const definitionOf = (
  { concurrency, description, maxAttempts, mode, onFailure, scope, types, url }: WebhookDefinition
): WebhookDefinition => ({ url, description, types, scope, mode, onFailure, maxAttempts, concurrency })

/** An endpoint as the audit log has it. */
const shown = (endpoint: WebhookEndpoint) => {
  const { id, reason, secrets, status } = endpoint
  return {
    id,
    ...definitionOf(endpoint),
    status,
    ...(reason === "" ? {} : { reason }),
    // When the secrets expire shows a rotation; what they are, sealed or not, is for no log.
    secrets: secrets.map(({ expiresAt }) => ({ expiresAt: expiresAt ?? null }))
  }
}

const endpointOf = (row: Row): WebhookEndpoint => ({
  id: row.id as string,
  ...JSON.parse(row.definition as string) as WebhookDefinition,
  version: Number(row.version),
  status: row.status as WebhookEndpoint["status"],
  reason: row.reason as string,
  disabledAt: optional(row.disabled_at),
  failingSince: optional(row.failing_since),
  secrets: (JSON.parse(row.secrets as string) as ReadonlyArray<{ sealed: string; expiresAt: number | null }>)
    .map(({ expiresAt, sealed }): WebhookSecret => ({ sealed, expiresAt: expiresAt ?? undefined })),
  createdAt: Number(row.created_at),
  updatedAt: Number(row.updated_at)
})

/** The endpoints, in either dialect. */
export const make = (dialect: WebhookDialect): WebhookEndpoints["Type"] => {
  const { act, actRecorded, forUpdate, now, read, text, transact } = dialect

  const columnsOf = (endpoint: WebhookEndpoint) => ({
    definition: text(JSON.stringify({
      ...definitionOf(endpoint),
      // JSON has no undefined, and a scope without `all` must not read as one of all.
      scope: { all: endpoint.scope.all, some: endpoint.scope.some }
    })),
    secrets: text(JSON.stringify(endpoint.secrets)),
    status: text(endpoint.status),
    reason: text(endpoint.reason),
    disabled_at: endpoint.disabledAt === undefined ? "NULL" : integer(endpoint.disabledAt),
    failing_since: endpoint.failingSince === undefined ? "NULL" : integer(endpoint.failingSince)
  })

  const at = ({ id, version }: WebhookEndpoint) => `id = ${text(id)} AND version = ${integer(version)}`
  const locked = ({ id }: WebhookEndpoint) =>
    `SELECT version FROM webhook_endpoints WHERE id = ${text(id)}${forUpdate}`
  const isRecorded = (rows: ReadonlyArray<Row>) => rows.length > 0

  /** The positions in campaigns that an endpoint does not get events of any more. */
  const leaving = ({ id, scope }: WebhookEndpoint): ReadonlyArray<string> => {
    if (scope.all !== undefined) return []
    const kept = scope.some.map(({ campaignId }) => integer(campaignId)).join(",")
    return [`DELETE FROM webhook_cursors WHERE endpoint_id = ${text(id)} AND campaign_id NOT IN (${kept})`]
  }

  return {
    now: Effect.map(Effect.suspend(() => read(`SELECT ${now()} AS now_at`)), ([row]) => Number(row!.now_at)),
    all: Effect.map(read("SELECT * FROM webhook_endpoints ORDER BY created_at, id"), (rows) => rows.map(endpointOf)),
    create: (endpoint, record) =>
      Effect.suspend(() => {
        const columns = columnsOf(endpoint)
        const isNew = `FROM webhook_endpoints WHERE ${at(endpoint)}`
        const statements = [
          // Of two that create at once, the second counts the first.
          ...(forUpdate === "" ? [] : [`SELECT identity FROM deployment${forUpdate}`]),
          `INSERT INTO webhook_endpoints (id, version, ${Object.keys(columns).join(", ")}, created_at, updated_at)
SELECT ${text(endpoint.id)}, ${integer(endpoint.version)}, ${Object.values(columns).join(", ")},
${integer(endpoint.createdAt)}, ${integer(endpoint.updatedAt)}
FROM (SELECT COUNT(*) AS n FROM webhook_endpoints) AS those WHERE those.n < ${MAX_WEBHOOKS}`,
          ...act(actOf(record, "webhook.create", undefined, shown(endpoint)), isNew)
        ]
        return Effect.map(transact(statements, actRecorded(record.changeId)), isRecorded)
      }),
    change: ({ action, from, to, ...record }) =>
      Effect.suspend(() => {
        const columns = columnsOf(to)
        const applies = `FROM webhook_endpoints WHERE ${at(from)}`
        const again = (from.status !== to.status && to.status === "ENABLED") || from.url !== to.url
        const id = text(from.id)
        const isMade = `EXISTS (SELECT 1 FROM webhook_endpoints WHERE id = ${id} AND version = ${
          integer(from.version + 1)
        })`
        const statements = [
          locked(from),
          ...act(actOf(record, action, shown(from), shown(to)), applies),
          `UPDATE webhook_endpoints SET ${
            Object.entries(columns).map(([name, value]) => `${name} = ${value}`).join(", ")
          }, version = version + 1, updated_at = ${now()} WHERE ${at(from)}`,
          ...(again
            ? [`UPDATE webhook_cursors SET due_at = 0 WHERE endpoint_id = ${id} AND due_at > 0 AND ${isMade}`]
            : []),
          ...leaving({ ...to, id: from.id }).map((statement) => `${statement} AND ${isMade}`)
        ]
        return Effect.map(transact(statements, actRecorded(record.changeId)), isRecorded)
      }),
    remove: (endpoint, record) =>
      Effect.suspend(() => {
        const id = text(endpoint.id)
        const gone = `NOT EXISTS (SELECT 1 FROM webhook_endpoints WHERE id = ${id})`
        const statements = [
          locked(endpoint),
          ...act(
            actOf(record, "webhook.delete", shown(endpoint), undefined),
            `FROM webhook_endpoints WHERE ${at(endpoint)}`
          ),
          `DELETE FROM webhook_endpoints WHERE ${at(endpoint)}`,
          ...["cursors", "attempts", "parked"].map((table) =>
            `DELETE FROM webhook_${table} WHERE endpoint_id = ${id} AND ${gone}`)
        ]
        return Effect.map(transact(statements, actRecorded(record.changeId)), isRecorded)
      }),
    reseal: (endpoint, sealed) =>
      Effect.suspend(() => {
        const secrets = endpoint.secrets.map(({ expiresAt }, index) => ({ sealed: sealed[index]!, expiresAt }))
        const set = `UPDATE webhook_endpoints SET secrets = ${text(JSON.stringify(secrets))} WHERE ${at(endpoint)}`
        return Effect.asVoid(repeatable(transact([set], "SELECT 1")))
      }),
    noteFailing: (id, failing) =>
      Effect.suspend(() => {
        const set = failing ? now() : "NULL"
        return Effect.asVoid(repeatable(transact([
          `UPDATE webhook_endpoints SET failing_since = ${set} WHERE id = ${text(id)} AND failing_since IS ${
            failing ? "" : "NOT "
          }NULL`
        ], "SELECT 1")))
      })
  }
}
