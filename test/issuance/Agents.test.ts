import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Agent from "../../src/agents/Agent.ts"
import * as Agents from "../../src/agents/Agents.ts"
import * as EventNews from "../../src/agents/events/EventNews.ts"
import * as GateRebuilder from "../../src/agents/GateRebuilder.ts"
import * as HeldCoupons from "../../src/agents/HeldCoupons.ts"
import * as KnownCampaigns from "../../src/agents/KnownCampaigns.ts"
import * as OutboxRelay from "../../src/agents/outbox/OutboxRelay.ts"
import * as PhaseWatch from "../../src/agents/PhaseWatch.ts"
import * as Reconciler from "../../src/agents/Reconciler.ts"
import * as ReservationReaper from "../../src/agents/ReservationReaper.ts"
import * as SaleCounts from "../../src/agents/sale/SaleCounts.ts"
import * as SaleHistory from "../../src/agents/sale/SaleHistory.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import * as MemoryGate from "../../src/memory/MemoryGate.ts"
import * as Exposition from "../../src/metrics/Exposition.ts"
import { CampaignPhases } from "../../src/ports/CampaignPhases.ts"
import * as ErasureWatch from "../../src/agents/ErasureWatch.ts"
import { Erasures } from "../../src/ports/operation/Erasures.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import * as EventStream from "../../src/ports/EventStream.ts"
import { Gate } from "../../src/ports/Gate.ts"
import * as CouponExpiry from "../../src/expiry/CouponExpiry.ts"
import { CampaignStore } from "../../src/ports/CampaignStore.ts"
import { Ledger, LedgerUnavailable } from "../../src/ports/Ledger.ts"
import { AuditChain } from "../../src/ports/AuditChain.ts"
import { KeyWatch } from "../../src/agents/KeyWatch.ts"
import { Outbox } from "../../src/ports/Outbox.ts"
import { Redemptions } from "../../src/ports/Redemptions.ts"
import * as WebhookDelivery from "../../src/webhooks/delivery/WebhookDelivery.ts"
import * as WebhookSender from "../../src/webhooks/sending/WebhookSender.ts"
import { WebhookCursors } from "../../src/ports/webhooks/WebhookCursors.ts"
import { WebhookEndpoints } from "../../src/ports/webhooks/WebhookEndpoints.ts"
import { WebhookRecords } from "../../src/ports/webhooks/WebhookRecords.ts"
import * as TestLedgerLayer from "./TestLedger.ts"

const nouns = Layer.mergeAll(Reconciler.layer, ReservationReaper.layer, ErasureWatch.layer).pipe(
  Layer.provideMerge(Layer.mergeAll(GateRebuilder.layer, OutboxRelay.layer)),
  Layer.provideMerge(PhaseWatch.layer),
  Layer.provideMerge(Layer.mergeAll(KnownCampaigns.layer, HeldCoupons.layer, EventNews.layer)),
  Layer.provideMerge(Layer.provideMerge(WebhookDelivery.layer, WebhookSender.layer)),
  Layer.provideMerge(Layer.merge(CouponExpiry.layer, Layer.provideMerge(SaleHistory.layer, SaleCounts.layer)))
)

/** The ports, with each effect and call of them counted; `gate.suspicions` emits what `suspicions` does. */
const counted = (ran: () => void, suspicions: Stream.Stream<void> = Stream.never) => {
  const wrap = <A extends object>(port: A): A =>
    Object.fromEntries(Object.entries(port).map(([name, value]: [string, unknown]) => [
      name,
      name === "suspicions"
        ? Stream.tap(suspicions, () => Effect.sync(ran))
        : typeof value === "function"
        ? (...args: ReadonlyArray<unknown>) => {
          ran()
          return (value as (...args: ReadonlyArray<unknown>) => unknown)(...args)
        }
        : Effect.zipRight(Effect.sync(ran), value as Effect.Effect<unknown>)
    ])) as A
  return Layer.effectContext(Effect.gen(function*() {
    return Context.make(Gate, wrap(yield* Gate)).pipe(
      Context.add(CampaignStore, wrap(yield* CampaignStore)),
      Context.add(Ledger, wrap(yield* Ledger)),
      Context.add(AuditChain, wrap(yield* AuditChain)),
      Context.add(KeyWatch, wrap(yield* KeyWatch)),
      Context.add(EventStream.EventStream, yield* EventStream.EventStream),
      Context.add(Outbox, wrap(yield* Outbox)),
      Context.add(Redemptions, wrap(yield* Redemptions)),
      Context.add(Erasures, wrap(yield* Erasures)),
      Context.add(EventLog, wrap(yield* EventLog)),
      Context.add(CampaignPhases, wrap(yield* CampaignPhases)),
      Context.add(WebhookEndpoints, wrap(yield* WebhookEndpoints)),
      Context.add(WebhookCursors, wrap(yield* WebhookCursors)),
      Context.add(WebhookRecords, wrap(yield* WebhookRecords))
    )
  })).pipe(
    Layer.provide(Layer.mergeAll(MemoryGate.layer, EventStream.layerOff, TestLedgerLayer.layer)),
    Layer.provideMerge(AppConfig.layerTest({ RELAY_INTERVAL: "5 seconds" })),
    Layer.orDie
  )
}

describe("agents", () => {
  it.scoped("start nothing when they are constructed", () =>
    Effect.gen(function*() {
      let calls = 0
      yield* Layer.build(Layer.provide(nouns, counted(() => calls++)))
      yield* TestClock.adjust("1 hour")
      expect(calls).toBe(0)
    }))

  it.scoped("are started by one layer, and end with its scope", () =>
    Effect.gen(function*() {
      let calls = 0
      const world = Layer.provide(Agents.layer, nouns).pipe(Layer.provide(counted(() => calls++)))
      yield* Effect.scoped(Effect.gen(function*() {
        const { states } = Context.get(yield* Layer.build(world), Agents.Agents)
        yield* TestClock.adjust("65 seconds")
        const names = states().filter(({ lastRunAt }) => lastRunAt !== undefined).map(({ name }) => name)
        expect(names).toEqual([
          "relay", "reaper", "reconciler", "phase_watch", "start_watch", "erasure_watch", "sale_history",
          "campaign_search",
          "outbox_watch", "event_log", "event_removal", "webhooks", "webhook_leases", "webhook_purge", "audit_seal",
          "key_watch", "void_removal"
        ])
        expect(states().map(({ lastFailure }) => lastFailure)).toEqual(states().map(() => undefined))
        expect(calls).toBeGreaterThan(100)
      }))
      const before = calls
      yield* TestClock.adjust("1 hour")
      expect(calls).toBe(before)
    }))

  it.scoped("reconcile every known campaign when the gate's connection was replaced", () =>
    Effect.gen(function*() {
      const world = Layer.provide(Agents.layer, nouns).pipe(
        Layer.provide(counted(() => {}, Stream.concat(Stream.fromEffect(Effect.sleep("5 seconds")), Stream.never)))
      )
      const { states } = Context.get(yield* Layer.build(world), Agents.Agents)
      const ranAt = () => states().find(({ name }) => name === "reconnect_reconciler")?.lastRunAt
      yield* TestClock.adjust("4 seconds")
      expect(ranAt()).toBeUndefined()
      yield* TestClock.adjust("1 second")
      expect(ranAt()).toBe(5_000)
    }))
})

describe("an agent that runs", () => {
  const agent = (runOnce: Effect.Effect<unknown, LedgerUnavailable>): Agent.Agent<LedgerUnavailable> => ({
    name: "tested", title: "the tested agent", runOnce, every: Duration.seconds(10)
  })
  const exposed = (metric: string): number => {
    const line = Exposition.expose().split("\n").find((one) => one.startsWith(`${metric}{agent="tested"`))
    return Number(line?.split(" ").at(-1))
  }

  it.scoped("shows its last run, its last failure and for how long a successful run has been due", () =>
    Effect.gen(function*() {
      let isDown = false
      const state = yield* Agent.run(agent(Effect.suspend(() =>
        isDown ? new LedgerUnavailable({ cause: new Error("no route"), isOutage: true }) : Effect.void)))
      yield* TestClock.adjust("5 seconds")
      expect(state()).toEqual({ name: "tested", lastRunAt: 0, lastFailure: undefined, lagMillis: 0 })
      isDown = true
      yield* TestClock.adjust("8 seconds")
      const { lagMillis, lastFailure, lastRunAt } = state()
      expect([lastRunAt, lagMillis, lastFailure?.message]).toEqual([0, 3_000, "no route"])
      expect(lastFailure?.at).toBeGreaterThan(10_000)
      expect(exposed("coupon_agent_lag_seconds")).toBe(3)
      expect(exposed("coupon_agent_last_failure_timestamp_seconds")).toBe(lastFailure!.at / 1_000)
      isDown = false
      yield* TestClock.adjust("2 seconds")
      expect(state().lastRunAt).toBeGreaterThan(13_000)
      expect(state().lagMillis).toBe(0)
      expect(exposed("coupon_agent_last_run_timestamp_seconds")).toBe(state().lastRunAt! / 1_000)
      expect(exposed("coupon_agent_lag_seconds")).toBe(0)
    }))

  it.scoped("is late while one run takes long", () =>
    Effect.gen(function*() {
      const state = yield* Agent.run(agent(Effect.never))
      yield* TestClock.adjust("30 seconds")
      expect(state()).toMatchObject({ lastRunAt: undefined, lagMillis: 30_000 })
    }))
})
