import { named } from "../../src/domain/Actor.ts"
import type { CampaignId, ExpectedVersion } from "../../src/domain/Campaign.ts"
import type { ChangeRequest } from "../../src/campaigns/CampaignChanges.ts"

/** A change of this campaign that a test asks for. */
export const request = (campaignId: CampaignId, expected?: ExpectedVersion): ChangeRequest =>
  ({ campaignId, expected, actor: named("test") })
