import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { CampaignId } from "../domain/Campaign.ts"
import { EventStream } from "../ports/EventStream.ts"
import { Gate } from "../ports/Gate.ts"
import * as EventStreamMetrics from "../metrics/EventStreamMetrics.ts"
import * as GateMetrics from "../metrics/GateMetrics.ts"
import * as LedgerMetrics from "../metrics/LedgerMetrics.ts"
import * as OutboxMetrics from "../metrics/OutboxMetrics.ts"
import * as Metrics from "../metrics/Metrics.ts"
import { Ledger } from "../ports/Ledger.ts"
import { Outbox } from "../ports/Outbox.ts"

/** A campaign's reservations are known from the reconciler's last look at it, and forgotten this long after it. */
const PENDING_MILLIS = 10_000

/** Passes the outcome of a call and its seconds to `ended`. Costs one step of Effect a call, 2 µs. */
const watched = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  ended: (exit: Exit.Exit<A, E>, seconds: number) => void
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const startedAt = performance.now()
    return Effect.onExit(effect, (exit) => Effect.sync(() => ended(exit, (performance.now() - startedAt) / 1_000)))
  })

/** A call of the gate: whether it answers shows in `coupon_gate_up`. */
const gateCall = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  answered: (answer: A) => void,
  duration?: Metrics.Distribution
): Effect.Effect<A, E, R> =>
  watched(effect, (exit, seconds) => {
    duration?.observe(seconds)
    if (Exit.isSuccess(exit)) {
      GateMetrics.gateUp.set(1)
      answered(exit.value)
    } else if (!Exit.isInterrupted(exit)) {
      GateMetrics.gateFailures.add()
      GateMetrics.gateUp.set(0)
    }
  })

interface PendingLook {
  readonly at: number
  readonly pending: number
  readonly oldestMillis: number
}

/** Adds up what the reconciler saw of each campaign. */
const showPending = (looks: Map<CampaignId, PendingLook>) => () => {
  const now = performance.now()
  let [count, oldest] = [0, 0]
  for (const [campaignId, look] of looks) {
    if (now - look.at > PENDING_MILLIS) looks.delete(campaignId)
    else {
      count += look.pending
      // It has grown older since the look.
      if (look.pending > 0) oldest = Math.max(oldest, look.oldestMillis + now - look.at)
    }
  }
  GateMetrics.reservationsPending.set(count)
  GateMetrics.reservationsOldestSeconds.set(oldest / 1_000)
}

const meteredGate = (gate: Gate["Type"]): Effect.Effect<Gate["Type"], never, Scope.Scope> =>
  Effect.gen(function*() {
    const looks = new Map<CampaignId, PendingLook>()
    yield* Effect.acquireRelease(Effect.sync(() => Metrics.onSample(showPending(looks))), (end) => Effect.sync(end))
    return {
      ...gate,
      reserve: (campaignId, requests) =>
        gateCall(gate.reserve(campaignId, requests), (answers) => {
          GateMetrics.gateBatchSize.reserve.observe(requests.length)
          for (const { _tag } of answers) GateMetrics.gateAnswers[_tag].add()
        }, GateMetrics.gateSeconds.reserve),
      check: (campaignId, userIds) =>
        gateCall(gate.check(campaignId, userIds), (refused) => {
          GateMetrics.gateBatchSize.check.observe(userIds.length)
          let count = 0
          for (const one of refused) if (one) count++
          GateMetrics.gateAnswers.RefusedSoldOut.add(count)
        }, GateMetrics.gateSeconds.check),
      confirm: (campaignId, coupons, after) =>
        gateCall(gate.confirm(campaignId, coupons, after), () => {}, GateMetrics.gateSeconds.confirm),
      hydrateBegin: (terms, token, leaseMillis) =>
        gateCall(gate.hydrateBegin(terms, token, leaseMillis), (grant) => {
          if (grant === "Granted") GateMetrics.gateRebuilds.begun.add()
        }),
      hydrateEnd: (campaignId, token, cursor) =>
        gateCall(gate.hydrateEnd(campaignId, token, cursor), (done) => {
          if (done) GateMetrics.gateRebuilds.completed.add()
        }),
      inspect: (campaignId) =>
        gateCall(gate.inspect(campaignId), ({ oldestPendingMillis, pending }) => {
          looks.set(campaignId, { at: performance.now(), pending, oldestMillis: oldestPendingMillis })
        })
    }
  })

const meteredStream = (stream: EventStream["Type"]): EventStream["Type"] => !stream.isOn ? stream : ({
  ...stream,
  publish: (campaignId, coupons, after) =>
    watched(stream.publish(campaignId, coupons, after), (exit, seconds) => {
      EventStreamMetrics.streamSeconds.observe(seconds)
      if (Exit.isSuccess(exit)) EventStreamMetrics.eventsPublished.add(coupons.length)
      else if (!Exit.isInterrupted(exit)) EventStreamMetrics.streamFailures.add()
    })
})

const issuedAmong = (verdicts: ReadonlyArray<{ readonly _tag: string }>): number => {
  let count = 0
  for (const { _tag } of verdicts) if (_tag === "Issued") count++
  return count
}

const meteredLedger = (ledger: Ledger["Type"]): Ledger["Type"] => ({
  ...ledger,
  issue: (batch) =>
    watched(ledger.issue(batch), (exit, seconds) => {
      LedgerMetrics.ledgerSeconds.observe(seconds)
      LedgerMetrics.ledgerBatchSize.observe(batch.claims.length)
      if (Exit.isSuccess(exit)) {
        LedgerMetrics.ledgerCommits.committed.add()
        LedgerMetrics.couponsIssued.add(issuedAmong(exit.value))
      } else if (exit.cause._tag === "Fail") {
        LedgerMetrics.ledgerCommits[exit.cause.error._tag === "CommitInDoubt" ? "in_doubt" : "unavailable"].add()
      }
    }),
  resolve: (batch) =>
    watched(ledger.resolve(batch), (exit) => {
      if (!Exit.isSuccess(exit)) return
      LedgerMetrics.ledgerResolved.add()
      LedgerMetrics.couponsIssued.add(issuedAmong(exit.value))
    })
})

const meteredOutbox = (outbox: Outbox["Type"]): Outbox["Type"] => ({
  ...outbox,
  poll: (limit, publish, except) =>
    Effect.tap(outbox.poll(limit, publish, except), ({ settled, taken }) =>
      Effect.sync(() => {
        OutboxMetrics.relayed.taken.add(taken)
        OutboxMetrics.relayed.settled.add(settled)
      }))
})

/**
 * Puts metrics in front of Gate, EventStream, Ledger and Outbox, of which use cases and adapters know nothing. They
 * cost per batch, or per run of an agent; a claim costs one addition for the gate's answer.
 */
export const layer: Layer.Layer<
  Gate | EventStream | Ledger | Outbox,
  never,
  Gate | EventStream | Ledger | Outbox
> = Layer.scopedContext(
  Effect.gen(function*() {
    // The gate has answered already, because this layer is built after the stores were reached.
    GateMetrics.gateUp.set(1)
    return Context.make(Gate, yield* meteredGate(yield* Gate)).pipe(
      Context.add(EventStream, meteredStream(yield* EventStream)),
      Context.add(Ledger, meteredLedger(yield* Ledger)),
      Context.add(Outbox, meteredOutbox(yield* Outbox))
    )
  })
)
