import type { JsonObject } from "@bufbuild/protobuf"
import type { CoveringEvent } from "../../campaigns/CampaignEvents.ts"
import { formatRfc3339 } from "../../domain/Time.ts"
import type { CampaignEvent } from "../../ports/EventLog.ts"

/** An event as the API shows it. */
export const eventOf = (event: CampaignEvent | CoveringEvent) => ({
  campaignId: event.campaignId,
  sequence: BigInt(event.sequence),
  type: event.type,
  at: formatRfc3339(event.at),
  firstNumber: event.firstNumber,
  lastNumber: event.lastNumber,
  payload: event.payload as JsonObject,
  firstSequence: BigInt("firstSequence" in event ? event.firstSequence : event.sequence)
})
