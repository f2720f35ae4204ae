import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { WebhookPosition } from "../../domain/webhooks/Webhook.ts"
import type { LedgerUnavailable } from "../../ports/Ledger.ts"
import type { HeldCursor, WebhookAttempt, WebhookCursors } from "../../ports/webhooks/WebhookCursors.ts"
import type { Batch } from "./BatchReader.ts"
import type { Outcome } from "./Outbound.ts"

/** Stores how far a receiver has got, beside the requests: the next one does not wait for the ledger. */
export interface CursorFlush {
  /** A batch was taken by the receiver, or holds nothing for it (`undefined`). Stored soon. */
  readonly taken: (batch: Batch, outcome: Outcome | undefined) => void
  /** Batches that were taken and are not stored yet. */
  readonly unstored: () => number
  /** The cursor is not held any more, or the ledger does not answer. */
  readonly isLost: () => boolean
  /** Waits until all of it is stored; `false`: the cursor is not held any more. */
  readonly settled: Effect.Effect<boolean, LedgerUnavailable>
}

/** Good requests are noted together, at most once in so many milliseconds. */
const NOTE_MILLIS = 1_000

type Note = WebhookAttempt & { readonly since: number }

/** A note of the requests so far and one more. */
const added = (note: Note | undefined, { events, from, to }: Batch, outcome: Outcome, now: number): Note => ({
  since: note?.since ?? now,
  from: note?.from ?? from,
  to,
  requests: (note?.requests ?? 0) + 1,
  events: (note?.events ?? 0) + events,
  result: "DELIVERED",
  status: outcome.status,
  reason: "",
  answer: outcome.answer,
  tookMillis: Math.max(note?.tookMillis ?? 0, outcome.tookMillis)
})

export const make = (
  cursors: WebhookCursors["Type"],
  held: HeldCursor
): Effect.Effect<CursorFlush, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const turn = yield* Effect.makeSemaphore(1)
    let position: WebhookPosition | undefined
    let note: Note | undefined
    let unstored = 0
    let isForked = false
    let isLost = false
    let failure: LedgerUnavailable | undefined

    const store = (isLast: boolean) =>
      turn.withPermits(1)(Effect.suspend(() => {
        isForked = false
        const isDue = note !== undefined && (isLast || performance.now() - note.since >= NOTE_MILLIS)
        if (isLost || (position === undefined && !isDue)) return Effect.void
        const stored = unstored
        const to = position ?? note!.to
        const noted = isDue ? note : undefined
        position = undefined
        if (isDue) note = undefined
        return Effect.map(cursors.advance(held, to, noted), (isHeld) => {
          unstored -= stored
          if (!isHeld) isLost = true
        })
      }))

    const inBackground = Effect.catchAll(store(false), (error) => Effect.sync(() => void (failure = error)))

    return {
      taken: (batch, outcome) => {
        position = batch.to
        unstored++
        if (outcome !== undefined) note = added(note, batch, outcome, performance.now())
        if (isForked) return
        isForked = true
        Effect.runFork(Effect.forkIn(inBackground, scope))
      },
      unstored: () => unstored,
      isLost: () => isLost || failure !== undefined,
      settled: Effect.suspend(() =>
        failure === undefined ? Effect.map(store(true), () => !isLost) : Effect.fail(failure))
    }
  })
