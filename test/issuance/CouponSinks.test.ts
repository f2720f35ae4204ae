import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as EventNews from "../../src/agents/events/EventNews.ts"
import * as GateRebuilder from "../../src/agents/GateRebuilder.ts"
import * as KnownCampaigns from "../../src/agents/KnownCampaigns.ts"
import * as SaleCounts from "../../src/agents/sale/SaleCounts.ts"
import * as OutboxRelay from "../../src/agents/outbox/OutboxRelay.ts"
import * as PhaseWatch from "../../src/agents/PhaseWatch.ts"
import * as ReservationReaper from "../../src/agents/ReservationReaper.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import type { Coupon } from "../../src/domain/Coupon.ts"
import * as MemoryGate from "../../src/memory/MemoryGate.ts"
import { EventStream, EventStreamUnavailable } from "../../src/ports/EventStream.ts"
import { Gate } from "../../src/ports/Gate.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import { batchOf } from "../ports/ledger.exercise.ts"
import { termsOf } from "../ports/gate.exercise.ts"
import * as TestLedgerLayer from "./TestLedger.ts"
import { TestLedger } from "./TestLedger.ts"

/** The steps of stream and gate in their order, and whether the stream is away. */
interface Line {
  readonly steps: Array<string>
  away: boolean
}

const ids = (coupons: ReadonlyArray<Coupon>) => coupons.map(({ id }) => id).join(" ")

const until = <A, E, R>(effect: Effect.Effect<A, E, R>, condition: (a: A) => boolean) =>
  Effect.repeat(effect, { schedule: Schedule.spaced("20 millis"), until: condition })

const noted = (line: Line) =>
  Layer.effectContext(Effect.map(Gate, (gate) => {
    const note = (step: string) => Effect.sync(() => void line.steps.push(step))
    return Context.make(Gate, {
      ...gate,
      absent: (campaignId, coupons) =>
        Effect.map(gate.absent(campaignId, coupons), (found) => ({ ...found, mark: "seen" })),
      confirm: (campaignId, coupons, after) =>
        Effect.zipRight(note(`confirm ${ids(coupons)} after ${after}`), gate.confirm(campaignId, coupons)),
      hydrateChunk: (campaignId, token, cursor, coupons, after) =>
        Effect.zipRight(
          note(`add ${ids(coupons)} after ${after}`),
          gate.hydrateChunk(campaignId, token, cursor, coupons)
        )
    }).pipe(Context.add(EventStream, {
      isOn: true,
      publish: (_, coupons, after) =>
        Effect.suspend(() => {
          if (line.away) return new EventStreamUnavailable({ cause: "away" })
          const last = coupons.at(-1)
          if (last === undefined) return Effect.succeed(after)
          return Effect.as(note(`publish ${ids(coupons)} after ${after}`), `event ${last.id}`)
        })
    }))
  })).pipe(Layer.provide(MemoryGate.layer))

const world = (line: Line) =>
  Layer.mergeAll(GateRebuilder.layer, OutboxRelay.layer, ReservationReaper.layer).pipe(
    Layer.provideMerge(PhaseWatch.layer),
    Layer.provideMerge(Layer.mergeAll(KnownCampaigns.layer, EventNews.layer, SaleCounts.layer)),
    Layer.provideMerge(Layer.merge(noted(line), TestLedgerLayer.layer)),
    Layer.provideMerge(
      AppConfig.layerTest({ HYDRATE_PAGE_SIZE: "2", REQUEST_TIMEOUT: "400ms", RESERVATION_TIMEOUT: "500ms" })
    ),
    Layer.orDie
  )

const scene = Effect.all({
  gate: Gate,
  ledger: Ledger,
  rebuilder: GateRebuilder.GateRebuilder,
  reaper: ReservationReaper.ReservationReaper,
  relay: OutboxRelay.OutboxRelay,
  test: TestLedger
})

describe("the event stream, where it is on", () => {
  const play = <A, E>(
    body: (line: Line) => Effect.Effect<A, E, Layer.Layer.Success<ReturnType<typeof world>>>
  ) => {
    const line: Line = { steps: [], away: false }
    return Effect.provide(body(line), world(line))
  }

  it.scopedLive("has a coupon before the gate does, and both before the outbox forgets it", () =>
    play((line) =>
      Effect.gen(function*() {
        const { gate, ledger, relay, test } = yield* scene
        const { campaignId } = test.addCampaign()
        yield* ledger.issue(batchOf(campaignId, [1, 2]))
        line.away = true
        expect(yield* Effect.flip(relay.runOnce)).toBeInstanceOf(EventStreamUnavailable)
        expect(line.steps).toEqual([])
        expect(yield* gate.inspect(campaignId)).toMatchObject({ issued: 0 })
        line.away = false
        // Its campaign is left out for a second.
        yield* until(Effect.either(relay.runOnce), (poll) => Either.isRight(poll) && poll.right.settled > 0)
        expect(line.steps).toEqual(["publish 1 2 after undefined", "confirm 1 2 after event 2"])
        expect(yield* relay.runOnce).toMatchObject({ taken: 0, settled: 0 })
      })
    ))

  it.scopedLive("gets those of a rebuilt page that the set lacks, before the set gets them", () =>
    play((line) =>
      Effect.gen(function*() {
        const { gate, ledger, rebuilder, test } = yield* scene
        const { campaignId } = test.addCampaign()
        yield* ledger.issue(batchOf(campaignId, [1, 2, 3, 4, 5]))
        yield* gate.confirm(campaignId, test.coupons(campaignId).slice(1, 4))
        line.steps.length = 0
        expect(yield* rebuilder.runOnce(campaignId)).toBe("Ready")
        expect(line.steps).toEqual([
          "publish 1 after seen",
          "add 1 2 after event 1",
          "add 3 4 after seen",
          "publish 5 after seen",
          "add 5 after event 5"
        ])
      })
    ))

  it.scopedLive("that is away keeps a rebuild from adding users whose events nothing would publish", () =>
    play((line) =>
      Effect.gen(function*() {
        const { gate, ledger, rebuilder, test } = yield* scene
        const { campaignId } = test.addCampaign()
        yield* ledger.issue(batchOf(campaignId, [1, 2]))
        line.away = true
        expect(yield* Effect.flip(rebuilder.runOnce(campaignId))).toBeInstanceOf(EventStreamUnavailable)
        expect(yield* gate.inspect(campaignId)).toMatchObject({ hydrated: false, issued: 0 })
      })
    ))

  it.scopedLive("gets what the reaper confirms", () =>
    play((line) =>
      Effect.gen(function*() {
        const { gate, ledger, reaper, test } = yield* scene
        const { campaignId } = test.addCampaign()
        const terms = { ...termsOf(), campaignId }
        yield* gate.hydrateBegin(terms, "a", 1_000)
        yield* gate.hydrateEnd(campaignId, "a", 0)
        yield* gate.reserve(campaignId, [{ userId: 1n, nonce: "a" }, { userId: 2n, nonce: "b" }])
        yield* ledger.issue(batchOf(campaignId, [1]))
        yield* until(reaper.reap(campaignId), ({ confirmed, released }) => confirmed === 1 && released === 1)
        expect(line.steps).toEqual(["publish 1 after undefined", "confirm 1 after event 1"])
      })
    ))
})
