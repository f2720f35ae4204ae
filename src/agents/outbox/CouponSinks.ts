import * as Effect from "effect/Effect"
import type { CampaignId } from "../../domain/Campaign.ts"
import type { Coupon } from "../../domain/Coupon.ts"
import { EventStream, type EventStreamUnavailable } from "../../ports/EventStream.ts"
import { Gate, type GateUnavailable } from "../../ports/Gate.ts"

/** Why a sink did not take coupons. */
export type SinkUnavailable = GateUnavailable | EventStreamUnavailable

/**
 * What receives every coupon that the ledger has issued. Returns once it has them all. A call that failed, or whose
 * caller died, is repeated, so a sink must not mind to receive coupons twice.
 */
export type CouponSink = (
  campaignId: CampaignId,
  coupons: ReadonlyArray<Coupon>
) => Effect.Effect<void, SinkUnavailable>

/**
 * Every sink, as one that fails with the first that fails. The gate is the last: a user joins the issued set only if
 * the stream has the event at that moment. A rebuild relies on that and passes over users that are in the set. Stream
 * and set lie in one slot of Redis, which therefore never loses the event alone (invariant I10).
 */
export const make: Effect.Effect<CouponSink, never, EventStream | Gate> = Effect.gen(function*() {
  const stream = yield* EventStream
  const gate = yield* Gate
  return (campaignId, coupons) =>
    Effect.flatMap(stream.publish(campaignId, coupons), (mark) => gate.confirm(campaignId, coupons, mark))
})
