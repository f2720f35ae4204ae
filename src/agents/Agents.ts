import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { AppConfig } from "../config/AppConfig.ts"
import { Gate } from "../ports/Gate.ts"
import * as Agent from "./Agent.ts"
import * as AuditSeal from "./audit/AuditSeal.ts"
import * as CampaignSearch from "./CampaignSearch.ts"
import * as EventRemoval from "./events/EventRemoval.ts"
import * as EventLogUpkeep from "./events/EventLogUpkeep.ts"
import { KeyWatch } from "./KeyWatch.ts"
import { OutboxRelay } from "./outbox/OutboxRelay.ts"
import * as OutboxWatch from "./outbox/OutboxWatch.ts"
import { PhaseWatch } from "./PhaseWatch.ts"
import { Reconciler } from "./Reconciler.ts"
import { WebhookDelivery } from "../webhooks/delivery/WebhookDelivery.ts"
import { EventNews } from "./events/EventNews.ts"
import { ErasureWatch } from "./ErasureWatch.ts"
import { ReservationReaper } from "./ReservationReaper.ts"
import { SaleHistory } from "./sale/SaleHistory.ts"
import * as StartWatch from "./StartWatch.ts"
import * as VoidRemoval from "./outbox/VoidRemoval.ts"

/** The agents that run in this process. */
export class Agents extends Context.Tag("coupon/agents/Agents")<Agents, {
  /** How each agent is doing, in the order of the table in `make`. */
  readonly states: () => ReadonlyArray<Agent.AgentState>
}>() {}

/** Starts every agent; closing the scope ends them. All but the rebuilder are here: that one works on demand. */
export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const relay = yield* OutboxRelay
  const reaper = yield* ReservationReaper
  const reconciler = yield* Reconciler
  const phases = yield* PhaseWatch
  const sales = yield* SaleHistory
  const voids = yield* VoidRemoval.make
  const starts = yield* StartWatch.make
  const search = yield* CampaignSearch.make
  const outbox = yield* OutboxWatch.make
  const erasures = yield* ErasureWatch
  const seal = yield* AuditSeal.make
  const eventLog = yield* EventLogUpkeep.make
  const keys = yield* KeyWatch
  const webhooks = yield* WebhookDelivery
  yield* (yield* EventNews).listen(webhooks.noticed)
  const removal = yield* EventRemoval.make
  const suspicion = yield* Stream.toPull((yield* Gate).suspicions)

  const agents: ReadonlyArray<Agent.Agent> = [
    {
      name: "relay",
      title: "the outbox relay",
      runOnce: relay.drain,
      every: config.relayInterval,
      wake: relay.woken
    },
    {
      name: "reaper",
      title: "the reservation reaper",
      runOnce: reaper.runOnce,
      every: config.reaperInterval
    },
    {
      name: "reconciler",
      title: "the reconciler",
      runOnce: reconciler.runOnce,
      every: config.reconcileInterval
    },
    {
      // A gate whose connection came back may have lost its memory or its tail.
      name: "reconnect_reconciler",
      title: "the reconciler after a reconnect",
      runOnce: reconciler.reconcileAll,
      every: undefined,
      wake: Effect.orElse(suspicion, () => Effect.never)
    },
    {
      name: "phase_watch",
      title: "the watch of the campaigns' phases",
      runOnce: phases.runOnce,
      every: Duration.seconds(1)
    },
    {
      // Within the slack that the gate allows for clocks, which is 2 s.
      name: "start_watch",
      title: "the watch for postponed starts",
      runOnce: starts.runOnce,
      every: Duration.seconds(1)
    },
    {
      // For so long at most an instance answers for a coupon whose user was erased at another one.
      name: "erasure_watch",
      title: "the watch for erased users",
      runOnce: erasures.runOnce,
      every: Duration.seconds(1)
    },
    {
      // Also without a reader: a page that is opened during a sale shows what was before.
      name: "sale_history",
      title: "the record of what campaigns did each second",
      runOnce: sales.runOnce,
      every: Duration.seconds(1)
    },
    {
      name: "campaign_search",
      title: "the search for new campaigns",
      runOnce: search.runOnce,
      every: Duration.seconds(5)
    },
    {
      name: "outbox_watch",
      title: "the watch of the outbox's backlog",
      runOnce: outbox.runOnce,
      every: Duration.seconds(2)
    },
    {
      name: "event_log",
      title: "the upkeep of the event logs",
      runOnce: eventLog.runOnce,
      every: Duration.seconds(1)
    },
    {
      name: "event_removal",
      title: "the removal of old events",
      runOnce: removal.runOnce,
      every: Duration.minutes(1)
    },
    {
      name: "webhooks",
      title: "the delivery of webhooks",
      runOnce: webhooks.runOnce,
      every: Duration.millis(500),
      wake: webhooks.woken
    },
    {
      // Four times in the life of a lease.
      name: "webhook_leases",
      title: "the renewal of the leases of webhooks",
      runOnce: webhooks.renew,
      every: Duration.seconds(2)
    },
    {
      name: "webhook_purge",
      title: "the removal of old attempts of webhooks",
      runOnce: webhooks.purge,
      every: Duration.minutes(10)
    },
    {
      // Until it has its place, an act can be removed without a trace.
      name: "audit_seal",
      title: "the sealing of the audit log",
      runOnce: seal.runOnce,
      every: Duration.seconds(1)
    },
    {
      // Here, and not where a key is used: a claim waits for no row of a key.
      name: "key_watch",
      title: "the record of which keys are used",
      runOnce: keys.runOnce,
      every: Duration.seconds(10)
    },
    {
      name: "void_removal",
      title: "the removal of old VOID markers",
      runOnce: voids.runOnce,
      every: Duration.minutes(1)
    }
  ]
  const states = yield* Effect.forEach(agents, Agent.run)
  return Agents.of({ states: () => states.map((state) => state()) })
})

export const layer = Layer.scoped(Agents, make)
