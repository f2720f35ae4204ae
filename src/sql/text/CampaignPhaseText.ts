import type { EpochMillis } from "../../domain/Time.ts"
import type { CampaignChange } from "../../ports/CampaignStore.ts"
import { integer } from "./Literals.ts"

/** What the dialects say differently of times. */
export interface PhaseDialect {
  readonly time: (time: EpochMillis) => string
  readonly later: "GREATEST" | "MAX"
  readonly insertIgnore: "INSERT IGNORE" | "INSERT OR IGNORE"
}

/** The row of a campaign that was just made; the watch is to look at it at once. */
export const createdPhases = (campaignId: string, now: string): string =>
  "INSERT INTO campaign_phases (campaign_id, version, since, limit_since, due_at) " +
  `VALUES (${campaignId}, 1, ${now}, ${now}, ${now})`

/**
 * The two statements by which the row of phases follows a change, in its transaction. If the campaign had opened by the
 * settings that it had, that is noted now: afterwards they are gone. `applies` is the condition that the change was
 * made.
 *
 * The row is updated first and made only if it is missing, as after a change or creation by an older program: an INSERT
 * that finds a row locks it for reading, and two such locks that are to become exclusive are a deadlock.
 */
export const changedPhases = (
  { from, to }: Pick<CampaignChange, "from" | "to">,
  now: string,
  applies: string,
  dialect: PhaseDialect
): ReadonlyArray<string> => {
  const { insertIgnore, later, time } = dialect
  const id = integer(from.campaignId)
  const next = integer(from.version + 1)
  const moved = from.status !== to.status || from.startTime !== to.startTime || from.endTime !== to.endTime
  const limited = from.couponLimit !== to.couponLimit
  const opening = (since: string) => {
    const at = `${later}(${since}, ${time(from.startTime)})`
    const inTime = from.endTime === undefined ? "" : ` AND ${at} < ${time(from.endTime)}`
    return from.status === "ACTIVE" ? `CASE WHEN ${at} <= ${now}${inTime} THEN ${at} END` : "NULL"
  }
  return [
    `UPDATE campaign_phases SET opened_at = COALESCE(opened_at, ${opening("since")}), since = ${moved ? now : "since"},
limit_since = ${limited ? now : "limit_since"}, version = ${next}, due_at = ${now}
WHERE campaign_id = ${id} AND ${applies}`,
    `${insertIgnore} INTO campaign_phases (campaign_id, version, since, limit_since, opened_at, due_at)
SELECT id, ${next}, ${moved ? now : "created_at"}, ${limited ? now : "created_at"}, ${opening("created_at")}, ${now}
FROM campaigns WHERE id = ${id} AND ${applies}`
  ]
}

/** Rows for campaigns that have none, because an older program has made them; the watch is to look at them at once. */
export const missingPhases = (campaignIds: string, now: string, { insertIgnore }: PhaseDialect): string =>
  `${insertIgnore} INTO campaign_phases (campaign_id, version, since, limit_since, due_at)
SELECT id, version, created_at, created_at, ${now} FROM campaigns WHERE id IN (${campaignIds})`
