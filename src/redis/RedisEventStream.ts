import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../config/AppConfig.ts"
import { type EventMark, EventStream, EventStreamUnavailable } from "../ports/EventStream.ts"
import { eventArguments, GateKeys, isText } from "./GateKeys.ts"

/** Events appended in one step: Redis serves no other call for about half a millisecond. */
const PAGE = 200

/**
 * The event stream in Redis: one stream a campaign, beside the gate's keys in one slot, and as much the deployment's
 * (docs/internals/protocol.md, "Whose keys"). `length`: events kept a campaign, approximately.
 */
export const make = (length: number): Effect.Effect<EventStream["Type"], never, GateKeys> =>
  Effect.map(GateKeys, ({ all, guarded, identity, script }) => {
    const publish = script<string>("publish", 4, isText, "own")
    return EventStream.of({
      isOn: true,
      publish: (campaignId, coupons, after) =>
        // Each page makes sure of the page before, so the last mark stands for all.
        Effect.reduce(Arr.chunksOf(coupons, PAGE), after, (mark, page) => {
          const args = [identity, mark ?? "", length, ...page.flatMap(eventArguments)]
          return guarded<EventMark | undefined>(campaignId, publish(all(campaignId), args), undefined)
        }).pipe(Effect.mapError(({ cause }) => new EventStreamUnavailable({ cause })))
    })
  })

export const layer: Layer.Layer<EventStream, never, GateKeys | AppConfig> = Layer.effect(
  EventStream,
  Effect.flatMap(AppConfig, ({ eventStreamLength }) => make(eventStreamLength))
)
