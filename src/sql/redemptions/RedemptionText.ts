import type { CampaignId } from "../../domain/CampaignId.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { DEFAULT_UNDO_WINDOW_MILLIS } from "../../domain/validity/UndoWindow.ts"
import type { RedemptionBatch } from "../../ports/Redemptions.ts"
import { integer } from "../text/Literals.ts"

/** What the dialects say differently of redemptions. */
export interface RedemptionDialect {
  /** A time as an element of JSON. */
  readonly jsonTime: (time: EpochMillis) => string | number
  /**
   * Each element of a JSON array of arrays as a row `v` (columns n, action, coupon_id, request_id, terminal_id,
   * order_ref, reason, occurred_at, expires_at, slot_returned, in that order but for n, which numbers them). The
   * request's id comes as hexadecimal digits.
   */
  readonly items: (json: string) => string
  /** The rows `r` of redemptions beyond the campaign's head `h`: those that this transaction has added. */
  readonly added: string
  /** Deletes the states of coupons whose redemptions this transaction has undone. */
  readonly deleteUndone: (campaignId: string) => string
  /** A time so many milliseconds before another one, all of them expressions. */
  readonly earlier: (time: string, millis: string) => string
}

const hex = (text: string): string => Buffer.from(text, "utf8").toString("hex")

/** Any bytes as a literal in both dialects. */
const bytes = (text: string): string => `x'${hex(text)}'`

const itemsJson = ({ items }: RedemptionBatch, { jsonTime }: RedemptionDialect): string => {
  const time = (value: EpochMillis | undefined) => value === undefined ? null : jsonTime(value)
  return JSON.stringify(items.map(({ action, couponId, details, expiresAt, requestId, slotReturned }) => [
    ...[action, couponId, hex(requestId), details.terminalId, details.orderRef, details.reason],
    ...[time(details.occurredAt), time(expiresAt), Number(slotReturned)]
  ]))
}

/** What is kept of each request, whatever became of it. */
const columns = "campaign_id, request_id, sequence, coupon_id, action, outcome, standing, terminal_id, order_ref, " +
  "reason, occurred_at, at, version, slot_returned"

/**
 * The statements between the lock of the head and the answers. `now` is the ledger's clock after the lock. A
 * request whose id is there falls out; the others get the first outcome that applies, as `Redemptions.commit` has it,
 * and what is done the next sequences. Statements cannot branch, so each does nothing by itself where there is nothing
 * to do. A state that is there already violates its key, and a sequence that cannot be read NOT NULL: either ends the
 * transaction.
 */
export const commitText = (
  batch: RedemptionBatch,
  now: string,
  dialect: RedemptionDialect
): ReadonlyArray<string> => [
  ...answersAdded(batch, now, dialect),
  advanceHead(integer(batch.campaignId))
]

/**
 * All of `commitText` but the last statement: until then the head says what was added. Of requests that are
 * done nothing is stored unless `mayBeDone`, a condition.
 */
export const answersAdded = (
  batch: RedemptionBatch,
  now: string,
  dialect: RedemptionDialect,
  mayBeDone?: string
): ReadonlyArray<string> => {
  const id = integer(batch.campaignId)
  return [
    `INSERT INTO redemptions (${columns})
SELECT c.id, w.request_id,
  CASE WHEN w.outcome = 'DONE'
    THEN h.sequence + SUM(CASE WHEN w.outcome = 'DONE' THEN 1 ELSE 0 END) OVER (ORDER BY w.n) END,
  w.coupon_id, w.action, w.outcome, CASE WHEN w.outcome IN ('REDEEMED', 'REVOKED') THEN w.standing END, w.terminal_id,
  w.order_ref, w.reason, w.occurred_at, ${now}, c.version, w.slot_returned
FROM (
  SELECT v.n, v.action, v.coupon_id, v.request_id, v.terminal_id, v.order_ref, v.reason, v.occurred_at,
    v.slot_returned, s.sequence AS standing,
    CASE
      WHEN s.state = 'REVOKED' THEN 'REVOKED'
      WHEN v.action <> 'UNDO' AND v.expires_at <= ${now} THEN 'EXPIRED'
      WHEN v.action <> 'UNDO' AND s.state = 'REDEEMED' THEN 'REDEEMED'
      WHEN v.action = 'UNDO' AND s.state IS NULL THEN 'ABSENT'
      WHEN v.action = 'UNDO' AND s.at < ${dialect.earlier(now, "g.undo_window")} THEN 'REDEEMED'
      ELSE 'DONE'
    END AS outcome
  FROM ${dialect.items(itemsJson(batch, dialect))}
  CROSS JOIN (
    SELECT COALESCE(undo_window_millis, ${DEFAULT_UNDO_WINDOW_MILLIS}) AS undo_window FROM campaigns WHERE id = ${id}
  ) AS g
  LEFT JOIN coupon_states AS s ON s.campaign_id = ${id} AND s.coupon_id = v.coupon_id
  LEFT JOIN redemptions AS a ON a.campaign_id = ${id} AND a.request_id = v.request_id
  WHERE a.request_id IS NULL
) AS w
JOIN campaigns AS c ON c.id = ${id}
JOIN redemption_heads AS h ON h.campaign_id = c.id${
      mayBeDone === undefined ? "" : `\nWHERE w.outcome <> 'DONE' OR ${mayBeDone}`
    }`,
    ...(batch.items.some(({ action }) => action === "UNDO") ? [dialect.deleteUndone(id)] : []),
    addedStates(id, dialect)
  ]
}

/** The states by which this transaction's redemptions and revocations stand. */
export const addedStates = (campaignId: string, { added }: RedemptionDialect): string =>
  `INSERT INTO coupon_states (campaign_id, coupon_id, state, sequence, at, terminal_id)
SELECT r.campaign_id, r.coupon_id, CASE WHEN r.action = 'REDEEM' THEN 'REDEEMED' ELSE 'REVOKED' END, r.sequence, r.at,
  r.terminal_id
FROM ${added}
WHERE h.campaign_id = ${campaignId} AND r.action <> 'UNDO'`

/** The last statement that needs the head as it was. */
export const advanceHead = (campaignId: string): string =>
  `UPDATE redemption_heads
SET sequence = (SELECT COALESCE(MAX(sequence), 0) FROM redemptions WHERE campaign_id = ${campaignId})
WHERE campaign_id = ${campaignId}`

/** An act as `redemptionOf` reads it. */
const actColumns = "r.campaign_id, HEX(r.request_id) AS request, r.sequence, r.coupon_id, r.action, r.terminal_id, " +
  "r.order_ref, r.reason, r.occurred_at, r.at, r.version, r.slot_returned"

const standingColumns = "s.sequence AS standing_sequence, HEX(s.request_id) AS standing_request, " +
  "s.action AS standing_action, s.terminal_id AS standing_terminal_id, s.order_ref AS standing_order_ref, " +
  "s.reason AS standing_reason, s.occurred_at AS standing_occurred_at, s.at AS standing_at, " +
  "s.slot_returned AS standing_slot_returned"

/** The answers that these requests have, each with what stood against it. */
export const answersText = ({ campaignId, items }: RedemptionBatch): string =>
  `SELECT ${actColumns}, r.outcome, ${standingColumns} FROM redemptions AS r
LEFT JOIN redemptions AS s ON s.campaign_id = r.campaign_id AND s.sequence = r.standing
WHERE r.campaign_id = ${integer(campaignId)} AND r.request_id IN (${
    items.map(({ requestId }) => bytes(requestId)).join(",")
  })`

/** The states of the coupons of a table `k` (columns campaign_id, coupon_id); a coupon without one has NULLs. */
export const standingsText = (keys: string, now: string): string =>
  `SELECT k.campaign_id, k.coupon_id, s.state, s.sequence, s.at, s.terminal_id, ${now} AS ledger_now FROM ${keys}
LEFT JOIN coupon_states AS s ON s.campaign_id = k.campaign_id AND s.coupon_id = k.coupon_id`

/** One row a validity, or a campaign without any: in one statement, so that no change falls between the two tables. */
export const validitiesText = (campaignIds: ReadonlyArray<CampaignId>): string =>
  `SELECT c.id, c.current_coupon, v.version, v.first_id, v.policy, v.zone_rules
FROM campaigns AS c LEFT JOIN coupon_validities AS v ON v.campaign_id = c.id
WHERE c.id IN (${campaignIds.map(integer).join(",")}) ORDER BY c.id, v.version`

export const listText = (
  campaignId: CampaignId,
  couponId: number | undefined,
  afterSequence: number,
  limit: number
): string =>
  `SELECT ${actColumns} FROM redemptions AS r WHERE r.campaign_id = ${integer(campaignId)}${
    couponId === undefined ? "" : ` AND r.coupon_id = ${integer(couponId)}`
  } AND r.sequence > ${integer(afterSequence)} ORDER BY r.sequence LIMIT ${integer(limit)}`
