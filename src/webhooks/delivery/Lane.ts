import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type { EpochMillis } from "../../domain/Time.ts"
import type { WebhookEndpoint, WebhookPosition } from "../../domain/webhooks/Webhook.ts"
import { webhooks } from "./WebhookMetrics.ts"
import type { EventLog } from "../../ports/EventLog.ts"
import type { CouponExpiry } from "../../expiry/CouponExpiry.ts"
import type { Ledger, LedgerUnavailable } from "../../ports/Ledger.ts"
import type { HeldCursor, WebhookCursors } from "../../ports/webhooks/WebhookCursors.ts"
import type { SecretBox } from "../secrets/SecretBox.ts"
import type { WebhookSender } from "../sending/WebhookSender.ts"
import * as BatchReader from "./BatchReader.ts"
import * as CursorFlush from "./CursorFlush.ts"
import * as LostEvents from "./LostEvents.ts"
import * as Outbound from "./Outbound.ts"

/** What every lane of an instance works with. */
export interface LaneServices {
  readonly cursors: WebhookCursors["Type"]
  readonly log: EventLog["Type"]
  readonly ledger: Ledger["Type"]
  readonly expiry: CouponExpiry["Type"]
  readonly box: SecretBox
  readonly sender: WebhookSender["Type"]
  readonly pauseAfter: (failures: number, retryAfterMillis: number | undefined) => number
}

/** What a lane needs to know of the rest, and tells it. */
export interface LaneWatch {
  /** Receives when the log may have more. */
  readonly news: Queue.Dequeue<void>
  /** Whether the lease is sure to last for another moment. */
  readonly isHeld: () => boolean
  /** Whether another campaign of the endpoint waits for a turn. */
  readonly othersWait: () => boolean
  /** `hadFailed`: the batch had failed before. */
  readonly delivered: (hadFailed: boolean) => Effect.Effect<void>
  readonly failed: (outcome: Outbound.Outcome) => Effect.Effect<void, LedgerUnavailable>
  /** Where the lane is, and when the event happened that it sends. */
  readonly moved: (position: WebhookPosition, at: EpochMillis | undefined) => void
}

/** Why a lane ended. `waitMillis`: when the cursor is due again. */
export type LaneEnd =
  | { readonly _tag: "Idle" | "Yielded" | "Lost" }
  | { readonly _tag: "Failed"; readonly waitMillis: number }

/** Batches that may be taken before the cursor says so. A crash sends them again. */
const MAX_UNSTORED = 64
/** How long a lane without events keeps its lease. */
const LINGER = "3 seconds"
/** How long a lane goes on while other campaigns of the endpoint wait. */
const TURN_MILLIS = 2_000
const RELEASE_PATIENCE = "1 second"

/**
 * Delivers one campaign's events to one endpoint, in order: a batch is sent when the one before was taken. The next
 * batch is read meanwhile. Ends when there is nothing to send, after a failure, or with the lease.
 */
export const run = (
  { box, cursors, expiry, ledger, log, pauseAfter, sender }: LaneServices,
  watch: LaneWatch,
  endpoint: WebhookEndpoint,
  held: HeldCursor
): Effect.Effect<LaneEnd, LedgerUnavailable> =>
  Effect.scoped(Effect.gen(function*() {
    const { campaignId } = held
    const reader = BatchReader.make({ expiry, ledger, log }, endpoint, campaignId, held.position)
    const flush = yield* CursorFlush.make(cursors, held)
    const began = performance.now()
    let { failures, position } = held

    const lost: LaneEnd = { _tag: "Lost" }
    const giveBack = (end: LaneEnd) =>
      Effect.flatMap(flush.settled, (isHeld) => isHeld ? Effect.as(cursors.release(held), end) : Effect.succeed(lost))

    const fail = (
      batch: BatchReader.Batch,
      outcome: Outbound.Outcome
    ): Effect.Effect<LaneEnd | undefined, LedgerUnavailable> =>
      Effect.gen(function*() {
        failures++
        yield* watch.failed(outcome)
        if (!(yield* flush.settled)) return lost
        if (endpoint.onFailure === "PARK" && failures >= endpoint.maxAttempts && !outcome.isGone) {
          const parked = yield* cursors.park(held, Outbound.failedAttempt(batch, outcome, "PARKED"))
          if (parked === "Lost") return lost
          if (parked === "Parked") {
            webhooks.parked.add()
            failures = 0
            position = batch.to
            return undefined
          }
        }
        webhooks.failed.add()
        const waitMillis = pauseAfter(failures, outcome.retryAfterMillis)
        const attempt = Outbound.failedAttempt(batch, outcome, "FAILED")
        yield* cursors.fail(held, { position, end: batch.to, failures, waitMillis, attempt })
        return { _tag: "Failed", waitMillis }
      })

    const deliver = Effect.gen(function*() {
      let next = yield* Effect.fork(reader.next(held.end))
      for (;;) {
        const batch = yield* Fiber.join(next)
        if (flush.isLost() || !watch.isHeld()) return lost
        watch.moved(position, batch?.at)
        if (batch === undefined) {
          if (!(yield* flush.settled)) return lost
          if (watch.othersWait()) return yield* giveBack({ _tag: "Idle" })
          const more = yield* Effect.timeoutOption(Queue.take(watch.news), LINGER)
          if (Option.isNone(more)) return yield* giveBack({ _tag: "Idle" })
          next = yield* Effect.fork(reader.next())
          continue
        }
        next = yield* Effect.fork(reader.next())
        if (batch.lost > 0) {
          if (!(yield* flush.settled) || !(yield* LostEvents.skip(cursors, held, batch))) return lost
          failures = 0
          position = batch.to
          continue
        }
        if (batch.body === undefined) {
          position = batch.to
          flush.taken(batch, undefined)
          continue
        }
        const id = Outbound.idOf(endpoint.id, campaignId, batch)
        const outcome = yield* Outbound.send({ box, sender }, endpoint, id, batch.body)
        if (!outcome.isDelivered) {
          const end = yield* fail(batch, outcome)
          if (end !== undefined) return end
          continue
        }
        const hadFailed = failures > 0
        failures = 0
        position = batch.to
        flush.taken(batch, outcome)
        webhooks.delivered.add()
        webhooks.coupons.add(batch.coupons)
        yield* watch.delivered(hadFailed)
        if (flush.unstored() >= MAX_UNSTORED && !(yield* flush.settled)) return lost
        if (watch.othersWait() && performance.now() - began > TURN_MILLIS) return yield* giveBack({ _tag: "Yielded" })
      }
    })

    // An instance that stops gives its cursors to others at once. A timeout waits for what cannot be interrupted, and
    // nothing can be here unless it is made so.
    return yield* Effect.onInterrupt(deliver, () =>
      giveBack({ _tag: "Yielded" }).pipe(
        Effect.disconnect,
        Effect.interruptible,
        Effect.timeout(RELEASE_PATIENCE),
        Effect.ignore
      ))
  }))
