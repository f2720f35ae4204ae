import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import { AppConfig } from "../../config/AppConfig.ts"
import type { CampaignId } from "../../domain/Campaign.ts"
import type { Coupon } from "../../domain/Coupon.ts"
import * as OutboxMetrics from "../../metrics/OutboxMetrics.ts"
import { Gate } from "../../ports/Gate.ts"
import type { LedgerUnavailable } from "../../ports/Ledger.ts"
import { Outbox, type OutboxEvent } from "../../ports/Outbox.ts"
import * as CouponSinks from "./CouponSinks.ts"
import type { SinkUnavailable } from "./CouponSinks.ts"
import { EventNews } from "../events/EventNews.ts"
import { PhaseWatch } from "../PhaseWatch.ts"
import { SaleCounts } from "../sale/SaleCounts.ts"

/**
 * Polls the outbox, hands the coupons to every sink (the last is the gate, which confirms the reservations), and
 * settles the events. At least once: an event is deleted only after every sink has it. The transaction that deletes
 * them appends to the campaigns' logs what these lack, once.
 */
export class OutboxRelay extends Context.Tag("coupon/issuance/OutboxRelay")<OutboxRelay, {
  /** Asks for a poll soon: this instance has committed an event. */
  readonly wake: Effect.Effect<void>
  /**
   * One poll. Returns how many events were taken and settled. Instances poll side by side; one instance's polls queue.
   */
  readonly runOnce: Effect.Effect<
    { readonly taken: number; readonly settled: number },
    LedgerUnavailable | SinkUnavailable
  >
  /** Polls until a poll is not full. A full one means that more is waiting. */
  readonly drain: Effect.Effect<void, LedgerUnavailable | SinkUnavailable>
  /** Completes soon after the next `wake`: commits of the same 40 ms share a poll. One fiber waits at a time. */
  readonly woken: Effect.Effect<void>
  /** Polls until nothing more can be settled: the last thing before the stores are left. */
  readonly settle: Effect.Effect<void, LedgerUnavailable | SinkUnavailable>
}>() {}

/** Commits of this long share one poll: a poll costs a transaction and a flush of the log, whatever it finds. */
const GATHER = Duration.millis(40)

/** How long a campaign's events are left out after a sink did not take them, and of how many campaigns at most. */
const PUT_OFF_MILLIS = 1_000
const MAX_PUT_OFF = 1_000

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const gate = yield* Gate
  const handOver = yield* CouponSinks.make
  const outbox = yield* Outbox
  const phases = yield* PhaseWatch
  const news = yield* EventNews
  const sales = yield* SaleCounts
  const wakes = yield* Queue.sliding<void>(1)

  /** Coupons that the poll under way has handed over, by campaign. One that is taken back hands them over again. */
  const handed = new Map<CampaignId, number>()

  /** Publishes the events of one campaign; returns their ids. */
  const publishOf = (campaignId: CampaignId, events: ReadonlyArray<OutboxEvent>) =>
    Effect.gen(function*() {
      phases.touch(campaignId)
      const coupons: Array<Coupon> = []
      for (const event of events) {
        if (event._tag === "Changed") yield* gate.configure(event.terms)
        else for (const coupon of event.coupons) coupons.push(coupon)
      }
      if (coupons.length > 0) {
        yield* handOver(campaignId, coupons)
        OutboxMetrics.delivered.add(coupons.length)
        handed.set(campaignId, coupons.length)
      }
      return events.map((event) => event.id)
    })

  /** Campaigns whose events a sink did not take, and until when the relay leaves them out. */
  const putOff = new Map<CampaignId, { readonly until: number; readonly failure: SinkUnavailable }>()

  const publish = (events: ReadonlyArray<OutboxEvent>) =>
    Effect.gen(function*() {
      handed.clear()
      const campaigns = [...Map.groupBy(events, ({ campaignId }) => campaignId)]
      const ended = yield* Effect.forEach(
        campaigns,
        ([campaignId, own]) => Effect.either(publishOf(campaignId, own)),
        { concurrency: 4 }
      )
      const until = performance.now() + PUT_OFF_MILLIS
      return ended.flatMap((settled, k) => {
        if (Either.isRight(settled)) return settled.right
        if (putOff.size >= MAX_PUT_OFF) putOff.clear()
        putOff.set(campaigns[k]![0], { until, failure: settled.left })
        return []
      })
    })

  // A campaign whose gate cannot be written (a node of a cluster is away, a key has another type) keeps its events. It
  // does not delay those of others, which would hold their slots meanwhile. With nothing else to publish, the poll
  // fails.
  const poll = Effect.suspend(() => {
    const now = performance.now()
    for (const [campaignId, { until }] of putOff) if (until <= now) putOff.delete(campaignId)
    handed.clear()
    return Effect.tap(outbox.poll(config.relayBatchSize, publish, [...putOff.keys()]), ({ appended, settled }) => {
      news.publish(appended)
      for (const [campaignId, coupons] of handed) sales.add(campaignId, "delivered", coupons)
      const [first] = putOff.values()
      return settled === 0 && first !== undefined ? first.failure : Effect.void
    })
  })

  // One poll at a time: `settle` would pass over the events that the agent's poll holds, and find nothing left to do.
  const one = yield* Effect.makeSemaphore(1)
  const runOnce = one.withPermits(1)(poll)

  const settle: Effect.Effect<void, LedgerUnavailable | SinkUnavailable> = Effect.suspend(() =>
    Effect.flatMap(runOnce, ({ settled }) => settled > 0 ? settle : Effect.void)
  )

  return OutboxRelay.of({
    wake: Effect.asVoid(Queue.offer(wakes, undefined)),
    runOnce,
    drain: Effect.asVoid(Effect.repeat(runOnce, { while: ({ taken }) => taken >= config.relayBatchSize })),
    woken: Effect.zipRight(Queue.take(wakes), Effect.sleep(GATHER)),
    settle
  })
})

export const layer = Layer.effect(OutboxRelay, make)
