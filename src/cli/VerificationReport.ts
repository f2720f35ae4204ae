import type { VerifiedCampaign, Violation } from "../contract/OperatorRpcs.ts"
import * as Output from "./Output.ts"

const HEADER = ["campaign", "limit", "coupons", "counter", "gate", "holders", "on their way", "reserved", "verdict"]

const gateWord = ({ gate }: typeof VerifiedCampaign.Type): string => {
  if (gate === null) return "-"
  return gate.condition !== "Sound" ? gate.condition.toLowerCase() : gate.hydrated ? "hydrated" : "cold"
}

/** A table for a terminal, one row a campaign. */
export const table = (rows: ReadonlyArray<typeof VerifiedCampaign.Type>): string =>
  Output.table(
    HEADER,
    rows.map((row) => [
      row.campaignId,
      row.couponLimit,
      row.coupons,
      row.counter,
      gateWord(row),
      row.gate?.issued ?? "-",
      row.unrelayed,
      row.gate?.pending ?? "-",
      row.violations.length === 0 ? "ok" : [...new Set(row.violations.map(({ invariant }) => invariant))].join(" ")
    ])
  )

/** A violation as one line. */
export const line = ({ campaignId, invariant, text }: typeof Violation.Type): string =>
  `${invariant}${campaignId === null ? "" : ` campaign ${campaignId}`}: ${text}`
