import { layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { expect } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import { erasedUser } from "../../src/domain/Coupon.ts"
import { AuditLog } from "../../src/ports/AuditLog.ts"
import type { CampaignStore } from "../../src/ports/CampaignStore.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import { type Erasure, Erasures } from "../../src/ports/operation/Erasures.ts"
import { Outbox } from "../../src/ports/Outbox.ts"
import { batchId, batchOf, createCampaign, draft, expectConsistent, tagsOf, users } from "./ledger.exercise.ts"

const erasures = Effect.serviceFunctions(Erasures)

const of = (campaignId: number, couponId: number, user: number | bigint, more: Partial<Erasure> = {}): Erasure => ({
  changeId: batchId(), actor: named("officer"), campaignId, couponId, userId: BigInt(user), reason: "ticket 7",
  settledMillis: 0, ...more
})

/** A campaign whose coupons 1 to `count` users of these numbers hold, all of them with the gate. */
const issued = (count: number) =>
  Effect.gen(function*() {
    const { campaignId } = yield* createCampaign(draft({ couponLimit: count + 1 }))
    yield* Effect.flatMap(Ledger, (ledger) => ledger.issue(batchOf(campaignId, users(1, count))))
    yield* relay
    return campaignId
  })

/** Settles all that the outbox has. */
const relay = Effect.flatMap(Outbox, (outbox) =>
  outbox.poll(1_000, (events) => Effect.succeed(events.map(({ id }) => id))))

const claim = (campaignId: number, user: number) =>
  Effect.flatMap(Ledger, (ledger) => Effect.map(ledger.issue(batchOf(campaignId, [user])), tagsOf))

const noted = (campaignId: number) =>
  Effect.map(erasures.recent(undefined, 1_000), (all) => all.filter((coupon) => coupon.campaignId === campaignId))

const acts = (campaignId: number) =>
  Effect.flatMap(AuditLog, (audit) =>
    audit.list({ beforeId: undefined, limit: 10, campaignId, action: "coupon.erase" }))

/** The `Erasures` port, on whichever store the layer provides. */
export const exercise = <E>(
  name: string,
  layer: Layer.Layer<AuditLog | CampaignStore | Erasures | Ledger | Outbox, E>
): void =>
  withLayer(layer, { excludeTestServices: true, timeout: "240 seconds" })(name, (it) => {
    it.effect("leaves number, code and time of a coupon as they are, and forgets its user", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const user = 9_223_372_036_854_775_807n
        const campaignId = yield* issued(2)
        yield* ledger.issue(batchOf(campaignId, [user]))
        yield* relay
        const before = yield* ledger.listCoupons(campaignId, 0, 10)
        const erasure = of(campaignId, 3, user)
        expect(yield* erasures.erase(erasure)).toBe("Erased")
        const after = yield* ledger.listCoupons(campaignId, 0, 10)
        expect(after).toEqual([before[0], before[1], { ...before[2]!, userId: erasedUser(3) }])
        expect(after[2]!.userId).toBe(-3n)
        expect(yield* ledger.findCoupons(campaignId, [user])).toEqual([])
        expect(yield* ledger.findByCode(campaignId, before[2]!.code)).toEqual(after[2])
        expect(yield* noted(campaignId)).toEqual([{ campaignId, couponId: 3, userId: user }])
        yield* expectConsistent(campaignId, 3)
        // Who did it, to which coupon and why, and nowhere to whom.
        const [act] = yield* acts(campaignId)
        expect(act).toMatchObject({
          action: "coupon.erase", actor: { name: "officer" }, outcome: "DONE", campaignId,
          before: undefined, after: { coupon: { number: 3, reason: "ticket 7" } }
        })
        expect(JSON.stringify(act, (_, value) => typeof value === "bigint" ? String(value) : value))
          .not.toContain(String(user))
        yield* erasures.followed(campaignId, [3])
        expect(yield* noted(campaignId)).toEqual([{ campaignId, couponId: 3, userId: undefined }])
      }))

    it.effect("does nothing twice, and nothing to the coupon of another user", () =>
      Effect.gen(function*() {
        const campaignId = yield* issued(2)
        const erasure = of(campaignId, 1, 1)
        expect(yield* erasures.erase(erasure)).toBe("Erased")
        // Sent again, after a commit in doubt; and by another call.
        expect(yield* erasures.erase(erasure)).toBe("Erased")
        expect(yield* erasures.erase(of(campaignId, 1, 1))).toBe("Absent")
        expect(yield* erasures.erase(of(campaignId, 2, 1))).toBe("Absent")
        expect(yield* erasures.erase(of(campaignId, 9, 9))).toBe("Absent")
        expect(yield* erasures.erase(of(2_147_483_647, 1, 1))).toBe("Absent")
        expect(yield* acts(campaignId)).toHaveLength(1)
        expect(yield* noted(campaignId)).toHaveLength(1)
        yield* expectConsistent(campaignId, 2)
      }))

    it.effect("makes the user a new one, who gets one more coupon and no two", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const campaignId = yield* issued(2)
        expect(yield* claim(campaignId, 1)).toEqual(["CouponAlreadyClaimed"])
        expect(yield* erasures.erase(of(campaignId, 1, 1))).toBe("Erased")
        expect(yield* claim(campaignId, 1)).toEqual(["Issued"])
        expect(yield* claim(campaignId, 1)).toEqual(["CouponAlreadyClaimed"])
        expect(yield* claim(campaignId, 3)).toEqual(["CouponSoldOut"])
        yield* relay
        // A late copy of the first erasure is about the first coupon.
        expect(yield* erasures.erase(of(campaignId, 1, 1))).toBe("Absent")
        expect(yield* ledger.findCoupons(campaignId, [1n])).toMatchObject([{ id: 3 }])
        expect(yield* erasures.erase(of(campaignId, 3, 1))).toBe("Erased")
        expect((yield* ledger.listCoupons(campaignId, 0, 9)).map(({ userId }) => userId)).toEqual([-1n, 2n, -3n])
        yield* expectConsistent(campaignId, 3)
      }))

    it.effect("leaves coupons alone that are too young, or that the outbox still has", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const campaignId = yield* issued(1)
        expect(yield* erasures.erase(of(campaignId, 1, 1, { settledMillis: 3_600_000 }))).toBe("NotSettled")
        yield* ledger.issue(batchOf(campaignId, [2]))
        expect(yield* erasures.erase(of(campaignId, 2, 2))).toBe("NotSettled")
        expect((yield* ledger.listCoupons(campaignId, 0, 9)).map(({ userId }) => userId)).toEqual([1n, 2n])
        expect(yield* noted(campaignId)).toEqual([])
        expect(yield* acts(campaignId)).toEqual([])
        yield* relay
        expect(yield* erasures.erase(of(campaignId, 2, 2))).toBe("Erased")
      }))

    it.effect("notes what was erased, in pages, until the gate has followed and it is old", () =>
      Effect.gen(function*() {
        const campaignId = yield* issued(5)
        for (let id = 1; id <= 5; id++) yield* erasures.erase(of(campaignId, id, id))
        const seen: Array<number> = []
        let position: { readonly campaignId: number; readonly couponId: number } | undefined
        for (;;) {
          const page = yield* erasures.recent(position, 2)
          seen.push(...page.filter((coupon) => coupon.campaignId === campaignId).map(({ couponId }) => couponId))
          if (page.length < 2) break
          position = page.at(-1)
        }
        expect(seen).toEqual([1, 2, 3, 4, 5])
        yield* erasures.followed(campaignId, [])
        yield* erasures.followed(campaignId, [2, 4])
        yield* erasures.followed(campaignId, [2, 4])
        yield* erasures.purge(3_600_000)
        expect((yield* noted(campaignId)).map(({ userId }) => userId)).toEqual([1n, undefined, 3n, undefined, 5n])
        yield* erasures.purge(-3_600_000)
        expect((yield* noted(campaignId)).map(({ couponId }) => couponId)).toEqual([1, 3, 5])
      }))

    it.effect("erases each user once, among claims at the same time", () =>
      Effect.gen(function*() {
        const count = 20
        const ledger = yield* Ledger
        const { campaignId } = yield* createCampaign(draft({ couponLimit: count * 3 }))
        yield* ledger.issue(batchOf(campaignId, users(1, count)))
        yield* relay
        const ids = Array.from({ length: count }, (_, index) => index + 1)
        const [first, copies, claims] = yield* Effect.all([
          Effect.forEach(ids, (id) => erasures.erase(of(campaignId, id, id)), { concurrency: 4 }),
          Effect.forEach(ids, (id) => erasures.erase(of(campaignId, id, id)), { concurrency: 4 }),
          Effect.forEach(ids, (id) => claim(campaignId, id), { concurrency: 4 })
        ], { concurrency: "unbounded" })
        expect([...first, ...copies].filter((verdict) => verdict === "Erased")).toHaveLength(count)
        expect([...first, ...copies].filter((verdict) => verdict === "Absent")).toHaveLength(count)
        // A claim finds the coupon, or its number free, or held it at the commit and not any more.
        for (const tags of claims) expect(["CouponAlreadyClaimed", "Issued", "NotIssued"]).toContain(tags[0])
        const again = claims.filter(([tag]) => tag === "Issued").length
        const coupons = yield* ledger.listCoupons(campaignId, 0, count * 3)
        expect(coupons.slice(0, count).map(({ userId }) => userId)).toEqual(ids.map(erasedUser))
        expect(coupons).toHaveLength(count + again)
        yield* expectConsistent(campaignId, count + again)
      }))
  })
