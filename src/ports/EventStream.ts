import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CampaignId } from "../domain/Campaign.ts"
import type { Coupon } from "../domain/Coupon.ts"

/** The place of an event in its campaign's stream. As long as it is there, so is all that was written before it. */
export type EventMark = string

/** The stream did not take the events, or did not say so. Some may be in it; all may be published again. */
export class EventStreamUnavailable extends Data.TaggedError("EventStreamUnavailable")<{ readonly cause: unknown }> {}

/**
 * A stream of `CouponIssued` events for other programs (docs/guides/events.md). Nothing in the service reads it, so it
 * is off unless `EVENT_STREAM` asks for it.
 */
export class EventStream extends Context.Tag("coupon/issuance/EventStream")<EventStream, {
  /** False: `publish` does nothing, and its callers need not find out what to publish. */
  readonly isOn: boolean
  /**
   * Appends an event for each coupon, all of one campaign, and returns the mark of the last one (`after` if there are
   * no coupons; `undefined` if the stream is off, or another deployment's). Each coupon has at least one event then; a
   * call that is repeated, or fails half way, leaves coupons with several. Readers tell them apart by campaign and
   * coupon id. Fails if the stream has lost `after`: a Redis that failed over may lack its last writes.
   */
  readonly publish: (
    campaignId: CampaignId,
    coupons: ReadonlyArray<Coupon>,
    after?: EventMark
  ) => Effect.Effect<EventMark | undefined, EventStreamUnavailable>
}>() {}

/** The stream that is off: it takes everything and keeps nothing. */
export const layerOff: Layer.Layer<EventStream> = Layer.succeed(EventStream, {
  isOn: false,
  publish: () => Effect.succeed(undefined)
})
