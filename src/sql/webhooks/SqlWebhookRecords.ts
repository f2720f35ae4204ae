import * as Effect from "effect/Effect"
import type { WebhookPosition } from "../../domain/webhooks/Webhook.ts"
import type { WebhookAttempt } from "../../ports/webhooks/WebhookCursors.ts"
import type { NotedAttempt, ParkedDelivery, WebhookRecords } from "../../ports/webhooks/WebhookRecords.ts"
import type { Row } from "../Rows.ts"
import { integer } from "../text/Literals.ts"
import { actOf, repeatable, type WebhookDialect } from "./WebhookDialect.ts"

const POSITIONS = "sequence, number, end_sequence, end_number"

const positionsOf = (row: Row): { readonly from: WebhookPosition; readonly to: WebhookPosition } => ({
  from: { sequence: Number(row.sequence), number: Number(row.number) },
  to: { sequence: Number(row.end_sequence), number: Number(row.end_number) }
})

/** As wide as the columns. */
const MAX_REASON = 500
const MAX_ANSWER = 4_096

const cut = (text: string, characters: number): string =>
  Array.from(text.toWellFormed().replace(/\0/g, "\ufffd")).slice(0, characters).join("")

/** A statement that notes an attempt where `condition`, e.g. `FROM t WHERE …`, has a row. */
export const attemptInsert = (
  { now, text }: WebhookDialect,
  endpointId: string,
  campaignId: number,
  { answer, events, from, reason, requests, result, status, to, tookMillis }: WebhookAttempt,
  condition: string
): string => {
  const numbers = [from.sequence, from.number, to.sequence, to.number, requests, events].map(integer).join(", ")
  return `INSERT INTO webhook_attempts
(campaign_id, endpoint_id, ${POSITIONS}, requests, events, result, status, reason, answer, took_millis, at)
SELECT ${integer(campaignId)}, ${text(endpointId)}, ${numbers}, ${text(result)}, ${
    status === undefined ? "NULL" : integer(status)
  }, ${text(cut(reason, MAX_REASON))}, ${text(cut(answer, MAX_ANSWER))}, ${integer(tookMillis)}, ${now()} ${condition}`
}

const attemptOf = (row: Row): NotedAttempt => ({
  id: Number(row.id),
  campaignId: Number(row.campaign_id),
  at: Number(row.at),
  ...positionsOf(row),
  requests: Number(row.requests),
  events: Number(row.events),
  result: row.result as WebhookAttempt["result"],
  status: row.status === null ? undefined : Number(row.status),
  reason: row.reason as string,
  answer: row.answer as string,
  tookMillis: Number(row.took_millis)
})

const parkedOf = (row: Row): ParkedDelivery => ({
  id: Number(row.id),
  endpointId: row.endpoint_id as string,
  campaignId: Number(row.campaign_id),
  ...positionsOf(row),
  reason: row.reason as string,
  parkedAt: Number(row.parked_at),
  isDue: Number(row.is_due) === 1
})

/** Rows that one purge removes at most, of each kind. */
const PURGED = 10_000

/** Attempts and parked deliveries, in either dialect. */
export const make = (dialect: WebhookDialect): WebhookRecords["Type"] => {
  const { act, forUpdate, now, read, text, transact } = dialect
  return {
    attempts: ({ beforeId, campaignId, endpointId, limit }) =>
      Effect.map(
        Effect.suspend(() =>
          read(
            `SELECT * FROM webhook_attempts WHERE endpoint_id = ${text(endpointId)}${
              beforeId === undefined ? "" : ` AND id < ${integer(beforeId)}`
            }${campaignId === undefined ? "" : ` AND campaign_id = ${integer(campaignId)}`} ORDER BY id DESC LIMIT ${
              integer(limit)
            }`
          )
        ),
        (rows) => rows.map(attemptOf)
      ),
    note: (endpointId, campaignId, attempt) =>
      Effect.suspend(() =>
        Effect.asVoid(repeatable(transact([
          attemptInsert(
            dialect,
            endpointId,
            campaignId,
            attempt,
            `FROM webhook_endpoints WHERE id = ${text(endpointId)}`
          )
        ], "SELECT 1")))),
    purge: (olderThanMillis, keep) =>
      Effect.gen(function*() {
        const endpoints = yield* read("SELECT DISTINCT endpoint_id FROM webhook_attempts")
        for (const { endpoint_id: id } of endpoints) {
          const those = `endpoint_id = ${text(id as string)}`
          const [oldest] = yield* read(
            `SELECT id FROM webhook_attempts WHERE ${those} ORDER BY id DESC LIMIT 1 OFFSET ${integer(keep)}`
          )
          const beyond = oldest === undefined ? "" : ` OR id <= ${integer(Number(oldest.id))}`
          const doomed = yield* read(
            `SELECT id FROM webhook_attempts WHERE ${those} AND (at < ${now()} - ${integer(olderThanMillis)}${beyond})
ORDER BY id LIMIT ${PURGED}`
          )
          const last = doomed.at(-1)
          if (last === undefined) continue
          yield* repeatable(transact([
            `DELETE FROM webhook_attempts WHERE ${those} AND id <= ${integer(Number(last.id))}`
          ], "SELECT 1"))
        }
      }),
    parked: ({ afterId, endpointId, limit }) =>
      Effect.map(
        Effect.suspend(() =>
          read(
            `SELECT * FROM webhook_parked WHERE endpoint_id = ${text(endpointId)} AND id > ${
              integer(afterId)
            } ORDER BY id LIMIT ${integer(limit)}`
          )
        ),
        (rows) => rows.map(parkedOf)
      ),
    retry: ({ endpointId, ids, ...record }) =>
      Effect.suspend(() => {
        const some = ids === undefined ? "" : ` AND id IN (${[...ids, 0].map(integer).join(",")})`
        const those = `webhook_parked WHERE endpoint_id = ${text(endpointId)}${some}`
        return Effect.map(
          transact([
            ...act(
              actOf(record, "webhook.retry_parked", undefined, { id: endpointId, ids: ids ?? "all" }),
              `FROM webhook_endpoints WHERE id = ${text(endpointId)}`
            ),
            `UPDATE ${those.replace(" WHERE", " SET is_due = 1 WHERE")}`
          ], `SELECT COUNT(*) AS n FROM ${those}`),
          ([row]) => Number(row!.n)
        )
      }),
    dueParked: Effect.map(
      Effect.suspend(() =>
        read(`SELECT DISTINCT endpoint_id FROM webhook_parked WHERE is_due = 1 AND lease_until <= ${now()}`)
      ),
      (rows) => rows.map((row) => row.endpoint_id as string)
    ),
    claimParked: (endpointId, owner, leaseMillis) =>
      Effect.gen(function*() {
        const free = `endpoint_id = ${text(endpointId)} AND is_due = 1 AND lease_until <= ${now()}`
        const [found] = yield* read(`SELECT * FROM webhook_parked WHERE ${free} ORDER BY id LIMIT 1`)
        if (found === undefined) return undefined
        const token = Number(found.token) + 1
        const key = `id = ${integer(Number(found.id))} AND token = `
        const rows = yield* repeatable(transact([
          `SELECT id FROM webhook_parked WHERE ${key}${integer(token - 1)}${forUpdate}`,
          `UPDATE webhook_parked SET token = ${integer(token)}, owner = ${text(owner)},
lease_until = ${now()} + ${integer(leaseMillis)} WHERE ${key}${integer(token - 1)} AND lease_until <= ${now()}`
        ], `SELECT * FROM webhook_parked WHERE ${key}${integer(token)} AND owner = ${text(owner)}`))
        return rows[0] === undefined ? undefined : { ...parkedOf(rows[0]), token }
      }),
    settleParked: (held, failed) =>
      Effect.suspend(() => {
        const key = `id = ${integer(held.id)} AND token = ${integer(held.token)}`
        return Effect.asVoid(repeatable(transact([
          failed === undefined
            ? `DELETE FROM webhook_parked WHERE ${key}`
            : `UPDATE webhook_parked SET is_due = 0, lease_until = 0, reason = ${text(cut(failed, MAX_REASON))}
WHERE ${key}`
        ], "SELECT 1")))
      })
  }
}
