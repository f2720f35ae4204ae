import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { randomBytes } from "node:crypto"
import { OutboxRelay } from "../agents/outbox/OutboxRelay.ts"
import { rootMessage } from "../base/RootMessage.ts"
import { AppConfig } from "../config/AppConfig.ts"
import * as Shutdown from "../config/Shutdown.ts"
import type { CampaignId } from "../domain/CampaignId.ts"
import { Unavailable } from "../domain/Failure.ts"
import type { CommitInDoubt } from "../ports/Ledger.ts"
import { type RedemptionAnswer, type RedemptionBatch, type RedemptionItem, Redemptions } from "../ports/Redemptions.ts"
import * as Batcher from "./Batcher.ts"
import { untilResolved } from "./UntilResolved.ts"

/** The ledger's answer, or `Unavailable`: nothing was done, now or later. */
export type RedemptionOutcome = RedemptionAnswer | Unavailable

/**
 * Commits redemptions in groups, as `GroupCommit` does claims: a campaign has one transaction in flight, and the next
 * one takes what queued meanwhile. A commit in doubt is resolved before it is answered.
 */
export class RedemptionCommit extends Context.Tag("coupon/issuance/RedemptionCommit")<RedemptionCommit, {
  /** `expiresAt` in milliseconds of `performance.now()`. */
  readonly commit: (
    campaignId: CampaignId,
    item: RedemptionItem,
    expiresAt: number
  ) => Effect.Effect<RedemptionOutcome, Batcher.BatchTimeout>
  /** Requests that queue or are under way. */
  readonly size: () => number
}>() {}

/** As many claims run in halves (`GroupCommit`). */
const HALVES_ABOVE = 32

/**
 * The positions of these items, in batches that have each coupon and each request id once. Items of one coupon or one
 * id keep their order.
 */
export const waves = (items: ReadonlyArray<RedemptionItem>): ReadonlyArray<ReadonlyArray<number>> => {
  const next = new Map<string, number>()
  const found: Array<Array<number>> = []
  items.forEach(({ couponId, requestId }, position) => {
    const keys = [`coupon ${couponId}`, `request ${requestId}`]
    const wave = Math.max(...keys.map((key) => next.get(key) ?? 0))
    for (const key of keys) next.set(key, wave + 1)
    if (found[wave] === undefined) found.push([])
    found[wave]!.push(position)
  })
  return found
}

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const redemptions = yield* Redemptions
  const relay = yield* OutboxRelay

  const unavailable = (cause: unknown) => new Unavailable({ retryAfterSeconds: 1, cause })

  /** Later batches do not wait for this one, which may be resolved only when the ledger is back. */
  const inDoubt = (batch: RedemptionBatch, failure: CommitInDoubt, stepAside: () => void) =>
    Effect.logWarning(`a commit of redemptions is in doubt; asking the ledger: ${rootMessage(failure.cause)}`).pipe(
      Effect.annotateLogs({ campaignId: batch.campaignId, batchId: batch.batchId, redemptions: batch.items.length }),
      Effect.zipRight(Effect.sync(stepAside)),
      Effect.zipRight(Effect.retry(redemptions.resolve(batch), untilResolved)),
      Effect.map((answers) => answers.map((answer): RedemptionOutcome => answer ?? unavailable(failure.cause))),
      Effect.orDie
    )

  const commit = (batch: RedemptionBatch, stepAside: () => void): Effect.Effect<ReadonlyArray<RedemptionOutcome>> =>
    Effect.catchTags(redemptions.commit(batch), {
      CommitInDoubt: (failure) => inDoubt(batch, failure, stepAside),
      LedgerUnavailable: ({ cause }) => Effect.succeed(batch.items.map(() => unavailable(cause)))
    })

  const run = (campaignId: CampaignId, items: ReadonlyArray<RedemptionItem>, stepAside: () => void) =>
    Effect.gen(function*() {
      const outcomes = new Array<RedemptionOutcome>(items.length)
      for (const positions of waves(items)) {
        const batch: RedemptionBatch = {
          batchId: randomBytes(16).toString("hex"),
          campaignId,
          items: positions.map((position) => items[position]!)
        }
        const answers = yield* commit(batch, stepAside)
        positions.forEach((position, index) => outcomes[position] = answers[index]!)
      }
      if (outcomes.some(({ _tag }) => _tag === "Done")) yield* relay.wake
      return outcomes
    }).pipe(Effect.uninterruptible)

  const batcher = yield* Batcher.make<RedemptionItem, RedemptionOutcome, never>({
    maxBatch: config.issueBatchSize,
    maxInFlight: 1,
    halvesAbove: HALVES_ABOVE,
    run
  })
  // What was admitted is answered before the stores close.
  yield* Effect.addFinalizer(() => Effect.ignore(Shutdown.within(config.shutdownTimeout)(batcher.idle)))

  return RedemptionCommit.of({ commit: batcher.submit, size: batcher.size })
})

export const layer = Layer.scoped(RedemptionCommit, make)
