import { layer as withLayer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import { beforeEach, expect, vi } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import type { CampaignStore } from "../../src/ports/CampaignStore.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import { Outbox, type OutboxEvent } from "../../src/ports/Outbox.ts"
import { batchId, batchOf, campaigns, createCampaign, draft, users } from "./ledger.exercise.ts"

const settleAll = (events: ReadonlyArray<OutboxEvent>) => Effect.succeed(events.map((event) => event.id))

const drain = Effect.flatMap(Outbox, (outbox) => outbox.poll(1_000, settleAll))

/** The `Outbox` port's semantics, on whichever store the layer provides. */
export const exercise = <E>(name: string, layer: Layer.Layer<CampaignStore | Ledger | Outbox, E>): void =>
  withLayer(layer, { excludeTestServices: true, timeout: "240 seconds" })(name, (it) => {
    it.effect("has nothing to tell before anything is issued", () =>
      Effect.gen(function*() {
        yield* drain
        const outbox = yield* Outbox
        const { campaignId } = yield* (createCampaign(draft()))
        const unused = Effect.dieMessage("there is nothing to publish")
        expect(yield* outbox.poll(10, () => unused)).toMatchObject({ taken: 0, settled: 0 })
        expect(yield* outbox.backlog).toEqual({ events: 0, oldestAgeMillis: 0 })
        // A batch that issues nothing says nothing.
        yield* Effect.flatMap(Ledger, (ledger) => ledger.issue(batchOf(campaignId + 1_000, [1])))
        expect(yield* outbox.poll(10, () => unused)).toMatchObject({ taken: 0, settled: 0 })
      }))

    it.effect("leaves the events of some campaigns for later, however many they are", () =>
      Effect.gen(function*() {
        yield* drain
        const ledger = yield* Ledger
        const outbox = yield* Outbox
        const ids: Array<number> = []
        for (let k = 0; k < 3; k++) ids.push((yield* createCampaign(draft())).campaignId)
        const [a, b, c] = ids as [number, number, number]
        const batches = [batchOf(a, [1]), batchOf(a, [2]), batchOf(a, [3]), batchOf(b, [1]), batchOf(c, [1])]
        yield* Effect.forEach(batches, (batch) => ledger.issue(batch))
        expect(yield* outbox.poll(2, settleAll, [a, b])).toMatchObject({ taken: 1, settled: 1 })
        expect(yield* outbox.poll(2, settleAll, [a])).toMatchObject({ taken: 1, settled: 1 })
        expect(yield* outbox.poll(2, settleAll, [a])).toMatchObject({ taken: 0, settled: 0 })
        expect(yield* outbox.poll(10, settleAll)).toMatchObject({ taken: 3, settled: 3 })
      }))

    it.effect("hands out the coupons of each batch until they are settled", () =>
      Effect.gen(function*() {
        yield* drain
        const ledger = yield* Ledger
        const outbox = yield* Outbox
        const a = (yield* createCampaign(draft())).campaignId
        const b = (yield* createCampaign(draft())).campaignId
        const batches = [
          batchOf(a, users(1, 3)),
          batchOf(b, users(1, 2)),
          batchOf(a, users(2, 4)),
          batchOf(a, users(1, 4))
        ]
        yield* Effect.forEach(batches, (batch) => ledger.issue(batch))
        expect((yield* outbox.backlog).events).toBe(3)
        expect((yield* outbox.backlogOf(a)).events).toBe(2)
        expect((yield* outbox.backlogOf(b)).events).toBe(1)
        expect(yield* outbox.backlogOf(2_000_000_000)).toEqual({ events: 0, oldestAgeMillis: 0 })
        const seen: Array<OutboxEvent> = []
        const keep = (events: ReadonlyArray<OutboxEvent>) => Effect.sync(() => void seen.push(...events))
        expect(yield* outbox.poll(10, (events) => Effect.as(keep(events), [batches[0]!.batchId]))).toMatchObject({
          taken: 3,
          settled: 1
        })
        const byId = new Map(seen.map((event) => [event.id, event]))
        expect(byId.get(batches[0]!.batchId)).toEqual({
          _tag: "Issued", id: batches[0]!.batchId, campaignId: a, coupons: yield* ledger.findCoupons(a, users(1, 3))
        })
        expect(byId.get(batches[1]!.batchId))
          .toMatchObject({ campaignId: b, coupons: [{ id: 1, userId: 1n }, { id: 2, userId: 2n }] })
        expect(byId.get(batches[2]!.batchId))
          .toMatchObject({ campaignId: a, coupons: [{ id: 4, userId: 4n }, { id: 5, userId: 5n }] })
        expect(yield* ledger.tally(a)).toEqual({ issued: 5, unrelayed: 2, version: 1 })
        expect(yield* outbox.poll(1, settleAll)).toMatchObject({ taken: 1, settled: 1 })
        expect(yield* outbox.poll(10, () => Effect.succeed([]))).toMatchObject({ taken: 1, settled: 0 })
        expect(yield* drain).toMatchObject({ taken: 1, settled: 1 })
        expect(yield* ledger.tally(a)).toEqual({ issued: 5, unrelayed: 0, version: 1 })
      }))

    it.effect("keeps every event when publishing fails, dies or is interrupted", () =>
      Effect.gen(function*() {
        yield* drain
        const ledger = yield* Ledger
        const outbox = yield* Outbox
        const { campaignId } = yield* createCampaign(draft())
        yield* ledger.issue(batchOf(campaignId, [1]))
        expect(yield* Effect.flip(outbox.poll(10, () => Effect.fail("no gate")))).toBe("no gate")
        expect((yield* Effect.exit(outbox.poll(10, () => Effect.dieMessage("a bug"))))._tag).toBe("Failure")
        const entered = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(
          outbox.poll(10, () => Effect.zipRight(Deferred.succeed(entered, undefined), Effect.never))
        )
        yield* Deferred.await(entered)
        yield* Fiber.interrupt(fiber)
        expect((yield* outbox.backlog).events).toBe(1)
        expect(yield* drain).toMatchObject({ taken: 1, settled: 1 })
        expect(yield* outbox.backlog).toEqual({ events: 0, oldestAgeMillis: 0 })
      }))

    it.effect("tells the terms of a changed campaign as they are at the poll", () =>
      Effect.gen(function*() {
        yield* drain
        const ledger = yield* Ledger
        const outbox = yield* Outbox
        const { campaignId, ...created } = yield* createCampaign(draft())
        const issued = batchOf(campaignId, [1])
        yield* ledger.issue(issued)
        const first = batchId()
        const to = { ...created, status: "PAUSED" as const }
        const change = { actor: named("test"), action: "campaign.update" }
        const from = { campaignId, ...created }
        const verdict = yield* campaigns.change({ ...change, changeId: first, from, to })
        const paused = (verdict as { readonly campaign: typeof from }).campaign
        yield* campaigns.change({ ...change, changeId: batchId(), from: paused, to: { ...to, couponLimit: 7 } })
        const seen: Array<OutboxEvent> = []
        expect(yield* outbox.poll(10, (events) => Effect.sync(() => {
          seen.push(...events)
          return events.map((event) => event.id)
        }))).toMatchObject({ taken: 3, settled: 3 })
        expect(seen.find((event) => event.id === issued.batchId)?._tag).toBe("Issued")
        expect(seen.find((event) => event.id === first)).toEqual({
          _tag: "Changed",
          id: first,
          campaignId,
          terms: {
            campaignId,
            version: 3,
            status: "PAUSED",
            couponLimit: 7,
            startTime: created.startTime,
            endTime: undefined
          }
        })
      }))

    it.effect("leaves VOID markers out, and purges the old ones", () =>
      Effect.gen(function*() {
        yield* drain
        const ledger = yield* Ledger
        const outbox = yield* Outbox
        const { campaignId } = yield* createCampaign(draft())
        // Markers of tests before this one, also of this very millisecond.
        const begun = Date.now()
        yield* Effect.promise(() => vi.waitUntil(() => Date.now() > begun, { interval: 1 }))
        yield* outbox.purgeVoid(0)
        const late = batchOf(campaignId, [1])
        yield* ledger.resolve(late)
        yield* ledger.resolve(batchOf(campaignId, [2]))
        yield* ledger.issue(batchOf(campaignId, [3]))
        expect((yield* outbox.backlog).events).toBe(1)
        expect(yield* outbox.purgeVoid(3_600_000)).toBe(0)
        expect((yield* Effect.flip(ledger.issue(late)))._tag).toBe("CommitInDoubt")
        // The clock may not have moved on since the second marker.
        yield* Effect.promise(() =>
          expect.poll(() => Effect.runPromise(Effect.map(outbox.purgeVoid(0), (n) => purged += n))).toBe(2)
        )
        expect(yield* drain).toMatchObject({ taken: 1, settled: 1 })
      }))

    let purged = 0
    beforeEach(() => {
      purged = 0
    })

    it.effect("never hands one event to two polls at a time", () =>
      Effect.gen(function*() {
        yield* drain
        const ledger = yield* Ledger
        const outbox = yield* Outbox
        const { campaignId } = yield* createCampaign(draft())
        const batches = Array.from({ length: 40 }, (_, i) => batchOf(campaignId, users(1 + i * 2, 2)))
        yield* Effect.forEach(batches, (batch) => ledger.issue(batch))
        const seen: Array<string> = []
        const publish = (events: ReadonlyArray<OutboxEvent>) =>
          Effect.zipRight(Effect.yieldNow(), Effect.sync(() => {
            const ids = events.map((event) => event.id)
            seen.push(...ids)
            return ids
          }))
        const untilEmpty: Effect.Effect<void, unknown> = Effect.flatMap(
          outbox.poll(3, publish),
          ({ taken }) => taken === 0 ? Effect.void : untilEmpty
        )
        yield* Effect.all([untilEmpty, untilEmpty, untilEmpty], { concurrency: 3 })
        yield* untilEmpty
        expect(seen.toSorted()).toEqual(batches.map((batch) => batch.batchId).toSorted())
      }))
  })
