import {
  type Campaign,
  CampaignPhase,
  CampaignStatus,
  CodeAlphabet,
  CodeSource
} from "../../contract/gen/coupon/v1/coupon_pb.ts"
import * as Output from "../Output.ts"
import type { Times } from "../values/Times.ts"
import * as ValidityOptions from "./ValidityOptions.ts"

// Campaigns as a terminal shows them.

const statusWord = (status: CampaignStatus): string =>
  Object.entries(CampaignStatus).find(([, value]) => value === status)?.[0] ?? String(status)

/** The campaign's phase; its status if the service is too old to send phases. */
const phaseWord = ({ phase, status }: Pick<Campaign, "phase" | "status">): string =>
  phase === CampaignPhase.UNSPECIFIED
    ? statusWord(status)
    : Object.entries(CampaignPhase).find(([, value]) => value === phase)?.[0] ?? String(phase)

const shapeOf = (
  { codeCount, codeFormat, codeSource }: Pick<Campaign, "codeFormat" | "codeSource" | "codeCount">
): string => {
  if (codeSource === CodeSource.POOL) return `a pool of ${codeCount}`
  if (codeFormat === undefined) return ""
  const { alphabet, characters, pattern } = codeFormat
  const named = Object.entries(CodeAlphabet).find(([, value]) => value === alphabet)?.[0]
  return `${pattern} of ${characters === "" ? named ?? alphabet : characters}`
}

type Counts = Pick<Campaign, "couponLimit" | "currentCoupon" | "returned">

/** The limit that was set and the coupons that count towards it: without slots that were returned. */
const placesOf = ({ couponLimit, currentCoupon, returned }: Counts) =>
  ({ issued: Number(currentCoupon - returned), limit: Number(couponLimit - returned) })

const issuedOf = (campaign: Counts): string => {
  const { issued, limit } = placesOf(campaign)
  return `${issued} of ${limit}${campaign.returned > 0n ? `, and ${campaign.returned} whose slot was returned` : ""}`
}

/** A campaign, a fact a line. */
export const factsOf = (campaign: Omit<Campaign, "$typeName" | "$unknown">, { show: at }: Times): string =>
  Output.facts({
    campaign: campaign.id,
    name: campaign.name,
    phase: phaseWord(campaign),
    issued: issuedOf(campaign),
    start: at(campaign.startTime),
    end: at(campaign.endTime),
    opened: at(campaign.openedAt),
    "sold out": at(campaign.soldOutAt),
    codes: shapeOf(campaign),
    "valid until": at(campaign.couponValidity?.until),
    "valid for": ValidityOptions.durationText(campaign.couponValidity),
    "undo window": campaign.undoWindow,
    version: String(campaign.version),
    created: at(campaign.createdAt),
    updated: at(campaign.updatedAt)
  })

/** Campaigns, one a row. */
export const tableOf = (campaigns: ReadonlyArray<Campaign>, { show: at }: Times): string =>
  Output.table(
    ["campaign", "name", "phase", "issued", "limit", "start", "end", "version"],
    campaigns.map((campaign) => [
      campaign.id,
      campaign.name,
      phaseWord(campaign),
      placesOf(campaign).issued,
      placesOf(campaign).limit,
      at(campaign.startTime),
      at(campaign.endTime),
      Number(campaign.version)
    ])
  )
