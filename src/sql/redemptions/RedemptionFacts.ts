import * as Effect from "effect/Effect"
import type { CampaignId } from "../../domain/CampaignId.ts"
import type { RedemptionFacts } from "../../ports/LedgerFacts.ts"
import type { Row } from "../Rows.ts"
import { integer } from "../text/Literals.ts"

/**
 * How far redemptions and their log go, and the last change of the campaign as the audit log has it: one row to join,
 * as of the moment at which the campaign's row is read.
 */
export const redemptionHeads = (campaignId: string): string =>
  `(SELECT r.*, d.*, v.*, a.last_change FROM (
  SELECT COALESCE(MAX(sequence), 0) AS redemptions FROM redemption_heads WHERE campaign_id = ${campaignId}
) AS r
CROSS JOIN (
  SELECT COALESCE(MAX(sequence), 0) AS redemptions_logged FROM redemption_log_heads WHERE campaign_id = ${campaignId}
) AS d
CROSS JOIN (
  SELECT COUNT(*) AS redemption_events FROM campaign_events WHERE campaign_id = ${campaignId}
    AND type IN ('coupon.redeemed', 'coupon.redemption_undone', 'coupon.revoked')
) AS v
LEFT JOIN (
  SELECT c.after_state AS last_change FROM admin_audit AS c
  LEFT JOIN admin_audit_facts AS f ON f.change_id = c.change_id
  WHERE c.campaign_id = ${campaignId} AND c.action LIKE 'campaign.%' AND c.after_state IS NOT NULL
    AND COALESCE(f.outcome, 'DONE') = 'DONE' ORDER BY c.id DESC LIMIT 1
) AS a ON 1 = 1) AS s`

/** A page of what is counted, by numbers from here to there. */
type Page = (campaignId: CampaignId, from: number, to: number) => string

/** Acts of these sequences, and how many of them have returned a slot. */
const actsText: Page = (campaignId, from, to) =>
  `SELECT COUNT(*) AS acts, COALESCE(SUM(CASE WHEN action = 'REVOKE' THEN slot_returned ELSE 0 END), 0) AS slots
FROM redemptions WHERE campaign_id = ${integer(campaignId)} AND sequence BETWEEN ${integer(from)} AND ${integer(to)}`

/**
 * Of these coupons: how many are redeemed more than once at a time, or after they were revoked, and how many have
 * another state than their acts leave. One statement sees acts and states of one moment.
 */
const couponsText: Page = (campaignId, from, to) => {
  const some = `campaign_id = ${integer(campaignId)} AND coupon_id BETWEEN ${integer(from)} AND ${integer(to)}`
  return `SELECT w.wrong, w.differing + x.stray AS differing FROM (
  SELECT COALESCE(SUM(CASE WHEN t.redeemed NOT IN (0, 1) OR t.revoked + t.redeemed > 1 THEN 1 ELSE 0 END), 0) AS wrong,
    COALESCE(SUM(CASE
      WHEN t.revoked = 0 AND t.redeemed = 0 THEN CASE WHEN s.state IS NULL THEN 0 ELSE 1 END
      WHEN s.state = CASE WHEN t.revoked > 0 THEN 'REVOKED' ELSE 'REDEEMED' END AND s.sequence = t.last THEN 0
      ELSE 1
    END), 0) AS differing
  FROM (
    SELECT coupon_id, MAX(sequence) AS last, SUM(CASE WHEN action = 'REVOKE' THEN 1 ELSE 0 END) AS revoked,
      SUM(CASE action WHEN 'REDEEM' THEN 1 WHEN 'UNDO' THEN -1 ELSE 0 END) AS redeemed
    FROM redemptions WHERE ${some} AND sequence IS NOT NULL GROUP BY coupon_id
  ) AS t
  LEFT JOIN coupon_states AS s ON s.campaign_id = ${integer(campaignId)} AND s.coupon_id = t.coupon_id
) AS w CROSS JOIN (
  SELECT COUNT(*) AS stray FROM coupon_states AS s WHERE ${some} AND NOT EXISTS (
    SELECT 1 FROM redemptions AS r
    WHERE r.campaign_id = s.campaign_id AND r.coupon_id = s.coupon_id AND r.sequence IS NOT NULL
  )
) AS x`
}

/** A page of answers in the order of their request ids, from what comes after this one. */
const requestsText = (campaignId: CampaignId, after: string, size: number): string =>
  `SELECT COUNT(*) AS answers, COUNT(DISTINCT request_id) AS requests, HEX(MAX(request_id)) AS last FROM (
  SELECT request_id FROM redemptions WHERE campaign_id = ${integer(campaignId)} AND request_id > x'${after}'
  ORDER BY request_id LIMIT ${integer(size)}
) AS page`

/** Limit and returned slots as the last change has left them, if the audit log knows that change. */
const lastChange = ({ last_change: state, version }: Row): RedemptionFacts["lastChange"] => {
  if (state === null) return undefined
  const { couponLimit, returned = 0, ...act } = JSON.parse(String(state)) as Record<string, number>
  return act["version"] === Number(version) ? { couponLimit: couponLimit!, returned } : undefined
}

/**
 * What a campaign's redemptions add up to, page by page, given its row with `redemptionHeads`. Acts are only added, so
 * those up to the head are those of the moment at which that was read.
 */
export const redemptionFacts = <E>(
  read: (text: string) => Effect.Effect<ReadonlyArray<Row>, E>,
  campaignId: CampaignId,
  campaign: Row,
  page: number
): Effect.Effect<RedemptionFacts, E> =>
  Effect.gen(function*() {
    const sum = { acts: 0, slots: 0, wrong: 0, differing: 0, answers: 0, requests: 0 }
    const add = (row: Row) => {
      for (const name of Object.keys(sum) as Array<keyof typeof sum>) sum[name] += Number(row[name] ?? 0)
    }
    const count = (upTo: number, text: Page) =>
      Effect.gen(function*() {
        for (let from = 1; from <= upTo; from += page) {
          add((yield* read(text(campaignId, from, Math.min(upTo, from + page - 1))))[0]!)
        }
      })
    const last = Number(campaign.redemptions)
    yield* count(last, actsText)
    yield* count(last === 0 ? 0 : Number(campaign.current_coupon), couponsText)
    for (let after: string | undefined = ""; after !== undefined;) {
      const row: Row = (yield* read(requestsText(campaignId, after, page)))[0]!
      add(row)
      after = Number(row.answers) < page ? undefined : String(row.last)
    }
    return {
      ...sum,
      last,
      lastLogged: Number(campaign.redemptions_logged),
      events: Number(campaign.redemption_events),
      returned: Number(campaign.returned),
      lastChange: lastChange(campaign)
    }
  })
