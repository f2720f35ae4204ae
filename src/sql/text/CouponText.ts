import type { CampaignId } from "../../domain/Campaign.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { type CouponStretch, type IssueWindow, MAX_CAMPAIGNS_LOOKED_AT, type UserCoupons } from "../../ports/Ledger.ts"
import { couponColumns } from "../Rows.ts"
import { integer } from "./Literals.ts"

/** What the dialects say differently where coupons are searched. */
export interface CouponDialect {
  readonly time: (time: EpochMillis) => string
  readonly text: (text: string) => string
  /** Has the database use this key of coupons, whatever its statistics say. */
  readonly by: (key: "PRIMARY" | "coupons_user" | "coupons_code") => string
  /** A join that reads its left side first. */
  readonly join: "STRAIGHT_JOIN" | "CROSS JOIN"
}

const inWindow = ({ before, from }: IssueWindow, { time }: CouponDialect): string =>
  (from === undefined ? "" : ` AND issued_at >= ${time(from)}`) +
  (before === undefined ? "" : ` AND issued_at < ${time(before)}`)

/** By the primary key: clocks are set back now and then, so the times of coupons are in no strict order. */
export const couponsAmong = (stretch: CouponStretch, dialect: CouponDialect): string => {
  const { campaignId, descending, firstId, lastId, limit } = stretch
  return `SELECT ${couponColumns} FROM coupons${dialect.by("PRIMARY")} WHERE campaign_id = ${integer(campaignId)} ` +
    `AND id >= ${integer(firstId)} AND id <= ${integer(lastId)}${inWindow(stretch, dialect)} ` +
    `ORDER BY id${descending ? " DESC" : ""} LIMIT ${integer(limit)}`
}

/** The statements of a read of a user's coupons. */
export const couponsOfUser = (query: UserCoupons, dialect: CouponDialect) => {
  const { descending, limit, position, userId } = query
  const [beyond, upTo, order] = descending ? ["<", ">=", " DESC"] : [">", "<=", ""]
  const begin = position === undefined ? "" : ` AND c.id ${beyond} ${integer(position)}`
  return {
    /** The last campaign that the read may look at; no row: it may look at all. */
    bound: `SELECT c.id FROM campaigns AS c WHERE c.id > 0${begin} ORDER BY c.id${order} ` +
      `LIMIT 1 OFFSET ${MAX_CAMPAIGNS_LOOKED_AT - 1}`,
    page: (lastId: CampaignId | undefined): string =>
      `SELECT p.campaign_id, p.id, p.user_id, p.code, p.issued_at FROM campaigns AS c ${dialect.join} ` +
      `coupons AS p${dialect.by("coupons_user")} ON p.campaign_id = c.id AND p.user_id = ${integer(userId)} ` +
      `WHERE c.id > 0${begin}${lastId === undefined ? "" : ` AND c.id ${upTo} ${integer(lastId)}`}` +
      `${inWindow(query, dialect)} ORDER BY c.id${order} LIMIT ${integer(limit)}`
  }
}

export const couponByCode = (campaignId: CampaignId, code: string, { by, text }: CouponDialect): string =>
  `SELECT ${couponColumns} FROM coupons${by("coupons_code")} WHERE campaign_id = ${integer(campaignId)} ` +
  `AND code = ${text(code)}`
