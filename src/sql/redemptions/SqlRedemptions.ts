import * as Effect from "effect/Effect"
import type { CampaignId } from "../../domain/CampaignId.ts"
import type { Redemption, RedemptionAction } from "../../domain/redemption/Redemption.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../../ports/Ledger.ts"
import type {
  CouponStanding, RedemptionAnswer, RedemptionBatch, RedemptionItem, Redemptions, RefusalReason
} from "../../ports/Redemptions.ts"
import { makeRows, type Row } from "../Rows.ts"
import { answersText, listText, standingsText } from "./RedemptionText.ts"

/** The redemptions of a ledger, where the databases differ. */
export interface RedemptionsDialect {
  readonly time: (value: unknown) => EpochMillis
  readonly read: (text: string) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
  /** Commits a batch, and returns the rows of `answersText`. */
  readonly commit: (batch: RedemptionBatch) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable | CommitInDoubt>
  /** The coupons that have these codes, of which there is at least one. */
  readonly couponsByCode: (campaignId: CampaignId, codes: ReadonlyArray<string>) => string
  /** Makes sure that no transaction under this key can commit from now on, and then reads. */
  readonly forbidAndRead: (
    key: string,
    campaignId: CampaignId,
    text: string
  ) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
}

const textOf = (digits: unknown): string => Buffer.from(String(digits), "hex").toString("utf8")

const act = (campaignId: CampaignId, couponId: number, row: Row, prefix: string, time: RedemptionsDialect["time"]) => {
  const of = (column: string) => row[`${prefix}${column}`]
  return {
    campaignId,
    couponId,
    sequence: Number(of("sequence")),
    action: of("action") as RedemptionAction,
    requestId: textOf(of("request")),
    terminalId: of("terminal_id") as string,
    orderRef: of("order_ref") as string,
    reason: of("reason") as string,
    occurredAt: of("occurred_at") === null ? undefined : time(of("occurred_at")),
    at: time(of("at"))
  } satisfies Redemption
}

/** Needs the columns of `listText`. */
export const redemptionOf = (time: RedemptionsDialect["time"]) => (row: Row): Redemption =>
  act(Number(row.campaign_id), Number(row.coupon_id), row, "", time)

/** What all ledgers do alike with redemptions. */
export const make = (dialect: RedemptionsDialect): Redemptions["Type"] => {
  const { commit, couponsByCode, forbidAndRead, read, time } = dialect
  const rowsOf = makeRows(time)
  const redemption = redemptionOf(time)

  const answer = ({ action, couponId }: RedemptionItem, row: Row): RedemptionAnswer => {
    if (Number(row.coupon_id) !== couponId || row.action !== action) return { _tag: "Conflict" }
    if (row.outcome === "DONE") return { _tag: "Done", redemption: redemption(row) }
    return {
      _tag: "Refused",
      reason: row.outcome as RefusalReason,
      standing: row.standing_sequence === null
        ? undefined
        : act(Number(row.campaign_id), couponId, row, "standing_", time)
    }
  }

  /** In the order of the items; `undefined`: no answer is stored. */
  const answers = ({ items }: RedemptionBatch, rows: ReadonlyArray<Row>) => {
    const byRequest = new Map(rows.map((row) => [textOf(row.request), row]))
    return items.map((item) => {
      const row = byRequest.get(item.requestId)
      return row === undefined ? undefined : answer(item, row)
    })
  }

  return {
    commit: (batch) =>
      batch.items.length === 0
        ? Effect.succeed([])
        : Effect.map(Effect.uninterruptible(commit(batch)), (rows) =>
          answers(batch, rows).map((of) => {
            if (of === undefined) throw new Error(`a batch of redemptions of campaign ${batch.campaignId} left one out`)
            return of
          })),

    resolve: (batch) =>
      batch.items.length === 0
        ? Effect.succeed([])
        : Effect.map(
          forbidAndRead(batch.batchId, batch.campaignId, answersText(batch)),
          (rows) => answers(batch, rows)
        ),

    findByCodes: (campaignId, codes) =>
      codes.length === 0
        ? Effect.succeed([])
        : Effect.map(read(couponsByCode(campaignId, codes)), (rows) => {
          const wanted = new Set(codes)
          // MySQL pads what it compares with spaces.
          return rows.map(rowsOf.coupon).filter(({ code }) => wanted.has(code))
        }),

    standings: (campaignId, couponIds) =>
      couponIds.length === 0
        ? Effect.succeed([])
        : Effect.map(read(standingsText(campaignId, couponIds)), (rows) =>
          rows.map((row): CouponStanding => ({
            couponId: Number(row.coupon_id),
            state: row.state as CouponStanding["state"],
            sequence: Number(row.sequence),
            at: time(row.at),
            terminalId: row.terminal_id as string
          }))),

    list: ({ afterSequence, campaignId, couponId, limit }) =>
      Effect.map(read(listText(campaignId, couponId, afterSequence, limit)), (rows) => rows.map(redemption))
  }
}
