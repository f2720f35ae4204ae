import * as Effect from "effect/Effect"
import type { CampaignId } from "../../domain/CampaignId.ts"
import type { IssuedCoupon } from "../../domain/redemption/Redemption.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { WebhookEndpoint, WebhookPosition } from "../../domain/webhooks/Webhook.ts"
import type { CouponExpiry } from "../../expiry/CouponExpiry.ts"
import type { CampaignEvent, EventLog } from "../../ports/EventLog.ts"
import type { Ledger, LedgerUnavailable } from "../../ports/Ledger.ts"
import * as CloudEvents from "../../contract/webhooks/CloudEvents.ts"

/** The most events in one request. */
export const MAX_BATCH = 500

/** What one request carries. */
export interface Batch {
  readonly from: WebhookPosition
  readonly to: WebhookPosition
  /** `undefined`: only events of types that the endpoint does not get. */
  readonly body: CloudEvents.Body | undefined
  /** How many events retention had removed before they were read: then the batch is nothing but these. */
  readonly lost: number
  /** How many CloudEvents the body has, and how many coupons they stand for. */
  readonly events: number
  readonly coupons: number
  /** When the first event of it happened; `undefined`: it was removed. */
  readonly at: EpochMillis | undefined
}

/** Whether position `a` is at `b` or beyond. */
const reaches = (a: WebhookPosition, b: WebhookPosition): boolean =>
  a.sequence > b.sequence || (a.sequence === b.sequence && a.number >= b.number)

const EVENTS_READ = 500
const COUPONS_READ = 1_000

/** Reads a campaign's log from a position on, a batch at a time. What is in a batch depends on the log alone. */
export interface BatchReader {
  /**
   * The next batch, at most up to `end`, or beyond it if retention has removed what is there; `undefined`: the log has
   * no more. Not for two callers at once.
   */
  readonly next: (end?: WebhookPosition) => Effect.Effect<Batch | undefined, LedgerUnavailable>
}

export const make = (
  { expiry, ledger, log }: {
    readonly log: EventLog["Type"]
    readonly ledger: Ledger["Type"]
    readonly expiry: CouponExpiry["Type"]
  },
  { mode, types }: Pick<WebhookEndpoint, "mode" | "types">,
  campaignId: CampaignId,
  begin: WebhookPosition
): BatchReader => {
  const most = mode === "EACH" ? 1 : MAX_BATCH
  const isWanted = (event: CampaignEvent) => types.length === 0 || types.includes(event.type)
  let position = begin
  let hasLooked = false
  /** Events after `position` that were read. */
  let events: ReadonlyArray<CampaignEvent> = []
  /** Coupons that were read, by number without a gap. */
  let coupons: ReadonlyArray<IssuedCoupon> = []

  const read = Effect.suspend(() =>
    events.length > 0
      ? Effect.void
      : Effect.map(log.read(campaignId, position.sequence, EVENTS_READ), (found) => void (events = found)))

  /**
   * The sequence of the next event, whatever was removed before it; `undefined`: there is none yet. Of a log of which
   * nothing is left, its head says where it goes on. To look for that once is enough.
   */
  const nextSequence = Effect.gen(function*() {
    yield* read
    if (events.length === 0 && !hasLooked) {
      const head = yield* log.head(campaignId)
      // Events up to there were appended before this: they are there now, or were removed.
      if (head > position.sequence) yield* read
      if (head > position.sequence && events.length === 0) return head + 1
    }
    hasLooked = true
    return events[0]?.sequence
  })

  /** Coupons from this number on: at least one, at most `count`. */
  const couponsFrom = (number: number, count: number): Effect.Effect<ReadonlyArray<IssuedCoupon>, LedgerUnavailable> =>
    Effect.suspend(() => {
      const first = coupons[0]?.id ?? Number.POSITIVE_INFINITY
      const found = number < first ? [] : coupons.slice(number - first, number - first + count)
      if (found.length > 0) return Effect.succeed(found)
      const dated = Effect.flatMap(ledger.listCoupons(campaignId, number - 1, COUPONS_READ), (page) =>
        Effect.map(expiry.of(page), (times) => page.map((coupon, index) => ({ ...coupon, expiresAt: times[index] }))))
      return Effect.flatMap(dated, (page) => {
        coupons = page
        if (page[0]?.id !== number) {
          return Effect.dieMessage(`coupon ${number} of campaign ${campaignId} is in the event log, not in the ledger`)
        }
        return Effect.succeed(page.slice(0, count))
      })
    })

  return {
    next: (end) =>
      Effect.gen(function*() {
        const from = position
        const written: Array<CloudEvents.CloudEvent> = []
        let count = 0
        let at: EpochMillis | undefined
        while (written.length < most && (end === undefined || !reaches(position, end))) {
          const sequence = yield* nextSequence
          if (sequence === undefined) break
          const event = events[0]
          const lost = sequence - position.sequence - 1
          if (event === undefined || lost > 0) {
            if (position !== from) break
            position = { sequence: sequence - 1, number: 0 }
            return { from, to: position, body: undefined, lost, events: 0, coupons: 0, at: event?.at }
          }
          at ??= event.at
          if (!isWanted(event)) {
            position = { sequence: event.sequence, number: 0 }
            events = events.slice(1)
            continue
          }
          if (mode === "RANGE" || !CloudEvents.isRange(event)) {
            written.push(CloudEvents.ofEvent(event))
            if (CloudEvents.isRange(event)) count += event.lastNumber - event.firstNumber + 1
            position = { sequence: event.sequence, number: 0 }
            events = events.slice(1)
            continue
          }
          const first = Math.max(event.firstNumber, position.number + 1)
          const isLastOfBatch = end !== undefined && end.sequence === position.sequence
          const last = Math.min(event.lastNumber, isLastOfBatch ? end.number : Number.POSITIVE_INFINITY)
          const some = yield* couponsFrom(first, Math.min(most - written.length, last - first + 1))
          for (const coupon of some) written.push(CloudEvents.ofCoupon(event, coupon))
          count += some.length
          const reached = first + some.length - 1
          if (reached < event.lastNumber) position = { sequence: position.sequence, number: reached }
          else {
            position = { sequence: event.sequence, number: 0 }
            events = events.slice(1)
          }
        }
        if (position === from) return undefined
        const body = written.length === 0
          ? undefined
          : mode === "EACH"
          ? CloudEvents.single(written[0]!)
          : CloudEvents.batch(written)
        return { from, to: position, body, lost: 0, events: written.length, coupons: count, at }
      })
  }
}
