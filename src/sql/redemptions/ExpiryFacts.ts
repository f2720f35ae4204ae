import * as Effect from "effect/Effect"
import * as Steps from "../../base/Steps.ts"
import type { CampaignId } from "../../domain/CampaignId.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { expiresAt } from "../../domain/validity/ValidityHistory.ts"
import type { ExpiryFacts } from "../../ports/LedgerFacts.ts"
import type { LedgerUnavailable } from "../../ports/Ledger.ts"
import type { Row } from "../Rows.ts"
import { hexadecimal, integer } from "../text/Literals.ts"
import { historiesOf } from "./ValidityRows.ts"
import { validitiesText } from "./RedemptionText.ts"

/** Requests that are read at a time, with their coupons: 2 to 4 ms of the embedded ledger. */
const PAGE = 1_000

/** A page of the requests to redeem, after this one in the order of their ids. */
const requestsText = (campaignId: CampaignId, after: string): string => {
  const id = integer(campaignId)
  return `SELECT HEX(r.request_id) AS request, r.coupon_id, r.outcome, r.at, c.issued_at FROM (
  SELECT request_id, coupon_id, outcome, at FROM redemptions
  WHERE campaign_id = ${id} AND request_id > x'${after}' AND action = 'REDEEM' ORDER BY request_id LIMIT ${PAGE}
) AS r JOIN coupons AS c ON c.campaign_id = ${id} AND c.id = r.coupon_id ORDER BY r.request_id`
}

/** Answers that a request gets only before the coupon's expiry. */
const IN_TIME: ReadonlySet<unknown> = new Set(["DONE", "REDEEMED"])

/**
 * What redemptions and expiries of a campaign come to, by rows that never change: each page is held against validities
 * that are read after it, so that they know all of its coupons.
 */
export const expiryFacts = (
  read: (text: string) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>,
  time: (value: unknown) => EpochMillis,
  campaignId: CampaignId
): Effect.Effect<ExpiryFacts, LedgerUnavailable> =>
  Effect.gen(function*() {
    const validities = Effect.map(read(validitiesText([campaignId])), (rows) => historiesOf(rows)[0])
    const history = yield* validities
    const changes = history?.changes ?? []
    const misplaced = changes.filter(({ firstId, version }, index) => {
      const before = changes[index - 1]
      return firstId > history!.issued + 1 || firstId < (before?.firstId ?? 1) || version <= (before?.version ?? 0)
    }).length
    const facts = { late: 0, early: 0, misplaced }
    if (changes.length === 0) return facts
    for (let after = "";;) {
      const rows = yield* Steps.step(read(requestsText(campaignId, after)))
      if (rows.length === 0) return facts
      const known = yield* validities
      for (const row of rows) {
        const coupon = { id: Number(row.coupon_id), issuedAt: time(row.issued_at) }
        const isOver = time(row.at) >= (expiresAt(known!, coupon) ?? Infinity)
        if (isOver && IN_TIME.has(row.outcome)) facts.late++
        if (!isOver && row.outcome === "EXPIRED") facts.early++
      }
      after = hexadecimal(String(rows.at(-1)!.request).toLowerCase())
    }
  })
