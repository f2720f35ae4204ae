import type { ChainEvent } from "../contract/operator/Audit.ts"
import type { VerifiedCampaign, Violation } from "../contract/operator/Verification.ts"
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

export type Flaw = Extract<typeof ChainEvent.Type, { readonly _tag: "Flaw" }>

const flawTexts: Record<Flaw["kind"], string> = {
  ActMissing: "the act that had this place is gone",
  ActChanged: "the act is not the one that got this place",
  PlaceMissing: "the place is gone",
  TailMissing: "the chain ends before it did",
  OtherHistory: "the copy that was given has another act here"
}

/** A flaw of the audit log as one line. */
export const flawLine = ({ kind, sequence }: Pick<Flaw, "kind" | "sequence">): string =>
  `place ${sequence}: ${flawTexts[kind]}`

/** What was found of a chain without a flaw. */
export const chainLine = (
  { acts, unsealed, unsealedReasons }: {
    readonly acts: number
    readonly unsealed: number
    readonly unsealedReasons: number
  }
): string => {
  const more = unsealed === 0 ? "" : `; ${Output.counted(unsealed, "act")} not sealed yet`
  const reasons = unsealedReasons === 0
    ? ""
    : `; ${Output.counted(unsealedReasons, "reason")} not in it: sealed by an earlier version, or added later`
  return `${Output.counted(acts, "act")}, the chain holds${more}${reasons}`
}

/** A violation as one line. */
export const line = ({ campaignId, invariant, text }: typeof Violation.Type): string =>
  `${invariant}${campaignId === null ? "" : ` campaign ${campaignId}`}: ${text}`
