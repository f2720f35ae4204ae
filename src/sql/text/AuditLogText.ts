import * as ActReason from "../../domain/audit/ActReason.ts"
import type { Actor } from "../../domain/Actor.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { AuditQuery, AuditRecord, Outcome } from "../../ports/AuditLog.ts"
import { integer, isOneOf } from "./Literals.ts"
import type { Row } from "../Rows.ts"

/** The columns of an act besides its id, key and time, in the order of their values. */
export const actColumns = "change_id, at, actor, action, campaign_id, before_state, after_state"

/** The columns of an act's facts, in the order of `factValues`, after the change id. */
export const factColumns = "change_id, key_id, role, address, request_id, outcome, reason"

/** The actor is cut off, never refused: an act without its record would be worse. */
const MAX_ACTOR = 200
/** As wide as the columns. */
const MAX_FACT = 64

export const stateText = (state: unknown): string | null => state === undefined ? null : JSON.stringify(state)

export const actorText = (actor: Actor): string => Array.from(actor.name.toWellFormed()).slice(0, MAX_ACTOR).join("")

const fact = (value: string | undefined): string | null =>
  value === undefined ? null : value.replace(/[^\x20-\x7e]/g, "?").slice(0, MAX_FACT)

/** Who acted, and with which outcome, as the columns have it. */
export const factValues = (
  { address, keyId, reason, requestId, role }: Actor,
  outcome: Outcome
): ReadonlyArray<string | null> => {
  const why = reason === undefined ? undefined : ActReason.normalize(reason)
  return [fact(keyId), fact(role), fact(address), fact(requestId), outcome, why ?? null]
}

/** Literals of a dialect. */
export interface AuditLiterals {
  readonly text: (text: string) => string
  readonly at: (time: EpochMillis) => string
}

/** A page of the audit log, newest first: the same in both dialects but for literals. */
export const listActs = (query: AuditQuery, { at, text }: AuditLiterals): string => {
  const { action, actor, since, until } = query
  const conditions = [
    ...(query.beforeId === undefined ? [] : [`a.id < ${integer(query.beforeId)}`]),
    ...(query.campaignId === undefined ? [] : [`a.campaign_id = ${integer(query.campaignId)}`]),
    ...(query.only === undefined ? [] : [isOneOf("a.campaign_id", query.only)]),
    ...(actor === undefined ? [] : [`a.actor = ${text(actor)}`]),
    // No wildcard: a name that has one is compared as it is.
    ...(action === undefined ? [] : [
      `(a.action = ${text(action)} OR SUBSTR(a.action, 1, ${integer(action.length + 1)}) = ${text(`${action}.`)})`
    ]),
    ...(since === undefined ? [] : [`a.at >= ${at(since)}`]),
    ...(until === undefined ? [] : [`a.at < ${at(until)}`])
  ]
  const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")} `
  return "SELECT a.id, a.at, a.actor, a.action, a.campaign_id, a.before_state, a.after_state, " +
    "f.key_id, f.role, f.address, f.request_id, f.outcome, f.reason FROM admin_audit AS a " +
    `LEFT JOIN admin_audit_facts AS f ON f.change_id = a.change_id ${where}ORDER BY a.id DESC ` +
    `LIMIT ${integer(query.limit)}`
}

const optional = (value: unknown): string | undefined => value === null ? undefined : String(value)

/** Needs the columns of `listActs`. */
export const actRow = (time: (value: unknown) => EpochMillis) => (row: Row): AuditRecord => ({
  id: Number(row.id),
  at: time(row.at),
  actor: {
    name: row.actor as string,
    keyId: optional(row.key_id),
    role: optional(row.role),
    address: optional(row.address),
    requestId: optional(row.request_id),
    reason: optional(row.reason)
  },
  action: row.action as string,
  outcome: row.outcome === null ? undefined : row.outcome as Outcome,
  campaignId: row.campaign_id === null ? undefined : Number(row.campaign_id),
  before: row.before_state === null ? undefined : JSON.parse(row.before_state as string),
  after: row.after_state === null ? undefined : JSON.parse(row.after_state as string)
})
