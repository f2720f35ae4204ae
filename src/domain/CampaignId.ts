import * as Either from "effect/Either"
import { InvalidArgument } from "./InvalidArgument.ts"

/** A campaign's id: 1 to 2^31-1, as on the wire (`int32`). */
export type CampaignId = number

const MAX_CAMPAIGN_ID = 2_147_483_647

/** Validates a campaign id. */
export const parseCampaignId = (value: number): Either.Either<CampaignId, InvalidArgument> =>
  Number.isInteger(value) && value >= 1 && value <= MAX_CAMPAIGN_ID
    ? Either.right(value)
    : Either.left(new InvalidArgument({ field: "campaignId", reason: "must be a positive 32-bit integer" }))
