import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as EventNews from "../../src/agents/events/EventNews.ts"
import * as EventTails from "../../src/agents/events/EventTails.ts"
import * as CampaignEvents from "../../src/campaigns/CampaignEvents.ts"
import * as CampaignReads from "../../src/campaigns/CampaignReads.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { CampaignStore } from "../../src/ports/CampaignStore.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import { makeRandom } from "../faults/Random.ts"
import { batchOf, users } from "../ports/ledger.exercise.ts"
import { inLongProfile } from "../support/profile.ts"
import * as TestLedger from "./TestLedger.ts"

const WATCHES = inLongProfile(1_000, 200)
const VISITS = inLongProfile(30, 12)

/** Two instances on one ledger, each with tails and news of its own. */
const world = Layer.provideMerge(TestLedger.layer, AppConfig.layerTest({ MAX_WATCHERS: "3" }))

const instance = Layer.provide(CampaignEvents.layer, Layer.merge(EventTails.layer, CampaignReads.layer)).pipe(
  Layer.provideMerge(EventNews.layer)
)

const instances = Effect.gen(function*() {
  const build = Layer.build(Layer.fresh(instance))
  return [yield* build, yield* build] as const
})

type Next = Effect.Effect.Success<ReturnType<CampaignEvents.CampaignEvents["Type"]["watch"]>>

/** Issues, and appends to the log as another instance would. */
const issue = (campaignId: number, first: number, count: number) =>
  Effect.gen(function*() {
    yield* Effect.flatMap(Ledger, (ledger) => ledger.issue(batchOf(campaignId, users(first, count))))
    yield* Effect.flatMap(EventLog, (log) => log.append([campaignId]))
  })

/** The next message, with as much time as it needs. */
const soon = (next: Next) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(next)
    yield* TestClock.adjust("1 second")
    return yield* Fiber.join(fiber)
  })

const brief = (message: CampaignEvents.WatchMessage): string =>
  message._tag === "Event"
    ? `${message.event.firstSequence}-${message.event.sequence} ${message.event.type} ` +
      `${message.event.firstNumber}-${message.event.lastNumber}`
    : `${message._tag} ${message.sequence}`

describe("a watch of a campaign", () => {
  it.scoped("sends the campaign as it is, then what is appended here or elsewhere, and bookmarks", () =>
    Effect.gen(function*() {
      const [one] = yield* instances
      const { watch } = yield* Effect.provide(CampaignEvents.CampaignEvents, one)
      const { campaignId } = (yield* TestLedger.TestLedger).addCampaign()
      yield* issue(campaignId, 1, 3)
      const next = yield* watch(campaignId, undefined, 0)
      expect(yield* soon(next)).toMatchObject({ _tag: "Snapshot", sequence: 2, campaign: { issuedCount: 3 } })
      yield* issue(campaignId, 4, 2)
      expect(brief(yield* soon(next))).toBe("3-3 coupon.issued 4-5")
      const fiber = yield* Effect.fork(next)
      yield* TestClock.adjust("14 seconds")
      expect(fiber.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 second")
      expect(brief(yield* Fiber.join(fiber))).toBe("Bookmark 3")
      yield* issue(campaignId, 6, 1)
      expect(brief(yield* soon(next))).toBe("4-4 coupon.issued 6-6")
    }).pipe(Effect.provide(world)))

  it.scoped("sends all events after a sequence, and those that a slow reader missed as one", () =>
    Effect.gen(function*() {
      const [one] = yield* instances
      const { watch } = yield* Effect.provide(CampaignEvents.CampaignEvents, one)
      const control = yield* TestLedger.TestLedger
      const { campaignId } = control.addCampaign({ couponLimit: 1_000 })
      // More than are kept in the process.
      for (let k = 0; k < 700; k++) yield* issue(campaignId, 1 + k, 1)
      control.change(campaignId, { name: "b" })
      yield* issue(campaignId, 701, 1)
      const next = yield* watch(campaignId, 0n, 0)
      const messages: Array<string> = []
      for (let k = 0; k < 6; k++) messages.push(brief(yield* soon(next)))
      // The ledger is read a page at a time.
      expect(messages).toEqual([
        "Snapshot 703", "1-1 campaign.created 0-0", "2-513 coupon.issued 1-512", "514-701 coupon.issued 513-700",
        "702-702 campaign.updated 0-0", "703-703 coupon.issued 701-701"
      ])
    }).pipe(Effect.provide(world)))

  it.scoped("lets as many watch as MAX_WATCHERS, and forgets those that left", () =>
    Effect.gen(function*() {
      const [one] = yield* instances
      const { watch } = yield* Effect.provide(CampaignEvents.CampaignEvents, one)
      const { campaignId } = (yield* TestLedger.TestLedger).addCampaign()
      const scopes = yield* Effect.replicateEffect(Scope.make(), 3)
      for (const scope of scopes) yield* Scope.extend(watch(campaignId, undefined, 0), scope)
      expect(yield* Effect.flip(watch(campaignId, undefined, 0))).toMatchObject({ _tag: "Overloaded" })
      yield* Scope.close(scopes[0]!, Exit.void)
      yield* watch(campaignId, undefined, 0)
      expect(yield* Effect.flip(watch(campaignId, -1n, 0))).toMatchObject({ field: "afterSequence" })
      expect(yield* Effect.flip(watch(campaignId, 0n, 61))).toMatchObject({ field: "issuedIntervalSeconds" })
      for (const scope of scopes.slice(1)) yield* Scope.close(scope, Exit.void)
      expect(yield* Effect.flip(watch(2_147_483_647, undefined, 0))).toMatchObject({ _tag: "RecordNotFound" })
    }).pipe(Effect.provide(world)))

  it.scoped("opens many at once with few reads of the ledger, and each receives what comes", () =>
    Effect.gen(function*() {
      const control = yield* TestLedger.TestLedger
      const [log, store] = [yield* EventLog, yield* CampaignStore]
      const reads: Array<string> = []
      /** Counts a read, which has its answer in a later turn, as from a ledger over a network. */
      const counted = <A, E>(name: string, read: Effect.Effect<A, E>) =>
        Effect.suspend(() => {
          reads.push(name)
          return Effect.zipRight(Effect.promise(() => new Promise((resolve) => setImmediate(resolve))), read)
        })
      const own = instance.pipe(
        Layer.provide(Layer.succeed(EventLog, { ...log, head: (id) => counted("head", log.head(id)) })),
        Layer.provide(Layer.succeed(CampaignStore, { ...store, find: (id) => counted("find", store.find(id)) })),
        Layer.provide(AppConfig.layerTest({ MAX_WATCHERS: "1000" }))
      )
      const { watch } = yield* Effect.provide(CampaignEvents.CampaignEvents, yield* Layer.build(own))
      const { campaignId } = control.addCampaign()
      yield* issue(campaignId, 1, 1)
      const open = Effect.replicateEffect(watch(campaignId, undefined, 0), WATCHES, { concurrency: "unbounded" })

      control.down = true
      expect(yield* Effect.scoped(Effect.flip(open))).toMatchObject({ _tag: "Unavailable" })
      control.down = false
      reads.length = 0
      const all = yield* open
      expect(reads.filter((name) => name === "head")).toHaveLength(1)
      expect(reads.length).toBeLessThan(10)
      const first = yield* Effect.all(all)
      expect(new Set(first.map(brief))).toEqual(new Set(["Snapshot 2"]))
      yield* issue(campaignId, 2, 1)
      const messages = yield* Effect.forEach(all, (next) => Effect.fork(next))
      yield* TestClock.adjust("2 seconds")
      const events = yield* Effect.forEach(messages, Fiber.join)
      expect(new Set(events.map(brief))).toEqual(new Set(["3-3 coupon.issued 2-2"]))
    }).pipe(Effect.provide(world)))

  // E4.
  it.scoped("gives a reader that leaves at random each event once, by its sequence, at whichever instance", () =>
    Effect.gen(function*() {
      const seed = Math.floor(Math.random() * 2 ** 31)
      const random = makeRandom(seed)
      const both = yield* instances
      const log = yield* EventLog
      const { campaignId } = (yield* TestLedger.TestLedger).addCampaign({ couponLimit: 10_000 })
      let issued = 0
      let cursor = 0
      let last = 0
      const see = (message: CampaignEvents.WatchMessage) => {
        if (message._tag !== "Event") return
        const { firstNumber, firstSequence, lastNumber, sequence, type } = message.event
        expect({ seed, firstSequence }).toEqual({ seed, firstSequence: cursor + 1 })
        cursor = sequence
        if (type !== "coupon.issued") return
        expect({ seed, firstNumber }).toEqual({ seed, firstNumber: last + 1 })
        last = lastNumber
      }
      for (let visit = 0; visit < VISITS; visit++) {
        const at = random.pick(both)
        const { watch } = yield* Effect.provide(CampaignEvents.CampaignEvents, at)
        const scope = yield* Scope.make()
        const interval = random.pick([0, 1, CampaignEvents.MAX_ISSUED_INTERVAL_SECONDS])
        const next = yield* Scope.extend(watch(campaignId, BigInt(cursor), interval), scope)
        for (let k = random.integer(0, 4); k > 0; k--) {
          for (let batch = random.integer(0, 3); batch > 0; batch--) {
            const count = random.integer(1, 8)
            yield* issue(campaignId, issued + 1, count)
            issued += count
          }
          // Without an event it is a bookmark, for which it waits.
          const fiber = yield* Effect.fork(next)
          yield* TestClock.adjust(random.chance(0.5) ? "100 millis" : "16 seconds")
          if (fiber.unsafePoll() === null) yield* Fiber.interrupt(fiber)
          else see(yield* Fiber.join(fiber))
        }
        yield* Scope.close(scope, Exit.void)
      }
      const { watch } = yield* Effect.provide(CampaignEvents.CampaignEvents, both[0])
      const next = yield* watch(campaignId, BigInt(cursor), 0)
      while (cursor < (yield* log.head(campaignId))) see(yield* soon(next))
      expect({ seed, last }).toEqual({ seed, last: issued })
    }).pipe(Effect.provide(world)))
})
