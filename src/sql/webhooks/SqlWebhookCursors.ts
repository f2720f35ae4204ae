import * as Effect from "effect/Effect"
import { sinceOf, type WebhookDefinition, type WebhookPosition } from "../../domain/webhooks/Webhook.ts"
import {
  type HeldCursor, MAX_PARKED, type OtherCursor, type WebhookAttempt, type WebhookCursor, type WebhookCursors
} from "../../ports/webhooks/WebhookCursors.ts"
import type { Row } from "../Rows.ts"
import { integer } from "../text/Literals.ts"
import { attemptInsert } from "./SqlWebhookRecords.ts"
import { actOf, repeatable, type WebhookDialect } from "./WebhookDialect.ts"

const cursorOf = (row: Row): WebhookCursor => ({
  endpointId: row.endpoint_id as string,
  campaignId: Number(row.campaign_id),
  position: { sequence: Number(row.sequence), number: Number(row.number) },
  failures: Number(row.failures),
  end: row.end_sequence === null
    ? undefined
    : { sequence: Number(row.end_sequence), number: Number(row.end_number) }
})

/** The cursors, in either dialect. */
export const make = (dialect: WebhookDialect): WebhookCursors["Type"] => {
  const { act, eventTime, forUpdate, inOrder, insertIgnore, now, read, text, transact } = dialect

  const keyOf = ({ campaignId, endpointId }: Pick<WebhookCursor, "campaignId" | "endpointId">) =>
    `campaign_id = ${integer(campaignId)} AND endpoint_id = ${text(endpointId)}`
  const heldOf = (held: HeldCursor) => `${keyOf(held)} AND token = ${integer(held.token)}`
  /** Locks the row, so that what follows sees one state; returns it if the cursor is held. */
  const still = (held: HeldCursor) => `SELECT token FROM webhook_cursors WHERE ${heldOf(held)}${forUpdate}`
  const moved = ({ number, sequence }: WebhookPosition) =>
    `sequence = ${integer(sequence)}, number = ${integer(number)}`
  const FREE = "owner = NULL, lease_until = 0"
  const SOUND = "failures = 0, end_sequence = NULL, end_number = NULL, due_at = 0"

  /**
   * What comes before `begin`: the locks of the endpoint, under which its cursors are made, and of those cursors that
   * are there, in the order of their campaigns. Without them `begin` would lock these for reading, and two such locks
   * that are to become exclusive are a deadlock.
   */
  const locks = (endpointId: string, campaignIds: ReadonlyArray<number>): ReadonlyArray<string> =>
    forUpdate === "" ? [] : [
      `SELECT id FROM webhook_endpoints WHERE id = ${text(endpointId)}${forUpdate}`,
      `SELECT token FROM webhook_cursors${inOrder} WHERE endpoint_id = ${text(endpointId)} AND campaign_id IN (${
        campaignIds.map(integer).join(",")
      }) ORDER BY campaign_id${forUpdate}`
    ]

  /** Before the first event at or after `since`; a campaign without one begins where its log ends. */
  const begin = (endpointId: string, campaignId: number, since: number) => {
    const id = integer(campaignId)
    return `${insertIgnore} INTO webhook_cursors (campaign_id, endpoint_id, sequence)
SELECT ${id}, ${text(endpointId)}, COALESCE(
  (SELECT MIN(e.sequence) - 1 FROM campaign_events AS e WHERE e.campaign_id = ${id} AND e.at >= ${eventTime(since)}),
  (SELECT h.sequence FROM campaign_event_heads AS h WHERE h.campaign_id = ${id}),
  0)`
  }

  const noted = (held: HeldCursor, attempt: WebhookAttempt | undefined, condition: string) =>
    attempt === undefined ? [] : [attemptInsert(dialect, held.endpointId, held.campaignId, attempt, condition)]

  const whileHeld = (held: HeldCursor) => `FROM webhook_cursors WHERE ${heldOf(held)}`

  return {
    claim: ({ campaigns, concurrency, endpointId, leaseMillis, owner }) =>
      Effect.suspend(() => {
        const id = text(endpointId)
        const at = now()
        const claims = campaigns.map(({ campaignId }) =>
          `UPDATE webhook_cursors SET owner = ${text(owner)}, token = token + 1, lease_until = ${at} + ${
            integer(leaseMillis)
          }
WHERE campaign_id = ${integer(campaignId)} AND endpoint_id = ${id} AND lease_until <= ${at} AND due_at <= ${at}
AND EXISTS (SELECT 1 FROM webhook_endpoints WHERE id = ${id} AND status = 'ENABLED')
AND (SELECT live.n FROM (SELECT COUNT(*) AS n FROM webhook_cursors WHERE endpoint_id = ${id}
  AND lease_until > ${at}) AS live) < ${integer(concurrency)}`)
        const ids = campaigns.map(({ campaignId }) => integer(campaignId)).join(",")
        return Effect.map(
          repeatable(transact(
            [
              ...locks(endpointId, campaigns.map(({ campaignId }) => campaignId)),
              ...campaigns.map(({ campaignId, since }) => begin(endpointId, campaignId, since)),
              ...claims
            ],
            `SELECT c.*, ${now()} AS now_at FROM webhook_cursors AS c
WHERE c.endpoint_id = ${id} AND c.campaign_id IN (${ids})`
          )),
          (rows) => {
            const held: Array<HeldCursor> = []
            const others: Array<OtherCursor> = []
            for (const row of rows) {
              const cursor = cursorOf(row)
              const [until, at, due] = [row.lease_until, row.now_at, row.due_at].map(Number) as [number, number, number]
              if (row.owner === owner && until > at) held.push({ ...cursor, token: Number(row.token) })
              else others.push({ ...cursor, waitMillis: Math.max(0, until - at, due - at) })
            }
            return { held, others }
          }
        )
      }),
    renew: (held, leaseMillis) =>
      Effect.suspend(() => {
        if (held.length === 0) return Effect.succeed([])
        const these = held.map((one) => `(${heldOf(one)})`).join(" OR ")
        return Effect.map(
          repeatable(transact(
            [`UPDATE webhook_cursors${inOrder} SET lease_until = ${now()} + ${integer(leaseMillis)} WHERE ${these}`],
            `SELECT campaign_id, endpoint_id, token FROM webhook_cursors WHERE ${these}`
          )),
          (rows) => {
            const found = new Set(
              rows.map((row) => `${row.endpoint_id}:${Number(row.campaign_id)}:${Number(row.token)}`)
            )
            return held.filter(({ campaignId, endpointId, token }) =>
              found.has(`${endpointId}:${campaignId}:${token}`))
          }
        )
      }),
    advance: (held, position, attempt) =>
      Effect.suspend(() =>
        Effect.map(
          repeatable(transact([
            still(held),
            `UPDATE webhook_cursors SET ${moved(position)}, ${SOUND} WHERE ${heldOf(held)}`,
            ...noted(held, attempt, whileHeld(held))
          ], `SELECT token FROM webhook_cursors WHERE ${heldOf(held)}`)),
          (rows) => rows.length > 0
        )),
    fail: (held, { attempt, end, failures, position, waitMillis }) =>
      Effect.suspend(() =>
        Effect.asVoid(repeatable(transact([
          still(held),
          ...noted(held, attempt, whileHeld(held)),
          // The token goes up, so that this has an effect once.
          `UPDATE webhook_cursors SET ${moved(position)}, ${FREE}, failures = ${integer(failures)},
end_sequence = ${integer(end.sequence)}, end_number = ${integer(end.number)}, due_at = ${now()} + ${
            integer(waitMillis)
          }, token = token + 1 WHERE ${heldOf(held)}`
        ], "SELECT 1")))),
    park: (held, attempt) =>
      Effect.suspend(() => {
        const { from, reason, to } = attempt
        const parked = `endpoint_id = ${text(held.endpointId)}`
        const isRoom = `(SELECT room.n FROM (SELECT COUNT(*) AS n FROM webhook_parked WHERE ${parked}) AS room) < ${
          MAX_PARKED
        }`
        const isParked = `campaign_id = ${integer(held.campaignId)} AND ${parked} AND sequence = ${
          integer(from.sequence)
        } AND number = ${integer(from.number)}`
        return Effect.map(
          repeatable(transact([
            still(held),
            `${insertIgnore} INTO webhook_parked
(campaign_id, endpoint_id, sequence, number, end_sequence, end_number, reason, parked_at)
SELECT campaign_id, endpoint_id, ${integer(from.sequence)}, ${integer(from.number)}, ${integer(to.sequence)}, ${
              integer(to.number)
            }, ${text(reason)}, ${now()} ${whileHeld(held)} AND ${isRoom}`,
            ...noted(held, attempt, `FROM webhook_parked WHERE ${isParked}`),
            `UPDATE webhook_cursors SET ${moved(to)}, ${SOUND} WHERE ${heldOf(held)}
AND EXISTS (SELECT 1 FROM webhook_parked WHERE ${isParked})`
          ], `SELECT sequence, number FROM webhook_cursors WHERE ${heldOf(held)}`)),
          ([row]) => {
            if (row === undefined) return "Lost" as const
            const isThere = Number(row.sequence) === to.sequence && Number(row.number) === to.number
            return isThere ? "Parked" as const : "Full" as const
          }
        )
      }),
    due: (limit) =>
      Effect.map(
        Effect.suspend(() =>
          read(
            `SELECT * FROM webhook_cursors WHERE due_at > 0 AND due_at <= ${now()} AND lease_until <= ${now()}
ORDER BY due_at LIMIT ${integer(limit)}`
          )
        ),
        (rows) => rows.map(cursorOf)
      ),
    skip: (held, to, record) =>
      Effect.suspend(() => {
        const after = { id: held.endpointId, from: held.position, to }
        return Effect.map(
          repeatable(transact([
            still(held),
            ...act(
              actOf(record, "webhook.skip", undefined, after, held.campaignId),
              `${whileHeld(held)} AND sequence < ${integer(to.sequence)}`
            ),
            `UPDATE webhook_cursors SET ${moved(to)}, ${SOUND} WHERE ${heldOf(held)} AND sequence < ${
              integer(to.sequence)
            }`
          ], `SELECT token FROM webhook_cursors WHERE ${heldOf(held)}`)),
          (rows) => rows.length > 0
        )
      }),
    neededAfter: (campaignId) =>
      Effect.gen(function*() {
        const id = integer(campaignId)
        const rows = yield* read(
          `SELECT e.definition, c.sequence, (SELECT MIN(p.sequence) FROM webhook_parked AS p
  WHERE p.campaign_id = ${id} AND p.endpoint_id = e.id) AS parked
FROM webhook_endpoints AS e
LEFT JOIN webhook_cursors AS c ON c.campaign_id = ${id} AND c.endpoint_id = e.id
WHERE e.status = 'ENABLED'`
        )
        const needed: Array<number> = []
        for (const { definition, parked, sequence } of rows) {
          if (parked !== null) needed.push(Number(parked))
          const { scope } = JSON.parse(definition as string) as WebhookDefinition
          const since = sinceOf(scope, campaignId)
          if (since === undefined) continue
          if (sequence !== null) needed.push(Number(sequence))
          else {
            const [first] = yield* read(
              `SELECT MIN(sequence) AS sequence FROM campaign_events WHERE campaign_id = ${id} AND at >= ${
                eventTime(since)
              }`
            )
            if (first!.sequence !== null) needed.push(Number(first!.sequence) - 1)
          }
        }
        return needed.length === 0 ? undefined : Math.min(...needed)
      }),
    release: (held) =>
      Effect.suspend(() =>
        Effect.asVoid(repeatable(transact([
          `UPDATE webhook_cursors SET ${FREE}, due_at = 0, token = token + 1 WHERE ${heldOf(held)}`
        ], "SELECT 1")))),
    replay: ({ campaignId, endpointId, sequence, ...record }) =>
      Effect.suspend(() => {
        const key = keyOf({ campaignId, endpointId })
        const after = { id: endpointId, afterSequence: sequence }
        return Effect.asVoid(transact([
          ...locks(endpointId, [campaignId]),
          begin(endpointId, campaignId, 0),
          `UPDATE webhook_cursors SET sequence = COALESCE((SELECT CASE WHEN removed_sequence > ${integer(sequence)}
  THEN removed_sequence ELSE ${integer(sequence)} END FROM campaign_event_heads WHERE campaign_id = ${
            integer(campaignId)
          }), ${integer(sequence)}), number = 0, ${SOUND}, ${FREE}, token = token + 1
WHERE ${key}`,
          // Agents look for what is due: no event may come that would have them look here.
          `UPDATE webhook_cursors SET due_at = ${now()} WHERE ${key}`,
          ...act(
            actOf(record, "webhook.replay", undefined, after, campaignId),
            `FROM webhook_cursors WHERE ${key}`
          )
        ], "SELECT 1"))
      })
  }
}
