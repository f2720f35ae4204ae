import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { CampaignId } from "../../domain/CampaignId.ts"

/** Receives campaigns whose logs have new events. Returns at once, and must not throw. */
export type EventNewsListener = (campaignIds: ReadonlyArray<CampaignId>) => void

/**
 * Wakes the readers of event logs in this process after it has appended to one. It spares them the wait for their next
 * poll and nothing else: what other instances append comes without news, so every reader polls as well.
 */
export class EventNews extends Context.Tag("coupon/agents/EventNews")<EventNews, {
  /** These campaigns have new events, which are committed. */
  readonly publish: (campaignIds: ReadonlyArray<CampaignId>) => void
  /** Calls this with all news until the scope ends. */
  readonly listen: (listener: EventNewsListener) => Effect.Effect<void, never, Scope.Scope>
}>() {}

export const make: Effect.Effect<EventNews["Type"]> = Effect.sync(() => {
  const listeners = new Set<EventNewsListener>()
  return {
    publish: (campaignIds) => {
      if (campaignIds.length === 0) return
      for (const listener of listeners) listener(campaignIds)
    },
    listen: (listener) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => {
          // One of its own: the same function may listen twice.
          const own: EventNewsListener = (campaignIds) => listener(campaignIds)
          listeners.add(own)
          return own
        }),
        (own) => Effect.sync(() => listeners.delete(own))
      ))
  }
})

export const layer: Layer.Layer<EventNews> = Layer.effect(EventNews, make)
