import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import { AppConfig } from "../config/AppConfig.ts"
import type { CampaignId } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import * as CouponCode from "../domain/CouponCode.ts"
import { CouponAlreadyClaimed, Unavailable } from "../domain/Failure.ts"
import { rootMessage } from "../config/RootMessage.ts"
import * as Batcher from "./Batcher.ts"
import { Gate, type Reservation } from "../ports/Gate.ts"
import { Ledger } from "../ports/Ledger.ts"
import type { ClaimBatch, ClaimVerdict, CommitInDoubt, LedgerUnavailable, Refusal, ResolvedVerdict } from "../ports/Ledger.ts"
import { OutboxRelay } from "../agents/OutboxRelay.ts"
import * as TracedClaims from "./TracedClaims.ts"

/** A claim on its way into the ledger, at most one a user at a time. */
export interface QueuedClaim {
  readonly userId: UserId
  /** The value of the gate's reservation; `undefined` if the gate was not asked or did not answer. */
  readonly reservation: string | undefined
}

/** What became of a claim: a durable coupon, the ledger's refusal, or `Unavailable`: nothing was issued and never will be. */
export type CommitOutcome =
  | { readonly _tag: "Issued"; readonly coupon: Coupon }
  | { readonly _tag: "Refused"; readonly reason: Refusal | Unavailable }

/**
 * Commits claims in groups: one transaction in flight a campaign, whose successor is what queued meanwhile (PROTOCOL,
 * "Ledger"). Gives the slots of refused claims back to the gate, and resolves in-doubt commits before it answers, however
 * long that takes; a claim that cannot wait gets `BatchTimeout` and its batch is resolved without it.
 */
export class GroupCommit extends Context.Tag("coupon/issuance/GroupCommit")<GroupCommit, {
  /**
   * `done` hears what became of the claim, or `BatchTimeout` once `expiresAt` (of `performance.now()`) has passed; see
   * `Batcher`. A claim that had not started then is to be withdrawn.
   */
  readonly commit: (campaignId: CampaignId, claim: QueuedClaim, expiresAt: number, done: Batcher.Done<CommitOutcome, never>) => void
  /** Gives the slot of a claim back that will not be committed, in the background. */
  readonly withdraw: (campaignId: CampaignId, claim: QueuedClaim) => void
}>() {}

/** Between attempts to resolve an in-doubt batch, while the ledger is away: 10 ms growing to 500 ms. */
const untilResolved = Schedule.exponential("10 millis").pipe(Schedule.union(Schedule.spaced("500 millis")))

const fromVerdict = (verdict: ClaimVerdict): CommitOutcome => verdict

const fromResolved = (cause: unknown) => (verdict: ResolvedVerdict): CommitOutcome => {
  switch (verdict._tag) {
    case "Issued":
      return verdict
    case "HeldAlready":
      return { _tag: "Refused", reason: new CouponAlreadyClaimed({ coupon: verdict.coupon }) }
    case "NotIssued":
      return { _tag: "Refused", reason: new Unavailable({ retryAfterSeconds: 1, cause }) }
  }
}

/** A transaction of this many coupons costs as much again as its fixed part (PROTOCOL: 0.65 ms and 18 µs a row). */
const HALVES_ABOVE = 32

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const gate = yield* Gate
  const ledger = yield* Ledger
  const relay = yield* OutboxRelay
  const runFork = Runtime.runFork(yield* Effect.runtime<never>())

  /** In the background. A slot whose release fails is freed by the reaper. */
  const release = (campaignId: CampaignId, reservations: ReadonlyArray<Reservation>) =>
    reservations.length === 0
      ? Effect.void
      : Effect.asVoid(Effect.forkDaemon(Effect.ignore(gate.release(campaignId, reservations))))

  /** Later batches do not wait for this one: it may be resolved only when the ledger is back, and they are to hear at once that it is away. */
  const inDoubt = (batch: ClaimBatch, failure: CommitInDoubt, stepAside: () => void) =>
    Effect.logWarning(`a commit is in doubt; asking the ledger: ${rootMessage(failure.cause)}`).pipe(
      Effect.annotateLogs({ campaignId: batch.campaignId, batchId: batch.batchId, claims: batch.claims.length }),
      Effect.zipRight(Effect.sync(stepAside)),
      Effect.zipRight(Effect.retry(ledger.resolve(batch), untilResolved)),
      Effect.tap((verdicts) =>
        Effect.logWarning("the commit in doubt is resolved").pipe(Effect.annotateLogs({
          campaignId: batch.campaignId,
          batchId: batch.batchId,
          issued: verdicts.filter((verdict) => verdict._tag === "Issued").length,
          notIssued: verdicts.filter((verdict) => verdict._tag === "NotIssued").length
        }))
      ),
      Effect.map((verdicts) => verdicts.map(fromResolved(failure.cause))),
      Effect.orDie
    )

  const unavailable = (batch: ClaimBatch, failure: LedgerUnavailable) => {
    const reason = new Unavailable({ retryAfterSeconds: 1, cause: failure.cause })
    return Effect.succeed(batch.claims.map((): CommitOutcome => ({ _tag: "Refused", reason })))
  }

  const run = (
    campaignId: CampaignId,
    queued: ReadonlyArray<QueuedClaim>,
    stepAside: () => void
  ): Effect.Effect<ReadonlyArray<CommitOutcome>> => {
    const batch: ClaimBatch = {
      batchId: TracedClaims.batchId(campaignId, queued),
      campaignId,
      claims: queued.map(({ userId }) => ({ userId, code: CouponCode.generate() }))
    }
    return ledger.issue(batch).pipe(
      Effect.map((verdicts) => verdicts.map(fromVerdict)),
      Effect.catchTags({
        CommitInDoubt: (failure) => inDoubt(batch, failure, stepAside),
        LedgerUnavailable: (failure) => unavailable(batch, failure)
      }),
      Effect.tap((outcomes) => {
        const refused: Array<Reservation> = []
        let issued = false
        outcomes.forEach((outcome, i) => {
          const { reservation, userId } = queued[i]!
          if (outcome._tag === "Issued") issued = true
          else if (reservation !== undefined) refused.push({ userId, value: reservation })
        })
        return Effect.zipRight(release(campaignId, refused), issued ? relay.wake : Effect.void)
      }),
      Effect.uninterruptible
    )
  }

  const batcher = yield* Batcher.make<QueuedClaim, CommitOutcome, never>({
    maxBatch: config.issueBatchSize,
    maxInFlight: 1,
    halvesAbove: HALVES_ABOVE,
    run
  })

  // The last to leave: what was admitted is decided, and the gate learns of it, before the stores are closed.
  yield* Effect.addFinalizer(() =>
    batcher.idle.pipe(
      Effect.zipRight(relay.settle),
      Effect.timeout(Duration.times(config.shutdownTimeout, 0.5)),
      Effect.catchAllCause((cause) => Effect.logWarning("left with unsettled work; another instance will take it over", cause))
    )
  )

  return GroupCommit.of({
    commit: batcher.enqueue,
    withdraw: (campaignId, { reservation, userId }) => {
      if (reservation !== undefined) runFork(release(campaignId, [{ userId, value: reservation }]))
    }
  })
})

export const layer = Layer.scoped(GroupCommit, make)
