import type { AuditRecord } from "../../ports/AuditLog.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { integer } from "./Literals.ts"
import type { Row } from "../Rows.ts"

/** The columns of an act besides its id, key and time, in the order of their values. */
export const actColumns = "change_id, at, actor, action, campaign_id, before_state, after_state"

/** The actor is cut off, never refused: an act without its record would be worse. */
const MAX_ACTOR = 200

export const stateText = (state: unknown): string | null => state === undefined ? null : JSON.stringify(state)

export const actorText = (actor: string): string => Array.from(actor.toWellFormed()).slice(0, MAX_ACTOR).join("")

/** A page of the audit log, newest first: the same in both dialects. */
export const listActs = (query: {
  readonly beforeId: number | undefined
  readonly limit: number
  readonly campaignId: number | undefined
}): string => {
  const conditions = [
    ...(query.beforeId === undefined ? [] : [`id < ${integer(query.beforeId)}`]),
    ...(query.campaignId === undefined ? [] : [`campaign_id = ${integer(query.campaignId)}`])
  ]
  const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")} `
  return "SELECT id, at, actor, action, campaign_id, before_state, after_state FROM admin_audit " +
    `${where}ORDER BY id DESC LIMIT ${integer(query.limit)}`
}

export const actRow = (time: (value: unknown) => EpochMillis) => (row: Row): AuditRecord => ({
  id: Number(row.id),
  at: time(row.at),
  actor: row.actor as string,
  action: row.action as string,
  campaignId: row.campaign_id === null ? undefined : Number(row.campaign_id),
  before: row.before_state === null ? undefined : JSON.parse(row.before_state as string),
  after: row.after_state === null ? undefined : JSON.parse(row.after_state as string)
})
