import * as Effect from "effect/Effect"
import * as OutboxMetrics from "../../metrics/OutboxMetrics.ts"
import { Outbox } from "../../ports/Outbox.ts"

/** Brings the metrics of the outbox's backlog up to date, which is the backlog of all instances. */
export const make = Effect.map(Outbox, (outbox) => ({
  runOnce: Effect.tap(outbox.backlog, ({ events, oldestAgeMillis }) =>
    Effect.sync(() => {
      OutboxMetrics.outboxBacklog.set(events)
      OutboxMetrics.outboxOldestSeconds.set(oldestAgeMillis / 1_000)
    }))
}))
