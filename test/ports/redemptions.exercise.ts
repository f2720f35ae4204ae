import { layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Layer from "effect/Layer"
import { expect } from "vitest"
import type { RedemptionDetails } from "../../src/domain/redemption/Redemption.ts"
import { type CouponValidity, parseValidity } from "../../src/domain/validity/CouponValidity.ts"
import { expiresAt } from "../../src/domain/validity/ValidityHistory.ts"
import { rulesOfZone } from "../../src/domain/validity/ZoneRules.ts"
import type { CampaignStore } from "../../src/ports/CampaignStore.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import { Outbox } from "../../src/ports/Outbox.ts"
import {
  type RedemptionAnswer, type RedemptionBatch, type RedemptionItem, Redemptions
} from "../../src/ports/Redemptions.ts"
import { batchId, batchOf, campaigns, createCampaign, draft, set, users } from "./ledger.exercise.ts"

const noDetails: RedemptionDetails = { terminalId: "", orderRef: "", reason: "", occurredAt: undefined }

/** The operations of the layer's `Redemptions`. */
export const redemptions = Effect.serviceFunctions(Redemptions)

let requests = 0

export const item = (couponId: number, overrides: Partial<RedemptionItem> = {}): RedemptionItem => ({
  action: "REDEEM",
  couponId,
  expiresAt: undefined,
  requestId: `request ${++requests}`,
  details: noDetails,
  slotReturned: false,
  ...overrides
})

const batch = (campaignId: number, items: ReadonlyArray<RedemptionItem>): RedemptionBatch => ({
  batchId: batchId(),
  campaignId,
  items
})

const commit = (campaignId: number, ...items: ReadonlyArray<RedemptionItem>) =>
  redemptions.commit(batch(campaignId, items))

export const standings = (campaignId: number, couponIds: ReadonlyArray<number>) =>
  Effect.map(
    redemptions.standings(couponIds.map((id) => ({ campaignId, id }))),
    ({ standings }) => standings.toSorted((a, b) => a.couponId - b.couponId)
  )

/** `Done`, `Conflict`, or why it was refused. */
const brief = (answer: RedemptionAnswer | undefined): string =>
  answer === undefined ? "nothing" : answer._tag === "Refused" ? answer.reason : answer._tag

const validity = (after: string, endOfDayZone = ""): CouponValidity =>
  Either.getOrThrow(parseValidity({ until: "", after, endOfDayZone }))!

/** A campaign with this many coupons. */
const issued = (count: number) =>
  Effect.gen(function*() {
    const { campaignId } = yield* createCampaign(draft())
    const ledger = yield* Ledger
    yield* ledger.issue(batchOf(campaignId, users(1, count)))
    return campaignId
  })

export const events = (campaignId: number) =>
  Effect.gen(function*() {
    const outbox = yield* Outbox
    const log = yield* EventLog
    for (;;) {
      const { taken } = yield* outbox.poll(1_000, (of) => Effect.succeed(of.map(({ id }) => id)))
      if (taken === 0) break
    }
    return yield* log.read(campaignId, 0, 10_000)
  })

/**
 * R1 and R4: what was done to the coupons is numbered without a gap; each coupon's redemptions less its undos are 0 or
 * 1 and agree with its state; the event log has the same acts in the same order.
 */
export const expectAgreed = (campaignId: number) =>
  Effect.gen(function*() {
    const acts = yield* redemptions.list({ campaignId, couponId: undefined, afterSequence: 0, limit: 10_000 })
    expect(acts.map(({ sequence }) => sequence)).toEqual(acts.map((_, index) => index + 1))
    const standing = new Map<number, { readonly state: string; readonly sequence: number }>()
    for (const { action, couponId, sequence } of acts) {
      const before = standing.get(couponId)?.state
      if (action === "UNDO") {
        expect(before).toBe("REDEEMED")
        standing.delete(couponId)
      } else {
        expect(before).toBe(undefined)
        standing.set(couponId, { state: action === "REDEEM" ? "REDEEMED" : "REVOKED", sequence })
      }
    }
    const couponIds = [...new Set(acts.map(({ couponId }) => couponId))]
    const stored = yield* standings(campaignId, couponIds)
    expect(new Map(stored.map(({ couponId, sequence, state }) => [couponId, { state, sequence }]))).toEqual(standing)
    const types = { REDEEM: "coupon.redeemed", UNDO: "coupon.redemption_undone", REVOKE: "coupon.revoked" }
    const log = (yield* events(campaignId)).filter(({ payload }) => payload.redemption !== undefined)
    expect(log.map(({ payload, type }) => [payload.redemption, payload.number, type]))
      .toEqual(acts.map(({ action, couponId, sequence }) => [sequence, couponId, types[action]]))
  })

/** The `Redemptions` port's semantics, on whichever store the layer provides. */
export const exercise = <E>(
  name: string,
  layer: Layer.Layer<CampaignStore | EventLog | Ledger | Outbox | Redemptions, E>
): void =>
  withLayer(layer, { excludeTestServices: true, timeout: "240 seconds" })(name, (it) => {
    it.effect("redeems a coupon once, and says what stands to everyone else", () =>
      Effect.gen(function*() {
        const campaignId = yield* issued(3)
        const details = {
          terminalId: "까페 till 7",
          orderRef: "order 'x' \\ 1",
          reason: "",
          occurredAt: Date.UTC(2025, 5, 26, 1, 2, 3, 456)
        }
        const began = Date.now()
        const [first] = yield* commit(campaignId, item(2, { requestId: "one", details }))
        if (first?._tag !== "Done") throw new Error(`${brief(first)} instead of Done`)
        expect(first.redemption).toMatchObject({
          campaignId, sequence: 1, couponId: 2, action: "REDEEM", requestId: "one", ...details
        })
        expect(Math.abs(first.redemption.at - began)).toBeLessThan(60_000)

        const [second] = yield* commit(campaignId, item(2))
        expect(second).toEqual({ _tag: "Refused", reason: "REDEEMED", standing: first.redemption })
        expect(yield* standings(campaignId, [1, 2, 3])).toEqual([
          { campaignId, couponId: 2, state: "REDEEMED", sequence: 1, at: first.redemption.at, terminalId: "까페 till 7" }
        ])
        yield* expectAgreed(campaignId)
      }))

    it.effect("gives a request one answer for good", () =>
      Effect.gen(function*() {
        const campaignId = yield* issued(2)
        const redeem = item(1)
        const [done] = yield* commit(campaignId, redeem)
        const late = item(1)
        const [refused] = yield* commit(campaignId, late)
        expect(brief(refused)).toBe("REDEEMED")
        expect(yield* commit(campaignId, redeem)).toEqual([done])

        const undo = item(1, { action: "UNDO" })
        const [undone] = yield* commit(campaignId, undo)
        expect(brief(undone)).toBe("Done")
        // All three as they were answered, though none of it would be answered so by now.
        expect(yield* commit(campaignId, redeem, item(2))).toEqual([done, expect.objectContaining({ _tag: "Done" })])
        expect(yield* commit(campaignId, late)).toEqual([refused])
        expect(yield* commit(campaignId, undo)).toEqual([undone])
        expect(yield* standings(campaignId, [1])).toEqual([])
        yield* expectAgreed(campaignId)
      }))

    it.effect("takes an id for one request alone, byte by byte", () =>
      Effect.gen(function*() {
        const campaignId = yield* issued(6)
        const other = yield* issued(1)
        const ids = ["id", "ID", "id ", "ｉｄ", "'; --"]
        const answers = yield* commit(campaignId, ...ids.map((requestId, index) => item(index + 1, { requestId })))
        expect(answers.map(brief)).toEqual(ids.map(() => "Done"))
        expect(answers.map((of) => of._tag === "Done" ? of.redemption.requestId : "")).toEqual(ids)
        expect((yield* commit(campaignId, item(6, { requestId: "id" }))).map(brief)).toEqual(["Conflict"])
        expect((yield* commit(campaignId, item(1, { requestId: "id", action: "UNDO" }))).map(brief))
          .toEqual(["Conflict"])
        expect((yield* commit(other, item(1, { requestId: "id" }))).map(brief)).toEqual(["Done"])
        yield* expectAgreed(campaignId)
      }))

    it.effect("undoes what stands, once, within the window", () =>
      Effect.gen(function*() {
        const campaignId = yield* issued(1)
        expect((yield* commit(campaignId, item(1, { action: "UNDO" }))).map(brief)).toEqual(["ABSENT"])
        yield* commit(campaignId, item(1))
        yield* set(campaignId, { undoWindowMillis: 1 })
        yield* Effect.sleep("3 millis")
        expect((yield* commit(campaignId, item(1, { action: "UNDO" }))).map(brief)).toEqual(["REDEEMED"])
        yield* set(campaignId, { undoWindowMillis: 3_600_000 })
        const reason = { ...noDetails, reason: "wrong order" }
        expect((yield* commit(campaignId, item(1, { action: "UNDO", details: reason }))).map(brief)).toEqual(["Done"])
        expect((yield* commit(campaignId, item(1, { action: "UNDO" }))).map(brief)).toEqual(["ABSENT"])
        expect((yield* commit(campaignId, item(1))).map(brief)).toEqual(["Done"])
        yield* expectAgreed(campaignId)
        const acts = yield* redemptions.list({ campaignId, couponId: 1, afterSequence: 1, limit: 10 })
        expect(acts.map(({ action, reason }) => [action, reason])).toEqual([["UNDO", "wrong order"], ["REDEEM", ""]])
      }))

    it.effect("redeems nothing that has expired, by the ledger's clock", () =>
      Effect.gen(function*() {
        const campaignId = yield* issued(3)
        const now = Date.now()
        const answers = yield* commit(
          campaignId,
          item(1, { expiresAt: now - 1_000 }),
          item(2, { expiresAt: now + 3_600_000 }),
          item(3, { expiresAt: now })
        )
        expect(answers.map(brief)).toEqual(["EXPIRED", "Done", "EXPIRED"])
        // Expired comes before redeemed, and an expired coupon's redemption can still be undone.
        expect((yield* commit(campaignId, item(2, { expiresAt: now }))).map(brief)).toEqual(["EXPIRED"])
        expect((yield* commit(campaignId, item(2, { action: "UNDO", expiresAt: now }))).map(brief)).toEqual(["Done"])
        yield* expectAgreed(campaignId)
      }))

    it.effect("keeps what each coupon was promised, in whatever order validities and claims come", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const seoul = validity("P1D", "Asia/Seoul")
        const { campaignId } = yield* createCampaign(draft({ validity: seoul }))
        const { campaignId: other } = yield* createCampaign(draft())
        const verdicts = yield* ledger.issue(batchOf(campaignId, users(1, 2)))
        expect(verdicts.map((verdict) => verdict._tag === "Issued" && verdict.validity)).toEqual([1, 1])
        // The later of two without a coupon between them is the one that counts.
        yield* set(campaignId, { validity: validity("PT1H") })
        yield* set(campaignId, { validity: validity("PT2H") })
        yield* set(campaignId, { name: "another one" })
        // Also where claims are sorted out one by one.
        const [held, sorted] = yield* ledger.issue(batchOf(campaignId, [1, 3]))
        expect(held?._tag).toBe("Rejected")
        expect(sorted).toMatchObject({ _tag: "Issued", validity: 3 })
        yield* set(campaignId, { validity: undefined })
        yield* ledger.issue(batchOf(campaignId, users(4, 1)))
        const until = { _tag: "Until" as const, until: Date.UTC(2099, 0) }
        yield* set(campaignId, { validity: until })
        expect((yield* campaigns.find(campaignId))?.validity).toEqual(until)
        expect((yield* campaigns.find(other))?.validity).toBeUndefined()

        const found = yield* redemptions.validities([campaignId, other, 2_147_483_647])
        const [history, none] = found.toSorted((a, b) => a.campaignId - b.campaignId)
        expect(none).toEqual({ campaignId: other, issued: 0, changes: [] })
        expect(history?.issued).toBe(4)
        expect(history?.changes.map(({ firstId, validity }) => [firstId, validity])).toEqual([
          [1, seoul], [3, validity("PT1H")], [3, validity("PT2H")], [4, undefined], [5, until]
        ])
        expect(history?.changes.map(({ rules }) => rules)).toEqual([
          rulesOfZone("Asia/Seoul"), undefined, undefined, undefined, undefined
        ])
        const coupons = yield* ledger.listCoupons(campaignId, 0, 10)
        const [first, , third] = coupons
        const DAY = 86_400_000
        const seoulDay = Math.floor((first!.issuedAt + DAY / 24 * 9) / DAY)
        expect(coupons.map((coupon) => expiresAt(history!, coupon))).toEqual([
          (seoulDay + 2) * DAY - DAY / 24 * 9,
          (seoulDay + 2) * DAY - DAY / 24 * 9,
          third!.issuedAt + DAY / 12,
          undefined
        ])
        expect(yield* redemptions.validities([])).toEqual([])
      }))

    it.effect("lets one of many win, whatever they are about", () =>
      Effect.gen(function*() {
        const campaignId = yield* issued(20)
        const rounds = yield* Effect.all(
          Array.from({ length: 12 }, () => commit(campaignId, ...users(1, 20).map((id) => item(Number(id))))),
          { concurrency: "unbounded" }
        )
        const won = rounds.flat().filter(({ _tag }) => _tag === "Done")
        expect(won.length).toBe(20)
        expect(new Set(rounds.flat().map(brief))).toEqual(new Set(["Done", "REDEEMED"]))
        yield* expectAgreed(campaignId)
      }))

    it.effect("answers copies of a request alike at the same time", () =>
      Effect.gen(function*() {
        const campaignId = yield* issued(8)
        const items = users(1, 8).map((id) => item(Number(id)))
        const rounds = yield* Effect.all(
          Array.from({ length: 6 }, () => redemptions.commit(batch(campaignId, items))),
          { concurrency: "unbounded" }
        )
        for (const round of rounds) expect(round).toEqual(rounds[0])
        expect(rounds[0]!.map(brief)).toEqual(items.map(() => "Done"))
        yield* expectAgreed(campaignId)
      }))

    it.effect("settles a batch in doubt for good", () =>
      Effect.gen(function*() {
        const campaignId = yield* issued(4)
        const committed = batch(campaignId, [item(1), item(2)])
        const answers = yield* redemptions.commit(committed)
        expect(yield* redemptions.resolve(committed)).toEqual(answers)
        expect(yield* redemptions.resolve(committed)).toEqual(answers)

        const lost = batch(campaignId, [item(3), item(1)])
        expect((yield* redemptions.resolve(lost)).map(brief)).toEqual(["nothing", "nothing"])
        // It arrives late, and must not commit.
        const late = yield* Effect.either(redemptions.commit(lost))
        expect(late._tag === "Left" ? late.left._tag : late.right.map(brief)).toBe("CommitInDoubt")
        expect((yield* redemptions.resolve(lost)).map(brief)).toEqual(["nothing", "nothing"])
        expect(yield* standings(campaignId, [3])).toEqual([])
        // The same request at another attempt.
        expect((yield* redemptions.commit(batch(campaignId, lost.items))).map(brief)).toEqual(["Done", "REDEEMED"])
        yield* expectAgreed(campaignId)
      }))

    it.effect("puts each redemption into the log after its coupon, and lists by sequence", () =>
      Effect.gen(function*() {
        const campaignId = yield* issued(2)
        yield* commit(campaignId, item(1))
        yield* Effect.flatMap(Ledger, (ledger) => ledger.issue(batchOf(campaignId, users(10, 1))))
        const details = { ...noDetails, terminalId: "t", occurredAt: Date.UTC(2025, 1) }
        yield* commit(campaignId, item(3, { details }))
        const log = yield* events(campaignId)
        expect(log.map(({ type }) => type).filter((type) => type !== "coupon.issued"))
          .toEqual(["campaign.created", "coupon.redeemed", "coupon.redeemed"])
        log.forEach(({ payload, type }, index) => {
          if (type !== "coupon.redeemed") return
          const number = Number(payload.number)
          const before = log.slice(0, index)
          expect(before.some((of) => of.firstNumber <= number && number <= of.lastNumber)).toBe(true)
        })
        expect(log.at(-1)).toMatchObject({
          firstNumber: 0,
          lastNumber: 0,
          payload: {
            number: 3, redemption: 2, terminalId: "t", orderRef: "", reason: "", occurredAt: "2025-02-01T00:00:00Z"
          }
        })
        yield* commit(campaignId, item(2))
        expect((yield* events(campaignId)).slice(log.length).map(({ payload, type }) => [type, payload.number]))
          .toEqual([["coupon.redeemed", 2]])
        const query = { campaignId, couponId: undefined, afterSequence: 1, limit: 1 }
        expect((yield* redemptions.list(query)).map(({ couponId }) => couponId)).toEqual([3])
      }))

    it.effect("finds coupons by their codes", () =>
      Effect.gen(function*() {
        const campaignId = yield* issued(3)
        const other = yield* issued(1)
        const coupons = yield* Effect.flatMap(Ledger, (ledger) => ledger.listCoupons(campaignId, 0, 10))
        const codes = [coupons[2]!.code, coupons[0]!.code, `${coupons[1]!.code} `, "'없는 코드"]
        const found = yield* redemptions.findByCodes(campaignId, codes)
        expect(found.toSorted((a, b) => a.id - b.id)).toEqual([coupons[0], coupons[2]])
        expect(yield* redemptions.findByCodes(other, codes)).toEqual([])
        expect(yield* redemptions.findByCodes(campaignId, [])).toEqual([])
      }))
  })
