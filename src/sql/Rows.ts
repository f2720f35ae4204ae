import type { Campaign, CampaignStatus, CampaignTerms } from "../domain/Campaign.ts"
import { openedAt, type PhaseFacts, phaseOf, soldOutAt } from "../domain/CampaignPhase.ts"
import type { Coupon } from "../domain/Coupon.ts"
import { codesFromText } from "../domain/codes/CampaignCodes.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { validityFromText } from "../domain/validity/CouponValidity.ts"
import { DEFAULT_UNDO_WINDOW_MILLIS } from "../domain/validity/UndoWindow.ts"

/** A row as a driver returns it: integers as numbers, strings or bigints, times in the form of the dialect. */
export type Row = Readonly<Record<string, unknown>>

/** Reads the rows that both dialects select under the same column names. */
export const makeRows = (time: (value: unknown) => EpochMillis) => ({
  /**
   * Needs campaign_id, id, user_id, code and issued_at. A user id beyond 2^53 comes as a string or bigint, so it is
   * exact.
   */
  coupon: (row: Row): Coupon => ({
    campaignId: Number(row.campaign_id),
    id: Number(row.id),
    userId: BigInt(row.user_id as number | string | bigint),
    code: row.code as string,
    issuedAt: time(row.issued_at)
  }),
  /** Needs the columns of `campaignColumns`. */
  campaign: (row: Row): Campaign => {
    const facts = phaseFacts(row, time)
    return {
      ...termsOf(row, time),
      name: row.name as string,
      announcedLimit: Math.max(Number(row.coupon_limit), Number(row.announced_limit ?? 0)),
      issuedCount: facts.issuedCount,
      returned: Number(row.returned),
      codes: codesFromText(codesOf(row)),
      codeCount: Number(row.code_count),
      validity: typeof row.validity === "string" ? validityFromText(row.validity) : undefined,
      undoWindowMillis: Number(row.undo_window_millis ?? DEFAULT_UNDO_WINDOW_MILLIS),
      createdAt: facts.createdAt,
      updatedAt: time(row.updated_at),
      phase: phaseOf(facts),
      openedAt: openedAt(facts),
      soldOutAt: soldOutAt(facts),
      readAt: facts.now
    }
  },
  /** Needs every column of campaigns. */
  terms: (row: Row): CampaignTerms => termsOf(row, time),
  /** Needs the columns of `campaignColumns`. */
  phaseFacts: (row: Row): PhaseFacts => phaseFacts(row, time)
})

/** The text of `codesText` by which a campaign's codes are drawn. */
export const codesOf = (row: Row): string | undefined => row.code_spec === null ? undefined : row.code_spec as string

type Time = (value: unknown) => EpochMillis

const optional = (value: unknown, time: Time): EpochMillis | undefined => value === null ? undefined : time(value)

const termsOf = (row: Row, time: Time): CampaignTerms => ({
  campaignId: Number(row.id),
  couponLimit: Number(row.coupon_limit),
  status: row.status as CampaignStatus,
  startTime: time(row.start_time),
  endTime: optional(row.end_time, time),
  version: Number(row.version)
})

/**
 * A campaign that an older program has made has no row of phases until the watch has seen it: it is as it was made,
 * then.
 */
const phaseFacts = (row: Row, time: Time): PhaseFacts => {
  const createdAt = time(row.created_at)
  return {
    ...termsOf(row, time),
    issuedCount: Number(row.current_coupon),
    createdAt,
    since: optional(row.phase_since, time) ?? createdAt,
    limitSince: optional(row.limit_since, time) ?? createdAt,
    openedBefore: optional(row.opened_at, time),
    lastIssuedAt: optional(row.last_issued_at, time),
    now: time(row.ledger_now)
  }
}

/** The columns that `coupon` reads. */
export const couponColumns = "campaign_id, id, user_id, code, issued_at"
