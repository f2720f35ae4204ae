import type { Campaign, CampaignStatus } from "../domain/Campaign.ts"
import type { Coupon } from "../domain/Coupon.ts"
import type { EpochMillis } from "../domain/Time.ts"

/** A row as a driver returns it: integers as numbers, strings or bigints, times in the form of the dialect. */
export type Row = Readonly<Record<string, unknown>>

/** The rows of one statement's result, in a text of several. */
export const rowsAt = (results: ReadonlyArray<unknown>, statement: number): ReadonlyArray<Row> => results[statement] as ReadonlyArray<Row>

/** Reads the rows that both dialects select under the same column names. */
export const makeRows = (time: (value: unknown) => EpochMillis) => ({
  /** Needs campaign_id, id, user_id, code and issued_at. A user id beyond 2^53 comes as a string or bigint, so it is exact. */
  coupon: (row: Row): Coupon => ({
    campaignId: Number(row.campaign_id),
    id: Number(row.id),
    userId: BigInt(row.user_id as number | string | bigint),
    code: row.code as string,
    issuedAt: time(row.issued_at)
  }),
  /** Needs every column of campaigns; without `announced_limit` nothing is announced. */
  campaign: (row: Row): Campaign => ({
    campaignId: Number(row.id),
    name: row.name as string,
    couponLimit: Number(row.coupon_limit),
    announcedLimit: Math.max(Number(row.coupon_limit), Number(row.announced_limit ?? 0)),
    issuedCount: Number(row.current_coupon),
    status: row.status as CampaignStatus,
    startTime: time(row.start_time),
    endTime: row.end_time === null ? undefined : time(row.end_time),
    version: Number(row.version),
    createdAt: time(row.created_at),
    updatedAt: time(row.updated_at)
  })
})

/** The columns that `coupon` reads. */
export const couponColumns = "campaign_id, id, user_id, code, issued_at"
