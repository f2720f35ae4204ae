import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { CampaignId } from "../../domain/CampaignId.ts"
import { type CampaignEvent, EventLog } from "../../ports/EventLog.ts"
import type { LedgerUnavailable } from "../../ports/Ledger.ts"
import { coalesced, covering, type CoveringEvent } from "./CoveringEvent.ts"
import { EventNews } from "./EventNews.ts"
import * as ReaderTurns from "./ReaderTurns.ts"

/** One reader's view of a campaign's log. */
export interface EventTail {
  /** The last sequence that this instance has read. */
  readonly head: () => number
  /**
   * The next event after this sequence, waiting for one so long (`undefined`: none came); what has come together
   * meanwhile may be one event. Fails only while the reader is so far behind that the ledger is asked.
   */
  readonly next: (
    afterSequence: number,
    patience: Duration.Duration
  ) => Effect.Effect<CoveringEvent | undefined, LedgerUnavailable>
}

/**
 * The ends of the logs that are watched here. Each is read once for all of its readers. No reader has a buffer: it has
 * a sequence, and one that is slow gets the ranges that it missed as one.
 */
export class EventTails extends Context.Tag("coupon/agents/EventTails")<EventTails, {
  /**
   * Follows a log until the scope closes. For `issuedInterval` after an event of coupons the reader gets no other one,
   * unless it has at most `FEW` of them; zero: at the pace of every reader. Other events never wait for it.
   */
  readonly open: (
    campaignId: CampaignId,
    issuedInterval: Duration.Duration
  ) => Effect.Effect<EventTail, LedgerUnavailable, Scope.Scope>
}>() {}

/** How long an event of another instance may go unnoticed: one statement for all logs that are watched. */
const POLL = Duration.millis(250)

/**
 * After a read of logs nothing is read for so long: a fast sale appends a hundred times a second. The longer one is for
 * the time in which every reader has an interval.
 */
const REST = Duration.millis(50)
const LONG_REST = Duration.millis(250)

/**
 * Events of a log that are kept for its readers: so many, and of a busy one those of so long, by the ledger's clock,
 * which is longer than the longest interval of a reader, and than a thousand readers wait for their turns after it.
 * Readers behind them ask the ledger, so many at a time.
 */
const KEPT = 512
const KEPT_MILLIS = 90_000
const PAGE = 512
const READS = 4

/** A reader that has got all there is gets what comes next no sooner than this. */
const PACE_MILLIS = 500

/** So many coupons wait for no interval: what a slow sale has at each pace costs nothing beside claims. */
const FEW = 5

interface Tail {
  /** In the order of their sequences, which are those up to `head`. */
  readonly events: Array<CampaignEvent>
  head: number
  /** Events from this sequence on are ranges of coupons. */
  rangesFrom: number
  readers: number
  /** There may be more in the ledger. */
  dirty: boolean
  /** Called after each move. */
  readonly waiting: Set<() => void>
}

export const make = Effect.gen(function*() {
  const log = yield* EventLog
  const news = yield* EventNews
  const scope = yield* Effect.scope
  const reads = yield* Effect.makeSemaphore(READS)
  const wakes = yield* Queue.sliding<void>(1)
  const turns = ReaderTurns.make()
  const tails = new Map<CampaignId, Tail>()
  /** Readers without an interval, of all tails. */
  let impatient = 0

  yield* news.listen((campaignIds) => {
    let isWatched = false
    for (const campaignId of campaignIds) {
      const tail = tails.get(campaignId)
      if (tail === undefined) continue
      tail.dirty = true
      isWatched = true
    }
    if (isWatched) Queue.unsafeOffer(wakes, undefined)
  })

  const advance = (campaignId: CampaignId, tail: Tail): Effect.Effect<void, LedgerUnavailable> =>
    Effect.gen(function*() {
      tail.dirty = false
      const events = yield* Effect.onError(log.read(campaignId, tail.head, PAGE), () =>
        Effect.sync(() => void (tail.dirty = true)))
      if (events.length === 0) return
      tail.events.push(...events)
      const last = events.at(-1)!
      tail.head = last.sequence
      for (const { sequence, type } of events) if (type !== "coupon.issued") tail.rangesFrom = sequence + 1
      const tooOld = tail.events.findIndex(({ at }) => at > last.at - KEPT_MILLIS)
      tail.events.splice(0, Math.min(tooOld, Math.max(0, tail.events.length - KEPT)))
      for (const look of [...tail.waiting]) look()
      if (events.length === PAGE) yield* advance(campaignId, tail)
    })

  const look = Effect.gen(function*() {
    const heads = yield* log.heads([...tails.keys()].slice(0, 2_000))
    for (const { campaignId, sequence } of heads) {
      const tail = tails.get(campaignId)
      if (tail !== undefined && tail.head < sequence) tail.dirty = true
    }
  })

  const step = Effect.gen(function*() {
    const hasNews = [...tails.values()].some(({ dirty }) => dirty)
    if (!hasNews) yield* look
    yield* Effect.forEach(
      [...tails].filter(([, { dirty }]) => dirty),
      ([campaignId, tail]) => advance(campaignId, tail),
      { concurrency: READS, discard: true }
    )
    return hasNews
  })

  /** Follows the logs for as long as one of them is watched. The connection logs that the ledger is away. */
  let isFollowing = false
  const follow: Effect.Effect<void> = Effect.suspend(() => {
    if (tails.size === 0) {
      isFollowing = false
      return Effect.void
    }
    const pause = (hasNews: boolean) =>
      Effect.zipRight(
        Effect.suspend(() => Effect.sleep(hasNews && impatient === 0 ? LONG_REST : REST)),
        Effect.raceFirst(Queue.take(wakes), Effect.sleep(POLL))
      )
    return Effect.zipRight(Effect.flatMap(Effect.orElseSucceed(step, () => false), pause), follow)
  })

  /** Heads that are being read. A thousand readers that come together cause one read, not one each. */
  const heads = new Map<CampaignId, Deferred.Deferred<number, LedgerUnavailable>>()
  const headOf = (campaignId: CampaignId): Effect.Effect<number, LedgerUnavailable> =>
    Effect.suspend(() => {
      const known = heads.get(campaignId)
      if (known !== undefined) return Deferred.await(known)
      const head = Deferred.unsafeMake<number, LedgerUnavailable>(FiberId.none)
      heads.set(campaignId, head)
      return Effect.onExit(log.head(campaignId), (exit) => {
        heads.delete(campaignId)
        return Deferred.done(head, exit)
      })
    })

  const join = (campaignId: CampaignId, isImpatient: boolean) =>
    Effect.gen(function*() {
      const head = tails.has(campaignId) ? 0 : yield* headOf(campaignId)
      const known = tails.get(campaignId)
      const tail = known ??
        { events: [], head, rangesFrom: head + 1, readers: 0, dirty: false, waiting: new Set() }
      tail.readers++
      if (isImpatient) impatient++
      tails.set(campaignId, tail)
      if (!isFollowing) {
        isFollowing = true
        // Who joins may not be interrupted; this fiber may.
        yield* Effect.forkIn(Effect.interruptible(follow), scope)
      }
      return tail
    })

  const leave = (campaignId: CampaignId, tail: Tail, isImpatient: boolean) =>
    Effect.sync(() => {
      if (isImpatient) impatient--
      if (--tail.readers === 0) tails.delete(campaignId)
    })

  /** Waits until this holds, which is looked at now and after each move of the tail. */
  const until = ({ waiting }: Tail, holds: () => boolean) =>
    Effect.async<void>((resume) => {
      const look = () => {
        if (!holds()) return
        waiting.delete(look)
        resume(Effect.void)
      }
      waiting.add(look)
      look()
      return Effect.sync(() => void waiting.delete(look))
    })

  /** The next event after a sequence that `head` is beyond; `undefined`: it is not kept. */
  const kept = ({ events, rangesFrom }: Tail, afterSequence: number): CoveringEvent | undefined => {
    // A log has no gaps.
    const place = afterSequence + 1 - (events[0]?.sequence ?? Infinity)
    const event = events[place]
    if (event === undefined) return undefined
    return event.sequence >= rangesFrom ? covering(event, events.at(-1)!) : coalesced(events, place)
  }

  /** What has come after a sequence is coupons alone, and more than a few. */
  const isMany = (tail: Tail, afterSequence: number): boolean => {
    if (afterSequence + 1 < tail.rangesFrom) return false
    const event = kept(tail, afterSequence)
    return event !== undefined && event.lastNumber - event.firstNumber >= FEW
  }

  const fromLedger = (campaignId: CampaignId, afterSequence: number) =>
    Effect.map(reads.withPermits(1)(log.read(campaignId, afterSequence, PAGE)), (events) =>
      events.length === 0 ? undefined : coalesced(events))

  const nextOf = (campaignId: CampaignId, tail: Tail, intervalMillis: number): EventTail["next"] => {
    let notBefore = 0
    let manyNotBefore = 0
    const next: EventTail["next"] = (afterSequence, patience) =>
      Effect.gen(function*() {
        const pause = Math.max(0, notBefore - (yield* Clock.currentTimeMillis))
        if (pause > 0) yield* Effect.sleep(pause)
        // A reader that comes from another instance may be ahead of the tail, also when that moves.
        const hasCome = () => tail.head > afterSequence
        const interval = manyNotBefore - (yield* Clock.currentTimeMillis)
        const isDue = interval <= 0 ? hasCome : () => hasCome() && !isMany(tail, afterSequence)
        if (!isDue()) {
          const due = interval <= 0
            ? until(tail, isDue)
            : Effect.raceFirst(until(tail, isDue), Effect.zipRight(Effect.sleep(interval), until(tail, hasCome)))
          const came = yield* Effect.timeoutOption(due, Duration.millis(Duration.toMillis(patience) - pause))
          if (Option.isNone(came)) return undefined
        }
        yield* turns.next
        const event = kept(tail, afterSequence) ?? (yield* fromLedger(campaignId, afterSequence))
        // Retention has removed what was there.
        if (event === undefined) return yield* next(Math.max(afterSequence, tail.head), patience)
        const takenAt = yield* Clock.currentTimeMillis
        if (event.sequence >= tail.head) notBefore = takenAt + PACE_MILLIS
        if (event.type === "coupon.issued") manyNotBefore = takenAt + intervalMillis
        return event
      })
    return next
  }

  return EventTails.of({
    open: (campaignId, issuedInterval) => {
      const intervalMillis = Duration.toMillis(issuedInterval)
      const isImpatient = intervalMillis === 0
      return Effect.map(
        Effect.acquireRelease(join(campaignId, isImpatient), (tail) => leave(campaignId, tail, isImpatient)),
        (tail) => ({ head: () => tail.head, next: nextOf(campaignId, tail, intervalMillis) })
      )
    }
  })
})

export const layer: Layer.Layer<EventTails, never, EventLog | EventNews> = Layer.scoped(EventTails, make)
