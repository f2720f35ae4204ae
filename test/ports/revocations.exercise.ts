import { layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { expect } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import { type Campaign, settingsOf } from "../../src/domain/Campaign.ts"
import { AuditLog } from "../../src/ports/AuditLog.ts"
import type { CampaignStore } from "../../src/ports/CampaignStore.ts"
import type { EventLog } from "../../src/ports/EventLog.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import type { Outbox } from "../../src/ports/Outbox.ts"
import type { Redemptions} from "../../src/ports/Redemptions.ts"
import {
  type RedemptionAnswer, type RedemptionItem, type Revocation, revocationBatch
} from "../../src/ports/Redemptions.ts"
import { batchId, batchOf, campaigns, createCampaign, draft, tagsOf, users } from "./ledger.exercise.ts"
import { events, expectAgreed, item, redemptions, standings } from "./redemptions.exercise.ts"

const revocationItem = (couponId: number, overrides: Partial<RedemptionItem> = {}): RedemptionItem =>
  item(couponId, { action: "REVOKE", ...overrides })

const keep = (campaignId: number, of: RedemptionItem): Revocation =>
  ({ changeId: batchId(), actor: named("operator"), campaignId, item: of, raise: undefined })

/** A revocation that returns its slot, decided on the campaign as it is. */
const giveBack = (from: Campaign, of: RedemptionItem): Revocation => ({
  ...keep(from.campaignId, { ...of, slotReturned: true }),
  raise: {
    from,
    to: { ...settingsOf(from), couponLimit: from.couponLimit + 1, returned: from.returned + 1 }
  }
})

const brief = (answer: RedemptionAnswer | { readonly _tag: "Stale" } | undefined): string =>
  answer === undefined ? "nothing" : answer._tag === "Refused" ? answer.reason : answer._tag

/** A campaign that has sold out with this many coupons. */
const soldOut = (count: number) =>
  Effect.gen(function*() {
    const { campaignId } = yield* createCampaign(draft({ couponLimit: count }))
    yield* Effect.flatMap(Ledger, (ledger) => ledger.issue(batchOf(campaignId, users(1, count))))
    return (yield* campaigns.find(campaignId))!
  })

const claim = (campaignId: number, user: number) =>
  Effect.flatMap(Ledger, (ledger) => Effect.map(ledger.issue(batchOf(campaignId, users(user, 1))), tagsOf))

/** The revocations of the `Redemptions` port, on whichever store the layer provides. */
export const exercise = <E>(
  name: string,
  layer: Layer.Layer<AuditLog | CampaignStore | EventLog | Ledger | Outbox | Redemptions, E>
): void =>
  withLayer(layer, { excludeTestServices: true, timeout: "240 seconds" })(name, (it) => {
    it.effect("revokes a coupon for good, and keeps its slot used", () =>
      Effect.gen(function*() {
        const { campaignId } = yield* soldOut(2)
        const details = { terminalId: "", orderRef: "", reason: "stolen card", occurredAt: undefined }
        const one = keep(campaignId, revocationItem(2, { details }))
        const done = yield* redemptions.revoke(one)
        if (done._tag !== "Done") throw new Error(`${brief(done)} instead of Done`)
        expect(done.redemption).toMatchObject({
          sequence: 1, couponId: 2, action: "REVOKE", reason: "stolen card", slotReturned: false
        })
        expect(yield* standings(campaignId, [1, 2])).toEqual([
          { campaignId, couponId: 2, state: "REVOKED", sequence: 1, at: done.redemption.at, terminalId: "" }
        ])
        const refused = { _tag: "Refused", reason: "REVOKED", standing: done.redemption }
        expect(yield* redemptions.revoke(keep(campaignId, revocationItem(2)))).toEqual(refused)
        const till = { batchId: batchId(), campaignId, items: [item(2)] }
        expect(yield* redemptions.commit(till)).toEqual([refused])
        expect(yield* claim(campaignId, 2)).toEqual(["CouponAlreadyClaimed"])
        expect(yield* claim(campaignId, 3)).toEqual(["CouponSoldOut"])
        expect(yield* campaigns.find(campaignId)).toMatchObject({ couponLimit: 2, returned: 0, version: 1 })
        const [act] = yield* Effect.flatMap(AuditLog, (audit) =>
          audit.list({ beforeId: undefined, limit: 1, campaignId }))
        expect(act).toMatchObject({
          action: "coupon.revoke",
          actor: { name: "operator" },
          outcome: "DONE",
          after: { coupon: { number: 2, requestId: one.item.requestId, reason: "stolen card" } }
        })
        yield* expectAgreed(campaignId)
      }))

    it.effect("returns a slot: exactly one more user gets a coupon (R5)", () =>
      Effect.gen(function*() {
        const from = yield* soldOut(2)
        const { campaignId } = from
        expect(yield* claim(campaignId, 3)).toEqual(["CouponSoldOut"])
        yield* campaigns.announceRaise(campaignId, from.version, 3)
        const returned = giveBack(from, revocationItem(1))
        const done = yield* redemptions.revoke(returned)
        expect(done).toMatchObject({ _tag: "Done", redemption: { slotReturned: true } })
        expect(yield* campaigns.find(campaignId)).toMatchObject({
          couponLimit: 3, announcedLimit: 3, returned: 1, issuedCount: 2, version: 2, phase: "OPEN",
          soldOutAt: undefined
        })
        // Its user does not get a second one, and of the others one does.
        expect(yield* claim(campaignId, 1)).toEqual(["CouponAlreadyClaimed"])
        const ledger = yield* Ledger
        const verdicts = yield* ledger.issue(batchOf(campaignId, users(3, 4)))
        expect(tagsOf(verdicts).filter((tag) => tag === "Issued")).toEqual(["Issued"])
        expect(yield* campaigns.find(campaignId)).toMatchObject({ issuedCount: 3, phase: "SOLD_OUT" })
        const [act] = yield* Effect.flatMap(AuditLog, (audit) =>
          audit.list({ beforeId: undefined, limit: 1, campaignId }))
        expect(act).toMatchObject({
          action: "campaign.return",
          before: { couponLimit: 2, version: 1 },
          after: { couponLimit: 3, returned: 1, version: 2, coupon: { number: 1 } }
        })
        yield* expectAgreed(campaignId)
        const log = yield* events(campaignId)
        const types = log.map(({ type }) => type)
        expect(types).toEqual([
          "campaign.created", "coupon.issued", "campaign.sold_out", "coupon.revoked", "campaign.updated",
          "coupon.issued", "campaign.sold_out"
        ])
        expect(log[3]!.payload).toMatchObject({ number: 1, slotReturned: true })
        expect(log[4]!.payload).toMatchObject({
          version: 2, couponLimit: 3, returned: 1,
          changed: expect.arrayContaining(["couponLimit", "returned"]),
          previous: { couponLimit: 2, returned: null }
        })
        expect(log[4]!.payload).not.toHaveProperty("coupon")
        expect(log[6]!.payload).toEqual({ version: 2, couponLimit: 3 })
      }))

    it.effect("gives a request one answer for good, and another choice of the slot a conflict", () =>
      Effect.gen(function*() {
        const from = yield* soldOut(3)
        const { campaignId } = from
        const returned = giveBack(from, revocationItem(1))
        const done = yield* redemptions.revoke(returned)
        const now = (yield* campaigns.find(campaignId))!
        expect(yield* redemptions.answers(revocationBatch(returned))).toEqual([done])
        const again = giveBack(now, returned.item)
        expect(yield* redemptions.revoke(again)).toEqual(done)
        // Also where the campaign is another one by now.
        expect(yield* redemptions.revoke({ ...again, changeId: batchId(), raise: returned.raise })).toEqual(done)
        const kept = { ...returned.item, slotReturned: false }
        expect(yield* redemptions.revoke(keep(campaignId, kept))).toEqual({ _tag: "Conflict" })
        expect(yield* campaigns.find(campaignId)).toMatchObject({ couponLimit: 4, returned: 1, version: 2 })
        expect(yield* redemptions.answers(revocationBatch(keep(campaignId, revocationItem(2))))).toEqual([undefined])
        yield* expectAgreed(campaignId)
      }))

    it.effect("returns nothing by a campaign that is another one, nor without one", () =>
      Effect.gen(function*() {
        const from = yield* soldOut(2)
        const { campaignId } = from
        const of = revocationItem(1, { slotReturned: true })
        expect(brief(yield* redemptions.revoke(keep(campaignId, of)))).toBe("Stale")
        yield* campaigns.change({
          changeId: batchId(), actor: named("other"), action: "campaign.update", from,
          to: { ...settingsOf(from), name: "another" }
        })
        expect(brief(yield* redemptions.revoke(giveBack(from, of)))).toBe("Stale")
        expect(yield* standings(campaignId, [1])).toEqual([])
        expect(yield* redemptions.answers(revocationBatch(keep(campaignId, of)))).toEqual([undefined])
        expect(yield* campaigns.find(campaignId)).toMatchObject({ couponLimit: 2, returned: 0, version: 2 })
        expect(brief(yield* redemptions.revoke(giveBack((yield* campaigns.find(campaignId))!, of)))).toBe("Done")
        yield* expectAgreed(campaignId)
      }))

    it.effect("revokes nothing that is redeemed or expired, and stores that", () =>
      Effect.gen(function*() {
        const from = yield* soldOut(3)
        const { campaignId } = from
        yield* redemptions.commit({ batchId: batchId(), campaignId, items: [item(1)] })
        const late = revocationItem(1, { slotReturned: true })
        expect(brief(yield* redemptions.revoke(giveBack(from, late)))).toBe("REDEEMED")
        const past = { expiresAt: Date.now() - 1_000 }
        expect(brief(yield* redemptions.revoke(keep(campaignId, revocationItem(2, past))))).toBe("EXPIRED")
        // Refusals need no campaign, and change none.
        const other = revocationItem(1, { slotReturned: true })
        expect(brief(yield* redemptions.revoke(keep(campaignId, other)))).toBe("REDEEMED")
        expect(yield* campaigns.find(campaignId)).toMatchObject({ couponLimit: 3, returned: 0, version: 1 })
        const undo = item(1, { action: "UNDO" })
        yield* redemptions.commit({ batchId: batchId(), campaignId, items: [undo] })
        expect(brief(yield* redemptions.revoke(giveBack(from, late)))).toBe("REDEEMED")
        expect(brief(yield* redemptions.revoke(giveBack(from, revocationItem(1))))).toBe("Done")
        yield* expectAgreed(campaignId)
      }))

    it.effect("settles a revocation in doubt for good", () =>
      Effect.gen(function*() {
        const from = yield* soldOut(3)
        const { campaignId } = from
        const made = giveBack(from, revocationItem(1))
        const done = yield* redemptions.revoke(made)
        expect(yield* redemptions.resolve(revocationBatch(made))).toEqual([done])
        const now = (yield* campaigns.find(campaignId))!
        for (const lost of [giveBack(now, revocationItem(2)), keep(campaignId, revocationItem(2))]) {
          expect(yield* redemptions.resolve(revocationBatch(lost))).toEqual([undefined])
          const late = yield* Effect.either(redemptions.revoke(lost))
          expect(late._tag === "Left" ? late.left._tag : brief(late.right)).toBe("CommitInDoubt")
          expect(yield* redemptions.resolve(revocationBatch(lost))).toEqual([undefined])
        }
        expect(yield* standings(campaignId, [2])).toEqual([])
        expect(yield* campaigns.find(campaignId)).toMatchObject({ couponLimit: 4, returned: 1, version: 2 })
        yield* expectAgreed(campaignId)
      }))

    it.effect("returns each slot once, among claims, redemptions and changes at the same time", () =>
      Effect.gen(function*() {
        const count = 12
        const { campaignId } = yield* soldOut(count)
        const returning = (couponId: number, requestId: string) =>
          Effect.gen(function*() {
            const of = revocationItem(couponId, { requestId })
            for (;;) {
              const answer = yield* redemptions.revoke(giveBack((yield* campaigns.find(campaignId))!, of))
              if (answer._tag !== "Stale") return brief(answer)
            }
          })
        const till = (couponId: number) =>
          Effect.map(
            redemptions.commit({
              batchId: batchId(), campaignId, items: [item(couponId)]
            }),
            ([answer]) => brief(answer)
          )
        const claims = Effect.flatMap(Ledger, (ledger) =>
          Effect.forEach(users(100, 30), (user) =>
            Effect.map(
              ledger.issue(batchOf(campaignId, [user])),
              (verdicts) => tagsOf(verdicts)
            ), { concurrency: 6 }))
        const ids = Array.from({ length: count }, (_, index) => index + 1)
        const [first, copies, tills] = yield* Effect.all([
          Effect.forEach(ids, (id) => returning(id, `revoke ${id}`), { concurrency: "unbounded" }),
          Effect.forEach(ids, (id) => returning(id, `revoke ${id}`), { concurrency: "unbounded" }),
          Effect.forEach(ids, till, { concurrency: "unbounded" }),
          claims
        ], { concurrency: "unbounded" })
        expect(copies).toEqual(first)
        const done = first.filter((of) => of === "Done").length
        expect(done + tills.filter((of) => of === "Done").length).toBe(count)
        expect(yield* campaigns.find(campaignId)).toMatchObject({
          couponLimit: count + done, returned: done, version: 1 + done
        })
        const late = yield* Effect.flatMap(Ledger, (ledger) => ledger.issue(batchOf(campaignId, users(500, count * 2))))
        expect(tagsOf(late).includes("CouponSoldOut")).toBe(true)
        expect(yield* campaigns.find(campaignId)).toMatchObject({ issuedCount: count + done })
        yield* expectAgreed(campaignId)
      }))
  })
