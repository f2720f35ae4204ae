import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { CoveringEvent } from "../agents/events/CoveringEvent.ts"
import { eventLogs } from "../agents/events/EventLogMetrics.ts"
import { EventTails } from "../agents/events/EventTails.ts"
import { AppConfig } from "../config/AppConfig.ts"
import type { Campaign, CampaignId } from "../domain/Campaign.ts"
import { InvalidArgument, Overloaded, type RecordNotFound, type Unavailable } from "../domain/Failure.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { type CampaignEvent, EventLog } from "../ports/EventLog.ts"
import * as CampaignReads from "./CampaignReads.ts"
import { storeDown } from "./StoreDown.ts"

export type { CoveringEvent }

/** What a watch sends. */
export type WatchMessage =
  /** The campaign as it is now, at the latest as the log has it at this sequence. The first message. */
  | { readonly _tag: "Snapshot"; readonly campaign: Campaign; readonly sequence: number }
  | { readonly _tag: "Event"; readonly event: CoveringEvent }
  /** Nothing has happened for a while. */
  | { readonly _tag: "Bookmark"; readonly sequence: number; readonly serverTime: EpochMillis }

/** A page of a campaign's events. */
export interface EventPage {
  readonly events: ReadonlyArray<CampaignEvent>
  /** The sequence of the campaign's last event. */
  readonly lastSequence: number
}

/** The most events that one page of `list` holds, and the number without a page size. */
export const MAX_EVENTS = 1_000
export const EVENTS = 100

/** The longest that coupons wait to be sent together. */
export const MAX_ISSUED_INTERVAL_SECONDS = 60

/** A watch that has sent nothing for this long sends a bookmark. */
const BOOKMARK = Duration.seconds(15)

/** Reads of campaigns' logs. */
export class CampaignEvents extends Context.Tag("coupon/campaigns/CampaignEvents")<CampaignEvents, {
  /** Events after a sequence, in order. `pageSize` 0 means `EVENTS`, with at most `MAX_EVENTS`. */
  readonly list: (
    campaignId: CampaignId,
    afterSequence: bigint,
    pageSize: number
  ) => Effect.Effect<EventPage, InvalidArgument | RecordNotFound | Unavailable>
  /**
   * A snapshot, and then all events after this sequence (`undefined`: after the snapshot's), for ever: each call of the
   * effect that it returns waits for the next message. Ranges of coupons that came together may be one event: those
   * that come within `issuedIntervalSeconds` (0 to `MAX_ISSUED_INTERVAL_SECONDS`) after such an event, unless they are
   * few. Fails with `Overloaded` while `MAX_WATCHERS` watch.
   */
  readonly watch: (
    campaignId: CampaignId,
    afterSequence: bigint | undefined,
    issuedIntervalSeconds: number
  ) => Effect.Effect<
    Effect.Effect<WatchMessage, Unavailable>,
    InvalidArgument | RecordNotFound | Unavailable | Overloaded,
    Scope.Scope
  >
}>() {}

const parseSequence = (sequence: bigint): Effect.Effect<number, InvalidArgument> =>
  sequence < 0n || sequence > BigInt(Number.MAX_SAFE_INTEGER)
    ? Effect.fail(new InvalidArgument({ field: "afterSequence", reason: "must be a sequence, or 0 for all events" }))
    : Effect.succeed(Number(sequence))

const parseInterval = (seconds: number): Effect.Effect<Duration.Duration, InvalidArgument> =>
  seconds >= 0 && seconds <= MAX_ISSUED_INTERVAL_SECONDS
    ? Effect.succeed(Duration.seconds(seconds))
    : Effect.fail(
      new InvalidArgument({ field: "issuedIntervalSeconds", reason: `must be 0 to ${MAX_ISSUED_INTERVAL_SECONDS}` })
    )

export const make = Effect.gen(function*() {
  const { maxWatchers, requestTimeout } = yield* AppConfig
  const log = yield* EventLog
  const find = CampaignReads.forCalls(yield* CampaignReads.CampaignReads, requestTimeout)
  const tails = yield* EventTails
  let watchers = 0
  eventLogs.watches.limit.set(maxWatchers)

  const place = Effect.acquireRelease(
    Effect.suspend(() => {
      if (watchers >= maxWatchers) return Effect.fail(new Overloaded({ retryAfterSeconds: 1 }))
      eventLogs.watches.open.set(++watchers)
      return Effect.void
    }),
    () => Effect.sync(() => eventLogs.watches.open.set(--watchers))
  )

  return CampaignEvents.of({
    list: (campaignId, afterSequence, pageSize) =>
      Effect.gen(function*() {
        if (pageSize < 0) {
          return yield* new InvalidArgument({ field: "pageSize", reason: `must be 0 to ${MAX_EVENTS}` })
        }
        const after = yield* parseSequence(afterSequence)
        const limit = pageSize === 0 ? EVENTS : Math.min(pageSize, MAX_EVENTS)
        yield* find(campaignId)
        const events = yield* Effect.mapError(log.read(campaignId, after, limit), storeDown)
        // Read after the events, so it is not less than their last one.
        const lastSequence = yield* Effect.mapError(log.head(campaignId), storeDown)
        return { events, lastSequence }
      }),

    watch: (campaignId, afterSequence, issuedIntervalSeconds) =>
      Effect.gen(function*() {
        const after = afterSequence === undefined ? undefined : yield* parseSequence(afterSequence)
        const issuedInterval = yield* parseInterval(issuedIntervalSeconds)
        yield* place
        // Neither is a read for each watch: those that open together share them.
        const tail = yield* Effect.mapError(tails.open(campaignId, issuedInterval), storeDown)
        // The campaign is read after its log, so it lacks nothing that the log has up to there.
        const sequence = tail.head()
        const campaign = yield* find(campaignId)
        const readAt = performance.now()
        const serverTime = () => Math.round(campaign.readAt + performance.now() - readAt)
        let cursor = after ?? sequence
        let isFirst = true
        return Effect.suspend((): Effect.Effect<WatchMessage, Unavailable> => {
          if (isFirst) {
            isFirst = false
            return Effect.succeed({ _tag: "Snapshot", campaign, sequence })
          }
          return Effect.mapBoth(tail.next(cursor, BOOKMARK), {
            onFailure: storeDown,
            onSuccess: (event): WatchMessage => {
              if (event === undefined) return { _tag: "Bookmark", sequence: cursor, serverTime: serverTime() }
              cursor = event.sequence
              return { _tag: "Event", event }
            }
          })
        })
      })
  })
})

export const layer = Layer.effect(CampaignEvents, make)
