import type { CampaignId } from "../../domain/CampaignId.ts"
import { validityFromText } from "../../domain/validity/CouponValidity.ts"
import type { ValidityChange, ValidityHistory } from "../../domain/validity/ValidityHistory.ts"
import { rulesFromText } from "../../domain/validity/ZoneRules.ts"
import type { Row } from "../Rows.ts"

const validityChange = ({ first_id, policy, version, zone_rules }: Row): ValidityChange => ({
  version: Number(version),
  firstId: Number(first_id),
  validity: typeof policy === "string" ? validityFromText(policy) : undefined,
  rules: typeof zone_rules === "string" ? rulesFromText(zone_rules) : undefined
})

/** Reads the rows of `validitiesText`. */
export const historiesOf = (rows: ReadonlyArray<Row>): ReadonlyArray<ValidityHistory> => {
  const histories = new Map<CampaignId, ValidityHistory & { readonly changes: Array<ValidityChange> }>()
  for (const row of rows) {
    const campaignId = Number(row.id)
    const of = histories.get(campaignId) ?? { campaignId, issued: Number(row.current_coupon), changes: [] }
    histories.set(campaignId, of)
    if (row.first_id !== null) of.changes.push(validityChange(row))
  }
  return [...histories.values()]
}
