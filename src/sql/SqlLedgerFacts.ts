import * as Effect from "effect/Effect"
import type { CampaignId } from "../domain/Campaign.ts"
import type { LedgerUnavailable } from "../ports/Ledger.ts"
import type { CampaignFacts, ExpiryFacts, LedgerFacts, RedemptionFacts } from "../ports/LedgerFacts.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { expiryFacts } from "./redemptions/ExpiryFacts.ts"
import type { Row } from "./Rows.ts"
import { unavailable } from "./SqlFailure.ts"
import { integer } from "./text/Literals.ts"

/** The facts of a ledger, where the databases differ. */
export interface LedgerFactsDialect {
  readonly time: (value: unknown) => EpochMillis
  readonly read: (text: string) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
  /** Everything that `CampaignFacts` has of a campaign, as of one moment; `undefined`: no such campaign. */
  readonly factsRow: (
    campaignId: CampaignId
  ) => Effect.Effect<{ readonly row: Row; readonly redemptions: RedemptionFacts } | undefined, unknown>
  /** Selects the ledger's clock as `now`, in milliseconds. */
  readonly now: string
  readonly settings: LedgerFacts["Type"]["settings"]
  readonly session: LedgerFacts["Type"]["session"]
}

const factsOf = (
  campaignId: CampaignId,
  row: Row,
  redemptions: RedemptionFacts,
  expiry: ExpiryFacts
): CampaignFacts => ({
  campaignId,
  couponLimit: Number(row.coupon_limit),
  counter: Number(row.current_coupon),
  coupons: Number(row.coupons),
  users: Number(row.users),
  codes: Number(row.codes),
  userless: Number(row.userless),
  highestId: Number(row.highest_id),
  codeCount: Number(row.code_count),
  poolCodes: Number(row.pool_codes),
  otherCodes: Number(row.other_codes),
  unrelayed: Number(row.unrelayed),
  expiry,
  log: row.log_sequence === null ? undefined : {
    sequence: Number(row.log_sequence),
    removedSequence: Number(row.log_removed),
    lastNumber: Number(row.log_last_id),
    events: Number(row.log_events),
    firstSequence: Number(row.log_first_sequence),
    lastSequence: Number(row.log_last_sequence),
    firstIssued: Number(row.log_first_issued),
    lastIssued: Number(row.log_last_issued),
    misplaced: Number(row.log_misplaced)
  },
  redemptions
})

/** What all ledgers do alike. */
export const make = ({ factsRow, now, read, session, settings, time }: LedgerFactsDialect): LedgerFacts["Type"] => ({
  campaignIds: (afterId, limit) =>
    Effect.map(
      read(`SELECT id FROM campaigns WHERE id > ${integer(afterId)} ORDER BY id LIMIT ${integer(limit)}`),
      (rows) => rows.map((row) => Number(row.id))
    ),
  facts: (campaignId) =>
    Effect.flatMap(Effect.mapError(factsRow(campaignId), unavailable), (found) =>
      found === undefined
        ? Effect.succeed(undefined)
        : Effect.map(
          expiryFacts(read, time, campaignId),
          (expiry) => factsOf(campaignId, found.row, found.redemptions, expiry)
        )),
  now: Effect.map(read(now), ([row]) => Number(row!.now)),
  settings,
  session
})
