import type { CampaignId } from "../../domain/CampaignId.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { EventCandidate } from "../events/EventCandidates.ts"
import { integer } from "./Literals.ts"
import { redemptionMarkers } from "./OutboxMarkers.ts"

/** What the dialects say differently of the event log. */
export interface EventLogDialect {
  /** The ledger's clock, as an expression. */
  readonly now: () => string
  readonly greater: "GREATEST" | "MAX"
  readonly least: "LEAST" | "MIN"
  /** A time as the table has it, and as an element of JSON. */
  readonly time: (time: EpochMillis) => string
  readonly jsonTime: (time: EpochMillis) => string | number
  /**
   * Each element of a JSON array of arrays as a row `e` (columns n, then `STEP_COLUMNS`, then type, first_id, last_id,
   * payload, at), joined with its campaign's row `h` of `campaign_event_heads`, and with the rows `d` of
   * `redemption_log_heads` and `k` of `code_log_heads` if there are.
   */
  readonly candidates: (json: string) => string
  /** The same of steps: their columns are `STEP_COLUMNS` and then size. */
  readonly steps: (json: string) => string
  /** Turns an INSERT of rows of heads into an update of the rows that are there. */
  readonly moveHeads: string
  /** The same for rows of `redemption_log_heads`, and of `code_log_heads`. */
  readonly moveRedemptions: string
  readonly moveCodes: string
}

const list = (campaignIds: ReadonlyArray<CampaignId>): string => campaignIds.map(integer).join(",")

/** How far a candidate brings its log forward; all are numbers. */
export const STEP_COLUMNS = ["campaign_id", "version", "reaches", "ended", "redemption", "imported", "low"] as const

const stepOf = ({ campaignId, ended, imported, low, reaches, redemption, version }: EventCandidate) =>
  [campaignId, version, reaches, ended, redemption, imported, low]

const candidatesJson = (candidates: ReadonlyArray<EventCandidate>, dialect: EventLogDialect): string =>
  JSON.stringify(candidates.map((candidate) => {
    const { at, firstNumber, lastNumber, payload, type } = candidate
    const text = Object.keys(payload).length === 0 ? null : JSON.stringify(payload)
    return [...stepOf(candidate), type, firstNumber, lastNumber, text, dialect.jsonTime(at)]
  }))

/** The candidates as steps of their logs: redemptions in a row are one step, of their size. */
const stepsJson = (candidates: ReadonlyArray<EventCandidate>): string => {
  const steps: Array<{ readonly last: EventCandidate; readonly size: number }> = []
  for (const candidate of candidates) {
    const before = steps.at(-1)
    const follows = before !== undefined && before.last.redemption > 0 &&
      before.last.campaignId === candidate.campaignId && candidate.redemption === before.last.redemption + 1
    if (follows) steps[steps.length - 1] = { last: candidate, size: before.size + 1 }
    else steps.push({ last: candidate, size: 1 })
  }
  return JSON.stringify(steps.map(({ last, size }) => [...stepOf(last), size]))
}

/** What brings the log forward, under the lock of its head. */
const ADVANCES = "(e.version > h.version OR e.reaches > h.last_id " +
  "OR (e.ended > h.ended_version AND e.ended >= h.version) OR e.redemption > COALESCE(d.sequence, 0) " +
  "OR e.imported > COALESCE(k.code_count, 0) OR e.low > COALESCE(k.low_count, 0))"

/**
 * Appends what these candidates add to the logs, in a transaction that holds the locks of their heads. The end of each
 * log is read under that lock, so sequences have no gap and each coupon is in one range, whichever instance appends.
 */
export const appendText = (
  candidates: ReadonlyArray<EventCandidate>,
  dialect: EventLogDialect
): ReadonlyArray<string> => {
  const { greater, least, moveHeads, now } = dialect
  const steps = dialect.steps(stepsJson(candidates))
  const further = (logged: string, of: string) => `${greater}(MAX(h.${logged}), MAX(e.${of}))`
  return [
    `INSERT INTO campaign_events (campaign_id, sequence, type, first_id, last_id, payload, at)
SELECT h.campaign_id, h.sequence + ROW_NUMBER() OVER (PARTITION BY h.campaign_id ORDER BY e.n), e.type,
  CASE WHEN e.last_id = 0 THEN 0 ELSE ${greater}(e.first_id, h.last_id + 1) END, e.last_id, e.payload, e.at
FROM ${dialect.candidates(candidatesJson(candidates, dialect))}
WHERE ${ADVANCES}`,
    // Of redemptions in a row another instance may have appended the first ones.
    `INSERT INTO campaign_event_heads (campaign_id, sequence, last_id, version, ended_version, moved_at)
SELECT h.campaign_id,
  MAX(h.sequence) + SUM(CASE WHEN e.size = 1 THEN 1 ELSE ${least}(e.size, e.redemption - COALESCE(d.sequence, 0)) END),
  ${further("last_id", "reaches")}, ${further("version", "version")}, ${further("ended_version", "ended")}, ${now()}
FROM ${steps}
WHERE ${ADVANCES}
GROUP BY h.campaign_id
${moveHeads}`,
    ...(candidates.some(({ redemption }) => redemption > 0) ? [loggedRedemptions(steps, dialect)] : []),
    ...(candidates.some(({ imported, low }) => imported + low > 0) ? [loggedCodes(steps, dialect)] : [])
  ]
}

/** How far the logs have redemptions after that. The last statement, since the others need to know how far they had. */
const loggedRedemptions = (steps: string, { moveRedemptions }: EventLogDialect): string =>
  `INSERT INTO redemption_log_heads (campaign_id, sequence)
SELECT h.campaign_id, MAX(e.redemption)
FROM ${steps}
WHERE e.redemption > COALESCE(d.sequence, 0)
GROUP BY h.campaign_id
${moveRedemptions}`

/** What the logs have of pools after that. */
const loggedCodes = (steps: string, { greater, moveCodes }: EventLogDialect): string =>
  `INSERT INTO code_log_heads (campaign_id, code_count, low_count)
SELECT h.campaign_id, ${greater}(MAX(COALESCE(k.code_count, 0)), MAX(e.imported)),
  ${greater}(MAX(COALESCE(k.low_count, 0)), MAX(e.low))
FROM ${steps}
WHERE e.imported > COALESCE(k.code_count, 0) OR e.low > COALESCE(k.low_count, 0)
GROUP BY h.campaign_id
${moveCodes}`

/** The log of a campaign that is being made, in its transaction: its head, and its first event. */
export const createdText = (campaignId: string, now: string, payload: string): ReadonlyArray<string> => [
  `INSERT INTO campaign_event_heads (campaign_id, sequence, version, moved_at) VALUES (${campaignId}, 1, 1, ${now})`,
  `INSERT INTO campaign_events (campaign_id, sequence, type, payload, at)
VALUES (${campaignId}, 1, 'campaign.created', ${payload}, ${now})`
]

/** Campaigns with the ends of their logs, as one statement sees both. */
export const loggedCampaigns = (campaignIds: ReadonlyArray<CampaignId>, { now }: EventLogDialect): string =>
  `SELECT c.id, c.name, c.coupon_limit, c.returned, c.current_coupon, c.status, c.start_time, c.end_time, c.code_spec,
  c.version, c.created_at,
  l.issued_at AS last_issued_at, h.campaign_id AS head, h.last_id AS logged_id, h.version AS logged_version,
  h.ended_version, r.sequence AS redemptions, d.sequence AS logged_redemptions, c.code_count,
  k.code_count AS logged_codes, k.low_count AS logged_low, ${now()} AS ledger_now
FROM campaigns AS c LEFT JOIN campaign_event_heads AS h ON h.campaign_id = c.id
LEFT JOIN redemption_heads AS r ON r.campaign_id = c.id LEFT JOIN redemption_log_heads AS d ON d.campaign_id = c.id
LEFT JOIN code_log_heads AS k ON k.campaign_id = c.id
LEFT JOIN coupons AS l ON l.campaign_id = c.id AND l.id = c.current_coupon
WHERE c.id IN (${list(campaignIds)})`

/** Campaigns after one id, up to another one, whose logs lack something. */
export const laggingCampaigns = (after: CampaignId, upTo: CampaignId, { now }: EventLogDialect): string =>
  `SELECT c.id FROM campaigns AS c LEFT JOIN campaign_event_heads AS h ON h.campaign_id = c.id
LEFT JOIN redemption_heads AS r ON r.campaign_id = c.id LEFT JOIN redemption_log_heads AS d ON d.campaign_id = c.id
LEFT JOIN code_log_heads AS k ON k.campaign_id = c.id
WHERE c.id > ${integer(after)} AND c.id <= ${integer(upTo)} AND (h.campaign_id IS NULL OR h.last_id < c.current_coupon
  OR h.version < c.version OR r.sequence > COALESCE(d.sequence, 0) OR c.code_count > COALESCE(k.code_count, 0)
  OR (c.status <> 'ENDED' AND c.end_time <= ${now()} AND h.ended_version < c.version))
ORDER BY c.id`

/** The id that a look at `size` campaigns after this one ends with. */
export const lastOfPage = (after: CampaignId, size: number): string =>
  `SELECT MAX(id) AS id, COUNT(*) AS size FROM (
  SELECT id FROM campaigns WHERE id > ${integer(after)} ORDER BY id LIMIT ${integer(size)}
) AS page`

/** Campaigns of events that have waited in the outbox since before this time, of the first `limit` of them. */
export const waitingCampaigns = (before: string, limit: number): string =>
  `SELECT DISTINCT campaign_id FROM (
  SELECT campaign_id FROM outbox WHERE kind IN ('ISSUED', 'CHANGED') AND created_at < ${before} LIMIT ${integer(limit)}
) AS waiting`

/** Rows of the outbox whose events the logs lack: how many, and when the first was committed. */
export const lagText = `SELECT COUNT(*) AS commits, MIN(o.created_at) AS oldest FROM outbox AS o
LEFT JOIN campaign_event_heads AS h ON h.campaign_id = o.campaign_id
LEFT JOIN redemption_log_heads AS d ON d.campaign_id = o.campaign_id
WHERE o.kind = 'ISSUED' AND o.last_id > COALESCE(h.last_id, 0)
  OR o.kind = 'CHANGED' AND o.first_id > COALESCE(h.version, 0)
  OR ${redemptionMarkers("o")} AND o.last_id > COALESCE(d.sequence, 0)`

/** What changed a campaign, the latest first, from the audit log; refused acts left no trace in the campaign. */
export const changeActs = (campaignId: CampaignId, beforeId: number | undefined, limit: number): string =>
  `SELECT a.id, a.at, a.before_state, a.after_state FROM admin_audit AS a
LEFT JOIN admin_audit_facts AS f ON f.change_id = a.change_id
WHERE a.campaign_id = ${integer(campaignId)}${beforeId === undefined ? "" : ` AND a.id < ${integer(beforeId)}`}
  AND a.action LIKE 'campaign.%' AND a.after_state IS NOT NULL AND COALESCE(f.outcome, 'DONE') = 'DONE'
ORDER BY a.id DESC LIMIT ${integer(limit)}`

/** How many coupons had been issued at each change whose marker is there; markers of older programs do not say. */
export const changeMarkers = (campaignIds: ReadonlyArray<CampaignId>): string =>
  `SELECT campaign_id, first_id AS version, last_id AS issued FROM outbox
WHERE kind = 'CHANGED' AND campaign_id IN (${list(campaignIds)}) AND first_id > 0`

/** Imports that were finished and have added the codes after this one, up to that one. */
export const finishedImports = (campaignId: CampaignId, after: number, upTo: number): string =>
  `SELECT import_id, first_number, accepted, updated_at FROM code_imports
WHERE campaign_id = ${integer(campaignId)} AND state = 'FINISHED' AND first_number > ${integer(after)}
  AND first_number <= ${integer(upTo)}
ORDER BY first_number`

/** When a coupon was issued. */
export const couponTime = (campaignId: CampaignId, id: number): string =>
  `SELECT issued_at FROM coupons WHERE campaign_id = ${integer(campaignId)} AND id = ${integer(id)}`

/** What a campaign's log adds up to: one row to join. Its `log_sequence` is NULL if there is no log. */
export const logFacts = (campaignId: string): string =>
  `(SELECT e.*, r.*, h.sequence AS log_sequence, h.removed_sequence AS log_removed, h.last_id AS log_last_id
FROM (
  SELECT COUNT(*) AS log_events, COALESCE(MIN(sequence), 0) AS log_first_sequence,
    COALESCE(MAX(sequence), 0) AS log_last_sequence
  FROM campaign_events WHERE campaign_id = ${campaignId}
) AS e
CROSS JOIN (
  SELECT COALESCE(MIN(first_id), 0) AS log_first_issued, COALESCE(MAX(last_id), 0) AS log_last_issued,
    COALESCE(SUM(CASE WHEN first_id <> before_id + 1 OR last_id < first_id THEN 1 ELSE 0 END), 0) AS log_misplaced
  FROM (
    SELECT first_id, last_id, LAG(last_id) OVER (ORDER BY sequence) AS before_id
    FROM campaign_events WHERE campaign_id = ${campaignId} AND type = 'coupon.issued'
  ) AS ranges
) AS r
LEFT JOIN campaign_event_heads AS h ON h.campaign_id = ${campaignId}) AS g`

const eventColumns = "campaign_id, sequence, type, first_id, last_id, payload, at"

export const eventsAfter = (campaignId: CampaignId, afterSequence: number, limit: number): string =>
  `SELECT ${eventColumns} FROM campaign_events
WHERE campaign_id = ${integer(campaignId)} AND sequence > ${integer(afterSequence)}
ORDER BY sequence LIMIT ${integer(limit)}`

export const headsOf = (campaignIds: ReadonlyArray<CampaignId>): string =>
  "SELECT campaign_id, sequence, moved_at FROM campaign_event_heads " +
  `WHERE campaign_id IN (${list(campaignIds)}) AND sequence > 0`

export const headsMovedSince = (since: string, limit: number): string =>
  "SELECT campaign_id, sequence, moved_at FROM campaign_event_heads " +
  `WHERE moved_at >= ${since} AND sequence > 0 ORDER BY moved_at LIMIT ${integer(limit)}`

/** Campaigns after one id, up to another one, whose first event is older than a time. */
export const removable = (after: CampaignId, upTo: CampaignId, before: string): string =>
  `SELECT h.campaign_id, h.removed_sequence, e.at FROM campaign_event_heads AS h
JOIN campaign_events AS e ON e.campaign_id = h.campaign_id AND e.sequence = h.removed_sequence + 1
WHERE h.campaign_id > ${integer(after)} AND h.campaign_id <= ${integer(upTo)} AND e.at < ${before}
ORDER BY h.campaign_id`

/** The times of a campaign's first events, of which at most `limit` are removed at a time. */
export const firstEvents = (campaignId: CampaignId, afterSequence: number, limit: number): string =>
  `SELECT sequence, at FROM campaign_events
WHERE campaign_id = ${integer(campaignId)} AND sequence > ${integer(afterSequence)} ORDER BY sequence
LIMIT ${integer(limit)}`

/** Removes a campaign's events up to a sequence, and notes it; repeating it does no harm. */
export const removeText = (campaignId: CampaignId, upTo: number): ReadonlyArray<string> => [
  `UPDATE campaign_event_heads SET removed_sequence = ${integer(upTo)}
WHERE campaign_id = ${integer(campaignId)} AND removed_sequence < ${integer(upTo)}`,
  `DELETE FROM campaign_events WHERE campaign_id = ${integer(campaignId)} AND sequence <= ${integer(upTo)}`
]
