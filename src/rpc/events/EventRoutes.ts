import { create } from "@bufbuild/protobuf"
import * as Effect from "effect/Effect"
import { parseCampaignId } from "../../domain/Campaign.ts"
import { CouponService, ListEventsResponseSchema } from "../../contract/gen/coupon/v1/coupon_pb.ts"
import * as Routes from "../Route.ts"
import { eventOf } from "./EventMessages.ts"

/** What an event takes in an answer, in bytes. */
const EVENT_BYTES = 250

export const listEvents = Routes.make({
  method: CouponService.method.listEvents,
  bound: "read",
  access: "VIEWER",
  call: ({ events }, { afterSequence, campaignId, pageSize }) =>
    Effect.flatMap(parseCampaignId(campaignId), (id) => events.list(id, afterSequence, pageSize)),
  respond: ({ events, lastSequence }) =>
    create(ListEventsResponseSchema, { events: events.map(eventOf), lastSequence: BigInt(lastSequence) }),
  sizeOf: ({ events }) => events.length * EVENT_BYTES
})
