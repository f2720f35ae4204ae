import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import { AppConfig } from "../config/AppConfig.ts"
import * as Shutdown from "../config/Shutdown.ts"
import type { CampaignId } from "../domain/Campaign.ts"
import type { UserId } from "../domain/Coupon.ts"
import * as CouponCode from "../domain/CouponCode.ts"
import { type ClaimRejection, CouponAlreadyClaimed, Unavailable } from "../domain/Failure.ts"
import type { IssuedCoupon } from "../domain/redemption/Redemption.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { CouponExpiry } from "../expiry/CouponExpiry.ts"
import { rootMessage } from "../base/RootMessage.ts"
import * as Batcher from "./Batcher.ts"
import { Gate, type Reservation } from "../ports/Gate.ts"
import { Ledger } from "../ports/Ledger.ts"
import type {
  ClaimBatch, ClaimVerdict, CommitInDoubt, LedgerUnavailable, ResolvedVerdict
} from "../ports/Ledger.ts"
import { OutboxRelay } from "../agents/outbox/OutboxRelay.ts"
import { SaleCounts } from "../agents/sale/SaleCounts.ts"
import * as TracedClaims from "./TracedClaims.ts"
import { untilResolved } from "./UntilResolved.ts"

/** A claim on its way into the ledger, at most one a user at a time. */
export interface QueuedClaim {
  readonly userId: UserId
  /** The value of the gate's reservation; `undefined` if the gate was not asked or did not answer. */
  readonly reservation: string | undefined
}

/** The result of a claim: a durable coupon, the ledger's rejection, or `Unavailable`: never issued, now or later. */
export type CommitOutcome =
  | { readonly _tag: "Issued"; readonly coupon: IssuedCoupon }
  | { readonly _tag: "Rejected"; readonly reason: ClaimRejection | Unavailable }

/**
 * Commits claims in groups. A campaign has one transaction in flight, and the next one takes what queued meanwhile
 * (docs/internals/protocol.md, "The ledger"). Gives the slots of rejected claims back to the gate. Resolves a commit in
 * doubt before it answers, however long that takes; a claim that cannot wait gets `BatchTimeout`.
 */
export class GroupCommit extends Context.Tag("coupon/issuance/GroupCommit")<GroupCommit, {
  /**
   * `done` is called with the result of the claim, or with `BatchTimeout` once `expiresAt` (of `performance.now()`) has
   * passed; see `Batcher`. The caller withdraws a claim that had not started by then.
   */
  readonly commit: (
    campaignId: CampaignId,
    claim: QueuedClaim,
    expiresAt: number,
    done: Batcher.Done<CommitOutcome, never>
  ) => void
  /** Releases the slot of a claim that will not be committed, in the background. */
  readonly withdraw: (campaignId: CampaignId, claim: QueuedClaim) => void
}>() {}


const isOutcome = (verdict: ClaimVerdict): verdict is Exclude<ClaimVerdict, { readonly _tag: "NotIssued" }> =>
  verdict._tag !== "NotIssued"

const fromVerdict = (cause: unknown) => (verdict: ClaimVerdict | ResolvedVerdict): CommitOutcome => {
  switch (verdict._tag) {
    case "Issued":
    case "Rejected":
      return verdict
    case "HeldAlready":
      return { _tag: "Rejected", reason: new CouponAlreadyClaimed({ coupon: verdict.coupon }) }
    case "NotIssued":
      return { _tag: "Rejected", reason: new Unavailable({ retryAfterSeconds: 1, cause }) }
  }
}

/** At this many coupons, the rows of a transaction cost as much as its fixed part (0.65 ms, and 18 µs a row). */
const HALVES_ABOVE = 32

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const gate = yield* Gate
  const ledger = yield* Ledger
  const relay = yield* OutboxRelay
  const expiry = yield* CouponExpiry
  const sales = yield* SaleCounts
  const runFork = Runtime.runFork(yield* Effect.runtime<never>())

  /** In the background. A slot whose release fails is freed by the reaper. */
  const release = (campaignId: CampaignId, reservations: ReadonlyArray<Reservation>) =>
    reservations.length === 0
      ? Effect.void
      : Effect.asVoid(Effect.forkDaemon(Effect.ignore(gate.release(campaignId, reservations))))

  /**
   * The outcomes with the expiry of their coupons. The commit stands, so a ledger that cannot say when they expire is
   * asked again, and later batches do not wait for that.
   */
  const dated = (
    outcomes: ReadonlyArray<CommitOutcome>,
    expiresAt: Effect.Effect<EpochMillis | undefined, LedgerUnavailable>,
    stepAside: () => void
  ): Effect.Effect<ReadonlyArray<CommitOutcome>> =>
    expiresAt.pipe(
      Effect.catchAll(() => Effect.zipRight(Effect.sync(stepAside), Effect.retry(expiresAt, untilResolved))),
      Effect.orDie,
      Effect.map((at) =>
        at === undefined ? outcomes : outcomes.map((outcome) =>
          outcome._tag === "Issued" ? { _tag: "Issued", coupon: { ...outcome.coupon, expiresAt: at } } : outcome
        )
      )
    )

  /** Later batches do not wait for this one, which may be resolved only when the ledger is back: they fail at once. */
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
      Effect.map((verdicts) => verdicts.map(fromVerdict(failure.cause))),
      Effect.orDie,
      Effect.flatMap((outcomes) => {
        const issued = outcomes.find((outcome) => outcome._tag === "Issued")
        return issued === undefined
          ? Effect.succeed(outcomes)
          : dated(outcomes, Effect.map(expiry.of([issued.coupon]), ([at]) => at), stepAside)
      })
    )

  const unavailable = (batch: ClaimBatch, failure: LedgerUnavailable) => {
    const reason = new Unavailable({ retryAfterSeconds: 1, cause: failure.cause })
    return Effect.succeed(batch.claims.map((): CommitOutcome => ({ _tag: "Rejected", reason })))
  }

  const run = (
    campaignId: CampaignId,
    queued: ReadonlyArray<QueuedClaim>,
    stepAside: () => void
  ): Effect.Effect<ReadonlyArray<CommitOutcome>> => {
    sales.add(campaignId, "reserved", queued.length)
    const batch: ClaimBatch = {
      batchId: TracedClaims.batchId(campaignId, queued),
      campaignId,
      claims: queued.map(({ userId }) => ({ userId, code: CouponCode.generate() }))
    }
    return ledger.issue(batch).pipe(
      Effect.flatMap((verdicts): Effect.Effect<ReadonlyArray<CommitOutcome>> => {
        const issued = verdicts.findLast((verdict) => verdict._tag === "Issued")
        const outcomes = verdicts.every(isOutcome) ? verdicts : verdicts.map(fromVerdict("the user was erased"))
        return issued?.validity === undefined
          ? Effect.succeed(outcomes)
          : dated(outcomes, expiry.ofIssued(issued.coupon, issued.validity), stepAside)
      }),
      Effect.catchTags({
        CommitInDoubt: (failure) => inDoubt(batch, failure, stepAside),
        LedgerUnavailable: (failure) => unavailable(batch, failure)
      }),
      Effect.tap((outcomes) => {
        const rejected: Array<Reservation> = []
        let issued = 0
        outcomes.forEach((outcome, i) => {
          const { reservation, userId } = queued[i]!
          if (outcome._tag === "Issued") issued++
          else if (reservation !== undefined) rejected.push({ userId, value: reservation })
        })
        sales.add(campaignId, "committed", issued)
        return Effect.zipRight(release(campaignId, rejected), issued > 0 ? relay.wake : Effect.void)
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

  // The last finalizer to run: admitted claims are decided, and the gate is updated, before the stores close.
  yield* Effect.addFinalizer(() =>
    batcher.idle.pipe(
      Effect.zipRight(relay.settle),
      Shutdown.within(config.shutdownTimeout),
      Effect.catchAllCause((cause) =>
        Effect.logWarning("left with unsettled work; another instance will take it over", cause)
      )
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
