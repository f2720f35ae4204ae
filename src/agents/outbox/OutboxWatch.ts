import * as Effect from "effect/Effect"
import * as OutboxMetrics from "../../metrics/OutboxMetrics.ts"
import { EventLog } from "../../ports/EventLog.ts"
import { Outbox } from "../../ports/Outbox.ts"
import { eventLogs } from "../events/EventLogMetrics.ts"

/** Brings the metrics of what waits in the outbox, and for the event logs, up to date. It is that of all instances. */
export const make = Effect.gen(function*() {
  const outbox = yield* Outbox
  const log = yield* EventLog
  const runOnce = Effect.gen(function*() {
    const { events, oldestAgeMillis } = yield* outbox.backlog
    OutboxMetrics.outboxBacklog.set(events)
    OutboxMetrics.outboxOldestSeconds.set(oldestAgeMillis / 1_000)
    const lag = yield* log.lag
    eventLogs.lagEvents.set(lag.commits)
    eventLogs.lagSeconds.set(lag.oldestAgeMillis / 1_000)
  })
  return { runOnce }
})
