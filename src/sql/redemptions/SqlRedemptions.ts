import * as Effect from "effect/Effect"
import type { CampaignId } from "../../domain/CampaignId.ts"
import type { Redemption, RedemptionAction } from "../../domain/redemption/Redemption.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../../ports/Ledger.ts"
import type {
  CouponStanding, RedemptionAnswer, RedemptionBatch, RedemptionItem, Redemptions, RefusalReason, Revocation
} from "../../ports/Redemptions.ts"
import { revocationBatch } from "../../ports/Redemptions.ts"
import { makeRows, type Row } from "../Rows.ts"
import { integer } from "../text/Literals.ts"
import { answersText, listText, standingsText, validitiesText } from "./RedemptionText.ts"
import { historiesOf } from "./ValidityRows.ts"

/** The redemptions of a ledger, where the databases differ. */
export interface RedemptionsDialect {
  readonly time: (value: unknown) => EpochMillis
  /** The ledger's clock, as an expression. */
  readonly now: () => string
  /** Each element of a JSON array of `[campaign, coupon]` as a row `k` (columns campaign_id, coupon_id). */
  readonly keys: (json: string) => string
  readonly read: (text: string) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
  /** Commits a batch, and returns the rows of `answersText`. */
  readonly commit: (batch: RedemptionBatch) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable | CommitInDoubt>
  /** Revokes a coupon if it applies, and returns the rows of `answersText`; none: it is stale. */
  readonly revoke: (revocation: Revocation) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable | CommitInDoubt>
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
    slotReturned: Number(of("slot_returned")) === 1,
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
  const { commit, couponsByCode, forbidAndRead, keys, now, read, revoke, time } = dialect
  const rowsOf = makeRows(time)
  const redemption = redemptionOf(time)

  const answer = ({ action, couponId, slotReturned }: RedemptionItem, row: Row): RedemptionAnswer => {
    const isSame = Number(row.coupon_id) === couponId && row.action === action &&
      (Number(row.slot_returned) === 1) === slotReturned
    if (!isSame) return { _tag: "Conflict" }
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

    revoke: (revocation) =>
      Effect.map(
        Effect.uninterruptible(revoke(revocation)),
        (rows) => answers(revocationBatch(revocation), rows)[0] ?? { _tag: "Stale" }
      ),

    answers: (batch) =>
      batch.items.length === 0
        ? Effect.succeed([])
        : Effect.map(read(answersText(batch)), (rows) => answers(batch, rows)),

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

    standings: (coupons) =>
      Effect.suspend(() => {
        const json = `[${coupons.map(({ campaignId, id }) => `[${integer(campaignId)},${integer(id)}]`).join(",")}]`
        return Effect.map(read(standingsText(keys(json), now())), (rows) => ({
          now: rows.length === 0 ? 0 : time(rows[0]!.ledger_now),
          standings: rows.filter(({ state }) => state !== null).map((row): CouponStanding => ({
            campaignId: Number(row.campaign_id),
            couponId: Number(row.coupon_id),
            state: row.state as CouponStanding["state"],
            sequence: Number(row.sequence),
            at: time(row.at),
            terminalId: row.terminal_id as string
          }))
        }))
      }),

    validities: (campaignIds) =>
      campaignIds.length === 0
        ? Effect.succeed([])
        : Effect.map(read(validitiesText(campaignIds)), historiesOf),

    list: ({ afterSequence, campaignId, couponId, limit }) =>
      Effect.map(read(listText(campaignId, couponId, afterSequence, limit)), (rows) => rows.map(redemption))
  }
}
