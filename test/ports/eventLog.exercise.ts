import { layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { expect } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import { type CampaignSettings, settingsOf } from "../../src/domain/Campaign.ts"
import type { CampaignStore } from "../../src/ports/CampaignStore.ts"
import { type CampaignEvent, EventLog } from "../../src/ports/EventLog.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import { Outbox, type OutboxEvent } from "../../src/ports/Outbox.ts"
import { batchId, batchOf, campaigns, createCampaign, draft, users } from "./ledger.exercise.ts"

const settleAll = (events: ReadonlyArray<OutboxEvent>) => Effect.succeed(events.map((event) => event.id))

const drain = Effect.flatMap(Outbox, (outbox) => outbox.poll(1_000, settleAll))

const issue = (campaignId: number, first: number, count: number) =>
  Effect.flatMap(Ledger, (ledger) => ledger.issue(batchOf(campaignId, users(first, count))))

const change = (campaignId: number, settings: Partial<CampaignSettings>) =>
  Effect.gen(function*() {
    const from = (yield* campaigns.find(campaignId))!
    const to = { ...settingsOf(from), ...settings }
    const verdict = yield* campaigns.change({
      changeId: batchId(),
      actor: named("test"),
      action: "campaign.update",
      from,
      to
    })
    expect(verdict._tag).toBe("Changed")
  })

const all = (campaignId: number) => Effect.flatMap(EventLog, (log) => log.read(campaignId, 0, 10_000))

/** What an event says, in short: `coupon.issued 1-3`, `campaign.updated v2`. */
const brief = ({ firstNumber, lastNumber, payload, type }: CampaignEvent): string =>
  type === "coupon.issued" ? `${type} ${firstNumber}-${lastNumber}` : `${type} v${String(payload.version)}`

/** The log has these coupons once each, in order, and sequences without a gap. */
export const expectWhole = (events: ReadonlyArray<CampaignEvent>, issued: number): void => {
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1))
  let last = 0
  for (const { firstNumber, lastNumber, type } of events) {
    if (type !== "coupon.issued") expect([firstNumber, lastNumber]).toEqual([0, 0])
    else {
      expect(firstNumber).toBe(last + 1)
      expect(lastNumber).toBeGreaterThanOrEqual(firstNumber)
      last = lastNumber
    }
  }
  expect(last).toBe(issued)
}

/** The `EventLog` port's semantics, and what `Outbox.poll` appends, on whichever store the layer provides. */
export const exercise = <E>(name: string, layer: Layer.Layer<CampaignStore | EventLog | Ledger | Outbox, E>): void =>
  withLayer(layer, { excludeTestServices: true, timeout: "240 seconds" })(name, (it) => {
    it.effect("begins with the creation of the campaign", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        const { campaignId, createdAt } = yield* createCampaign(draft({ name: "여름 '할인' \\ \"쿠폰\" 🎟️" }))
        expect(yield* all(campaignId)).toEqual([{
          campaignId,
          sequence: 1,
          type: "campaign.created",
          firstNumber: 0,
          lastNumber: 0,
          payload: {
            version: 1,
            name: "여름 '할인' \\ \"쿠폰\" 🎟️",
            couponLimit: 1_000,
            status: "ACTIVE",
            startTime: "2025-06-25T00:00:00Z",
            endTime: null
          },
          at: createdAt
        }])
        expect(yield* log.head(campaignId)).toBe(1)
        expect(yield* log.read(campaignId, 1, 10)).toEqual([])
        expect(yield* log.head(2_147_483_647)).toBe(0)
        expect(yield* log.read(2_147_483_647, 0, 10)).toEqual([])
      }))

    it.effect("gets the coupons as ranges when the relay settles them, and says whose logs moved", () =>
      Effect.gen(function*() {
        yield* drain
        const log = yield* EventLog
        const a = (yield* createCampaign(draft())).campaignId
        const b = (yield* createCampaign(draft())).campaignId
        yield* issue(a, 1, 3)
        yield* issue(b, 1, 2)
        yield* issue(a, 4, 2)
        expect((yield* drain).appended.toSorted((x, y) => x - y)).toEqual([a, b])
        expect((yield* all(a)).map(brief)).toEqual(["campaign.created v1", "coupon.issued 1-5"])
        expect((yield* all(b)).map(brief)).toEqual(["campaign.created v1", "coupon.issued 1-2"])
        const [last] = yield* Effect.flatMap(Ledger, (ledger) => ledger.listCoupons(a, 4, 1))
        expect((yield* all(a))[1]).toMatchObject({ sequence: 2, payload: {}, at: last!.issuedAt })
        yield* issue(a, 6, 1)
        expect(yield* drain).toEqual({ taken: 1, settled: 1, appended: [a] })
        expect((yield* log.read(a, 2, 10)).map(brief)).toEqual(["coupon.issued 6-6"])
        expect((yield* log.read(a, 0, 2)).map(({ sequence }) => sequence)).toEqual([1, 2])
        expect((yield* log.heads([a, b, 2_147_483_647])).toSorted((x, y) => x.campaignId - y.campaignId))
          .toMatchObject([{ campaignId: a, sequence: 3 }, { campaignId: b, sequence: 2 }])
        const moved = (yield* log.heads([a]))[0]!.movedAt
        expect((yield* log.movedSince(moved, 1_000)).filter(({ campaignId }) => campaignId === a))
          .toEqual([{ campaignId: a, sequence: 3, movedAt: moved }])
        expect((yield* log.movedSince(moved + 60_000, 1_000))).toEqual([])
      }))

    it.effect("has changes at their places among the coupons, and says what they changed", () =>
      Effect.gen(function*() {
        yield* drain
        const { campaignId } = yield* createCampaign(draft({ name: "a" }))
        yield* issue(campaignId, 1, 2)
        yield* change(campaignId, { name: "b" })
        yield* issue(campaignId, 3, 1)
        yield* change(campaignId, { status: "PAUSED" })
        yield* change(campaignId, { status: "ACTIVE", couponLimit: 3 })
        yield* change(campaignId, { couponLimit: 5 })
        yield* issue(campaignId, 4, 9)
        yield* change(campaignId, { status: "ENDED" })
        yield* drain
        const events = yield* all(campaignId)
        expect(events.map(brief)).toEqual([
          "campaign.created v1", "coupon.issued 1-2", "campaign.updated v2", "coupon.issued 3-3", "campaign.paused v3",
          "campaign.resumed v4", "campaign.sold_out v4", "campaign.updated v5", "coupon.issued 4-5",
          "campaign.sold_out v5", "campaign.ended v6"
        ])
        expectWhole(events, 5)
        expect(events[2]!.payload).toEqual({
          version: 2,
          name: "b",
          couponLimit: 1_000,
          status: "ACTIVE",
          startTime: "2025-06-25T00:00:00Z",
          endTime: null,
          changed: ["name"],
          previous: { name: "a" }
        })
        expect(events[5]!.payload).toMatchObject({
          changed: ["couponLimit", "status"],
          previous: { couponLimit: 1_000, status: "PAUSED" }
        })
        expect(events[9]!.payload).toEqual({ version: 5, couponLimit: 5 })
        expect(events.map(({ at }) => at)).toEqual(events.map(({ at }) => at).toSorted((x, y) => x - y))
        expect((yield* drain).appended).toEqual([])
        expect(yield* all(campaignId)).toEqual(events)
      }))

    it.effect("goes on while a gate takes nothing, and has nothing twice when it does", () =>
      Effect.gen(function*() {
        yield* drain
        const log = yield* EventLog
        const outbox = yield* Outbox
        const a = (yield* createCampaign(draft())).campaignId
        const b = (yield* createCampaign(draft())).campaignId
        yield* issue(a, 1, 3)
        yield* issue(b, 1, 1)
        yield* change(a, { name: "b" })
        const none = () => Effect.succeed<ReadonlyArray<string>>([])
        expect(yield* outbox.poll(10, none, [b])).toMatchObject({ taken: 2, settled: 0 })
        expect((yield* all(a)).map(brief)).toEqual(["campaign.created v1", "coupon.issued 1-3", "campaign.updated v2"])
        // Those that the poll was to leave out have their events, too.
        expect((yield* all(b)).map(brief)).toEqual(["campaign.created v1", "coupon.issued 1-1"])
        yield* issue(a, 4, 2)
        expect(yield* log.append([a, b])).toEqual([a])
        expect(yield* log.append([a, b])).toEqual([])
        expect(yield* drain).toEqual({ taken: 4, settled: 4, appended: [] })
        const events = yield* all(a)
        expect(events.map(brief).at(-1)).toBe("coupon.issued 4-5")
        expectWhole(events, 5)
      }))

    it.effect("says what it lacks: coupons and changes, however they get into it", () =>
      Effect.gen(function*() {
        yield* drain
        const log = yield* EventLog
        const { campaignId } = yield* createCampaign(draft())
        yield* log.append([campaignId])
        const before = yield* log.lag
        yield* issue(campaignId, 1, 3)
        yield* Effect.sleep("20 millis")
        yield* issue(campaignId, 4, 1)
        yield* change(campaignId, { name: "another" })
        const lag = yield* log.lag
        expect(lag.commits).toBe(before.commits + 3)
        expect(lag.oldestAgeMillis).toBeGreaterThanOrEqual(15)
        // The outbox still has them.
        yield* log.append([campaignId])
        expect((yield* log.lag).commits).toBe(before.commits)
        yield* issue(campaignId, 5, 1)
        expect((yield* log.lag).commits).toBe(before.commits + 1)
        yield* drain
        expect((yield* log.lag).commits).toBe(before.commits)
        if (before.commits === 0) expect((yield* log.lag).oldestAgeMillis).toBe(0)
      }))

    it.effect("gets nothing from a poll that fails", () =>
      Effect.gen(function*() {
        yield* drain
        const outbox = yield* Outbox
        const { campaignId } = yield* createCampaign(draft())
        yield* issue(campaignId, 1, 3)
        expect(yield* Effect.flip(outbox.poll(10, () => Effect.fail("no gate")))).toBe("no gate")
        expect(yield* all(campaignId)).toHaveLength(1)
        yield* drain
        expectWhole(yield* all(campaignId), 3)
      }))

    it.effect("says once that the end has passed, after the last coupon and before what moves the end", () =>
      Effect.gen(function*() {
        yield* drain
        const log = yield* EventLog
        const endTime = Date.UTC(2025, 5, 26)
        const { campaignId } = yield* createCampaign(draft({ endTime }))
        expect((yield* log.lagging(campaignId - 1, 1)).campaignIds).toEqual([campaignId])
        expect(yield* log.append([campaignId])).toEqual([campaignId])
        expect((yield* log.lagging(campaignId - 1, 1)).campaignIds).toEqual([])
        expect(yield* log.append([campaignId])).toEqual([])
        expect((yield* all(campaignId))[1]).toMatchObject({
          type: "campaign.ended",
          payload: { version: 1, endTime: "2025-06-26T00:00:00Z" },
          at: endTime
        })
        yield* change(campaignId, { endTime: undefined })
        yield* issue(campaignId, 1, 2)
        // An end that has passed by the time of the next change, which no append has seen.
        yield* change(campaignId, { endTime })
        yield* change(campaignId, { name: "over as before" })
        yield* change(campaignId, { endTime: undefined })
        yield* issue(campaignId, 3, 1)
        yield* drain
        yield* log.append([campaignId])
        const events = yield* all(campaignId)
        expect(events.map(brief)).toEqual([
          "campaign.created v1", "campaign.ended v1", "campaign.updated v2", "coupon.issued 1-2", "campaign.updated v3",
          "campaign.ended v3", "campaign.updated v4", "campaign.updated v5", "coupon.issued 3-3"
        ])
        expectWhole(events, 3)
      }))

    it.effect("finds campaigns that lack something, page by page", () =>
      Effect.gen(function*() {
        yield* drain
        const log = yield* EventLog
        const ids: Array<number> = []
        for (let k = 0; k < 3; k++) ids.push((yield* createCampaign(draft())).campaignId)
        const [a, b, c] = ids as [number, number, number]
        yield* issue(c, 1, 1)
        expect(yield* log.lagging(a - 1, 2)).toEqual({ campaignIds: [], nextAfterId: b })
        expect(yield* log.lagging(b, 2)).toEqual({ campaignIds: [c], nextAfterId: undefined })
        yield* drain
        expect(yield* log.lagging(b, 2)).toEqual({ campaignIds: [], nextAfterId: undefined })
      }))

    it.effect("removes old events from the first on, and goes on counting", () =>
      Effect.gen(function*() {
        yield* drain
        const log = yield* EventLog
        const { campaignId } = yield* createCampaign(draft())
        yield* issue(campaignId, 1, 1)
        yield* drain
        const hour = 3_600_000
        const remove = (olderThanMillis: number, needed?: number, graceMillis = 0) =>
          log.remove({
            olderThanMillis,
            afterId: campaignId - 1,
            size: 10,
            neededAfter: (id) => Effect.succeed(id === campaignId ? needed : undefined),
            graceMillis
          })
        expect(yield* remove(hour)).toEqual({ removed: 0, nextAfterId: undefined })
        const removed = Effect.map(remove(-hour), (of) => of.removed)
        // What is needed stays until it is older by the grace.
        expect((yield* remove(-hour, 0, 2 * hour)).removed).toBe(0)
        expect((yield* remove(-hour, 1, 2 * hour)).removed).toBe(1)
        expect((yield* remove(-hour, 1, 2 * hour)).removed).toBe(0)
        expect(yield* all(campaignId)).toMatchObject([{ sequence: 2 }])
        expect((yield* remove(-2 * hour, 1, hour)).removed).toBe(1)
        yield* issue(campaignId, 2, 2)
        yield* drain
        expect(yield* removed).toBe(1)
        expect(yield* removed).toBe(0)
        expect(yield* all(campaignId)).toEqual([])
        expect(yield* log.head(campaignId)).toBe(3)
        yield* issue(campaignId, 4, 2)
        yield* drain
        expect(yield* all(campaignId)).toMatchObject([{ sequence: 4, firstNumber: 4, lastNumber: 5 }])
        expect(yield* removed).toBe(1)
      }))

    it.effect("has each coupon and change once, in order, while several relays work side by side", () =>
      Effect.gen(function*() {
        yield* drain
        const ledger = yield* Ledger
        const log = yield* EventLog
        const outbox = yield* Outbox
        const { campaignId } = yield* createCampaign(draft())
        let done = false
        let turn = 0
        // Some settle all, some a part, some fail, and some append without settling anything.
        const publish = (events: ReadonlyArray<OutboxEvent>) =>
          Effect.suspend(() => {
            const ids = events.map(({ id }) => id)
            turn++
            return Effect.zipRight(
              Effect.yieldNow(),
              turn % 5 === 0 ? Effect.fail("no gate") : Effect.succeed(turn % 3 === 0 ? ids.slice(1) : ids)
            )
          })
        const relay: Effect.Effect<void> = Effect.suspend(() => {
          if (done) return Effect.void
          const step: Effect.Effect<unknown, unknown> = turn % 4 === 1
            ? log.append([campaignId])
            : outbox.poll(3, publish)
          return Effect.zipRight(Effect.ignore(step), relay)
        })
        const work = Effect.gen(function*() {
          for (let k = 0; k < 30; k++) {
            yield* ledger.issue(batchOf(campaignId, users(1 + k * 2, 2)))
            if (k % 6 === 5) yield* change(campaignId, { name: `name ${k}` })
            yield* Effect.yieldNow()
          }
          done = true
        })
        yield* Effect.all([work, relay, relay, relay], { concurrency: 4 })
        while ((yield* drain).taken > 0);
        const events = yield* all(campaignId)
        expectWhole(events, 60)
        const changes = events.filter(({ type }) => type === "campaign.updated")
        expect(changes.map(({ payload }) => payload.version)).toEqual([2, 3, 4, 5, 6])
        // A change comes after the coupons of before it, and before those of after it.
        expect(changes.map(({ sequence }) => events[sequence - 2]!.lastNumber)).toEqual([12, 24, 36, 48, 60])
      }))
  })
