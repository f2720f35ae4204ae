import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ErasureWatch } from "../../agents/ErasureWatch.ts"
import { OutboxRelay } from "../../agents/outbox/OutboxRelay.ts"
import { untilResolved } from "../../claim/UntilResolved.ts"
import { AppConfig } from "../../config/AppConfig.ts"
import type { Actor } from "../../domain/Actor.ts"
import type { CampaignId } from "../../domain/CampaignId.ts"
import { changeBy } from "../../domain/ChangeRecord.ts"
import type { Coupon, UserId } from "../../domain/Coupon.ts"
import { OutcomeUnknown, Unavailable } from "../../domain/Failure.ts"
import { Ledger } from "../../ports/Ledger.ts"
import { type Erasure, Erasures } from "../../ports/operation/Erasures.ts"

/** A user who is to be erased. */
export interface ErasureRequest {
  readonly userId: UserId
  /** Beyond the campaigns up to this one; `undefined`: from the first on. */
  readonly afterCampaign: CampaignId | undefined
  /** For the audit log, at most 200 characters. */
  readonly reason: string
  readonly actor: Actor
}

/** What a call has erased. */
export interface ErasedUser {
  /** In how many coupons. */
  readonly coupons: number
  /** `afterCampaign` for the next call; `undefined`: the user is erased in all campaigns. */
  readonly next: CampaignId | undefined
}

/** Erases users from the coupons that they hold (docs/internals/protocol.md, "Erasure"). */
export class UserErasure extends Context.Tag("coupon/issuance/UserErasure")<UserErasure, {
  /**
   * Erases the user in the next campaigns, a transaction a coupon, at most `COUPONS` a call. A call that fails may have
   * erased some; repeated, it goes on. `Unavailable`: a store is away, or a coupon was issued within REQUEST_TIMEOUT.
   */
  readonly erase: (request: ErasureRequest) => Effect.Effect<ErasedUser, Unavailable | OutcomeUnknown>
}>() {}

/** Coupons that one call erases at most, and side by side. */
export const COUPONS = 100
const CONCURRENCY = 4

/** How long a call waits for a coupon that the relay is about to settle: a second. */
const SETTLING_PAUSE_MILLIS = 50
const SETTLING_PAUSES = 20

export const make = Effect.gen(function*() {
  const { requestTimeout } = yield* AppConfig
  const erasures = yield* Erasures
  const ledger = yield* Ledger
  const relay = yield* OutboxRelay
  const watch = yield* ErasureWatch
  const settledMillis = Duration.toMillis(requestTimeout)

  /** A commit in doubt is sent again under the same change id, which does nothing twice. */
  const send = (erasure: Erasure) =>
    erasures.erase(erasure).pipe(
      Effect.retry({ schedule: untilResolved, while: ({ _tag }) => _tag === "CommitInDoubt" }),
      Effect.mapError(({ _tag, cause }) =>
        _tag === "CommitInDoubt" ? new OutcomeUnknown() : new Unavailable({ retryAfterSeconds: 1, cause }))
    )

  /**
   * A coupon is left alone until its claim has an answer, and until the relay has brought it to the gate. The latter
   * takes milliseconds, for which the call waits.
   */
  const untilSettled = (erasure: Erasure, patience: number): Effect.Effect<number, Unavailable | OutcomeUnknown> =>
    Effect.flatMap(send(erasure), (verdict) => {
      if (verdict !== "NotSettled") return Effect.succeed(verdict === "Erased" ? 1 : 0)
      if (patience <= 0) {
        return new Unavailable({ retryAfterSeconds: settledMillis / 1_000, cause: "the coupon was issued just now" })
      }
      return relay.wake.pipe(
        Effect.zipRight(Effect.sleep(Duration.millis(SETTLING_PAUSE_MILLIS))),
        Effect.zipRight(untilSettled(erasure, patience - 1))
      )
    })

  const eraseIn = ({ campaignId, id, userId }: Coupon, { actor, reason }: ErasureRequest) =>
    untilSettled(
      { ...changeBy(actor), campaignId, couponId: id, userId, reason, settledMillis },
      SETTLING_PAUSES
    )

  return UserErasure.of({
    erase: (request) =>
      Effect.gen(function*() {
        const { afterCampaign: position, userId } = request
        const { coupons, next } = yield* Effect.mapError(
          ledger.couponsOfUser({
            userId, position, descending: false, limit: COUPONS, from: undefined, before: undefined
          }),
          ({ cause }) => new Unavailable({ retryAfterSeconds: 1, cause })
        )
        const erased = yield* Effect.forEach(coupons, (coupon) => eraseIn(coupon, request), {
          concurrency: CONCURRENCY
        }).pipe(
          // Also after a failure: some may be erased.
          Effect.ensuring(
            Effect.catchAllCause(watch.runOnce, (cause) =>
              Effect.logDebug("the gate does not have an erasure yet; the watch will bring it", cause))
          )
        )
        return { coupons: erased.reduce((sum, one) => sum + one, 0), next }
      })
  })
})

export const layer = Layer.effect(UserErasure, make)
