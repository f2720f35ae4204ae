import { create } from "@bufbuild/protobuf"
import * as Effect from "effect/Effect"
import type { WatchMessage } from "../../campaigns/CampaignEvents.ts"
import { parseCampaignId } from "../../domain/Campaign.ts"
import { formatRfc3339 } from "../../domain/Time.ts"
import {
  CampaignEventSchema,
  CouponService,
  WatchBookmarkSchema,
  WatchCampaignResponseSchema,
  WatchSnapshotSchema
} from "../../contract/gen/coupon/v1/coupon_pb.ts"
import { campaignOf } from "../CouponRoutes.ts"
import * as StreamRoute from "../streams/StreamRoute.ts"
import { eventOf } from "./EventMessages.ts"

/** What a message takes, in bytes. */
const MESSAGE_BYTES = 300

const messageOf = (message: WatchMessage) => {
  switch (message._tag) {
    case "Snapshot":
      return {
        case: "snapshot" as const,
        value: create(WatchSnapshotSchema, {
          campaign: campaignOf(message.campaign),
          sequence: BigInt(message.sequence),
          serverTime: formatRfc3339(message.campaign.readAt)
        })
      }
    case "Event":
      return { case: "event" as const, value: create(CampaignEventSchema, eventOf(message.event)) }
    case "Bookmark":
      return {
        case: "bookmark" as const,
        value: create(WatchBookmarkSchema, {
          sequence: BigInt(message.sequence),
          serverTime: formatRfc3339(message.serverTime)
        })
      }
  }
}

/** Ends with its client, or as every stream does. */
export const watchCampaign = StreamRoute.make({
  method: CouponService.method.watchCampaign,
  access: "VIEWER",
  open: ({ events }, { afterSequence, campaignId, issuedIntervalSeconds }) =>
    Effect.flatMap(parseCampaignId(campaignId), (id) => events.watch(id, afterSequence, issuedIntervalSeconds)),
  respond: (message: WatchMessage) => create(WatchCampaignResponseSchema, { message: messageOf(message) }),
  sizeOf: () => MESSAGE_BYTES
})
