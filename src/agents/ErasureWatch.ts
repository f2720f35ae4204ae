import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../config/AppConfig.ts"
import type { CampaignId } from "../domain/CampaignId.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import { Gate } from "../ports/Gate.ts"
import { Ledger, type LedgerUnavailable } from "../ports/Ledger.ts"
import { type ErasedCoupon, type ErasedPosition, Erasures } from "../ports/operation/Erasures.ts"
import * as Agent from "./Agent.ts"
import { GateRebuilder } from "./GateRebuilder.ts"
import { HeldCoupons } from "./HeldCoupons.ts"
import * as CouponSinks from "./outbox/CouponSinks.ts"
import type { SinkUnavailable } from "./outbox/CouponSinks.ts"

/**
 * Brings erasures of users from the ledger to what this instance remembers, and to the gate
 * (docs/internals/protocol.md, "Erasure").
 */
export class ErasureWatch extends Context.Tag("coupon/agents/ErasureWatch")<ErasureWatch, {
  /** Looks once. What the gate does not take stays in the ledger for the next look, at whichever instance. */
  readonly runOnce: Effect.Effect<void, LedgerUnavailable | SinkUnavailable>
}>() {}

/** How long the ledger keeps what was erased, so that each instance sees it several times. */
const KEPT_MILLIS = 60_000

/** An instance that has not looked for this long may have missed some of it, and forgets all that it remembers. */
const MISSED_MILLIS = 30_000

const PAGE = 1_000

/** A coupon of which the gate does not know yet. */
type Pending = ErasedCoupon & { readonly userId: UserId }

const isPending = (coupon: ErasedCoupon): coupon is Pending => coupon.userId !== undefined

export const make = Effect.gen(function*() {
  const { requestTimeout } = yield* AppConfig
  const erasures = yield* Erasures
  const gate = yield* Gate
  const handOver = yield* CouponSinks.make
  const held = yield* HeldCoupons
  const ledger = yield* Ledger
  const rebuilder = yield* GateRebuilder
  // A claim remembers its coupon when it ends, which may be after the user was erased.
  const keptMillis = KEPT_MILLIS + Duration.toMillis(requestTimeout)
  let lookedAt: number | undefined

  /** Has the gate rebuilt from the ledger, as it lacks a coupon that it should know. */
  const rebuild = (campaignId: CampaignId) =>
    Effect.gen(function*() {
      const { generation, hydrated } = yield* gate.inspect(campaignId)
      if (hydrated && generation !== undefined) yield* gate.cold(campaignId, generation)
      yield* rebuilder.attempt(campaignId)
    })

  /**
   * A user who claims again stays in the gate for that other coupon. The ledger is asked before, and once more after
   * for coupons that came in between.
   */
  const follow = (campaignId: CampaignId, coupons: ReadonlyArray<Pending>) =>
    Effect.gen(function*() {
      const users = coupons.map(({ userId }) => userId)
      const before = new Set((yield* ledger.findCoupons(campaignId, users)).map(({ userId }) => userId))
      const followed = yield* gate.erase(
        campaignId,
        coupons.map(({ couponId, userId }) => ({ id: couponId, userId, holdsAnother: before.has(userId) }))
      )
      const since: ReadonlyArray<Coupon> = yield* ledger.findCoupons(
        campaignId,
        users.filter((userId) => !before.has(userId))
      )
      if (since.length > 0) yield* handOver(campaignId, since)
      const done = coupons.filter((_, index) => followed[index])
      yield* erasures.followed(campaignId, done.map(({ couponId }) => couponId))
      if (done.length < coupons.length) yield* rebuild(campaignId)
    })

  /** Returns what the gate has to follow, and how many coupons there are. */
  const drop = Effect.gen(function*() {
    const pending: Array<Pending> = []
    let position: ErasedPosition | undefined
    for (;;) {
      const page = yield* erasures.recent(position, PAGE)
      if (page.length > 0) {
        const campaigns = Map.groupBy(page, ({ campaignId }) => campaignId)
        held.drop(
          new Map(Array.from(campaigns, ([id, coupons]) => [id, new Set(coupons.map(({ couponId }) => couponId))]))
        )
      }
      pending.push(...page.filter(isPending))
      if (page.length < PAGE) return { pending, isEmpty: position === undefined && page.length === 0 }
      position = page.at(-1)
    }
  })

  const runOnce = Effect.gen(function*() {
    const startedAt = yield* Clock.currentTimeNanos
    const now = Number(startedAt / 1_000_000n)
    if (lookedAt !== undefined && now - lookedAt > MISSED_MILLIS) held.clear()
    const { isEmpty, pending } = yield* drop
    lookedAt = now
    if (isEmpty) return
    yield* Agent.forEach(
      Map.groupBy(pending, ({ campaignId }) => campaignId),
      ([campaignId, coupons]) => follow(campaignId, coupons)
    )
    yield* erasures.purge(keptMillis)
  })

  return ErasureWatch.of({ runOnce })
})

export const layer = Layer.effect(ErasureWatch, make)
