import * as Either from "effect/Either"
import type { EpochMillis } from "./Time.ts"
import { parseRfc3339 } from "./Time.ts"
import { InvalidArgument } from "./IssueFailure.ts"

/** A campaign's id: 1 to 2^31-1, as on the wire (`int32`). */
export type CampaignId = number

/** `ACTIVE` issues inside the window, `PAUSED` and `ENDED` issue nothing. */
export type CampaignStatus = "ACTIVE" | "PAUSED" | "ENDED"

/** The settings of a campaign that admission depends on; `version` grows by one with every change of them. */
export interface CampaignTerms {
  readonly campaignId: CampaignId
  /** How many coupons there are, 1 to 10,000,000. */
  readonly couponLimit: number
  readonly status: CampaignStatus
  readonly startTime: EpochMillis
  /** `undefined`: the campaign has no end. */
  readonly endTime: EpochMillis | undefined
  readonly version: number
}

/** A campaign as the ledger knows it. */
export interface Campaign extends CampaignTerms {
  readonly name: string
  /** Coupons issued so far: always the number of coupon rows (invariant I2). */
  readonly issuedCount: number
  readonly createdAt: EpochMillis
  readonly updatedAt: EpochMillis
}

/** What it takes to open a campaign, already validated by `parseDraft`. */
export interface CampaignDraft {
  readonly name: string
  readonly couponLimit: number
  readonly startTime: EpochMillis
  readonly endTime: EpochMillis | undefined
}

export const MAX_NAME_LENGTH = 100
export const MAX_COUPON_LIMIT = 10_000_000
export const MAX_CAMPAIGN_ID = 2_147_483_647

/**
 * Validates the fields of a new campaign as a client sent them; the first field that breaks its rule is named.
 * Length is counted in Unicode code points, so that a syllable of 여름 counts one.
 */
export const parseDraft = (input: {
  readonly name: string
  readonly couponLimit: bigint
  readonly startTime: string
  readonly endTime: string
}): Either.Either<CampaignDraft, InvalidArgument> =>
  Either.gen(function*() {
    const length = Array.from(input.name.trim()).length
    if (length === 0) {
      return yield* Either.left(new InvalidArgument({ field: "name", reason: "must not be empty" }))
    }
    if (Array.from(input.name).length > MAX_NAME_LENGTH) {
      return yield* Either.left(
        new InvalidArgument({ field: "name", reason: `must be at most ${MAX_NAME_LENGTH} characters` })
      )
    }
    if (!input.name.isWellFormed() || /\p{Cc}/u.test(input.name)) {
      return yield* Either.left(
        new InvalidArgument({ field: "name", reason: "must be text without control characters" })
      )
    }
    if (input.couponLimit < 1n || input.couponLimit > BigInt(MAX_COUPON_LIMIT)) {
      return yield* Either.left(
        new InvalidArgument({ field: "couponLimit", reason: `must be 1 to ${MAX_COUPON_LIMIT}` })
      )
    }
    const startTime = yield* parseRfc3339("startTime", input.startTime)
    const endTime = input.endTime === "" ? undefined : yield* parseRfc3339("endTime", input.endTime)
    if (endTime !== undefined && endTime <= startTime) {
      return yield* Either.left(new InvalidArgument({ field: "endTime", reason: "must be later than startTime" }))
    }
    return { name: input.name, couponLimit: Number(input.couponLimit), startTime, endTime }
  })

/** Validates a campaign id. */
export const parseCampaignId = (value: number): Either.Either<CampaignId, InvalidArgument> =>
  Number.isInteger(value) && value >= 1 && value <= MAX_CAMPAIGN_ID
    ? Either.right(value)
    : Either.left(new InvalidArgument({ field: "campaignId", reason: "must be a positive 32-bit integer" }))
