import { layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { randomBytes } from "node:crypto"
import { expect } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import * as Either from "effect/Either"
import { type CodeFormat, parseCodeFormat } from "../../src/domain/codes/CodeFormat.ts"
import { normaliseCode } from "../../src/domain/codes/CodeInput.ts"
import { defaultCodes } from "../../src/domain/codes/CampaignCodes.ts"
import { afterIssueDefaults, type CampaignDraft, type CampaignSettings, settingsOf } from "../../src/domain/Campaign.ts"
import type { Coupon, UserId } from "../../src/domain/Coupon.ts"
import * as CouponCode from "../../src/domain/CouponCode.ts"
import { CampaignStore } from "../../src/ports/CampaignStore.ts"
import {
  type ClaimBatch,
  type ClaimVerdict,
  type CouponStretch,
  Ledger,
  type UserCoupons
} from "../../src/ports/Ledger.ts"
import { Outbox } from "../../src/ports/Outbox.ts"

export const batchId = (): string => randomBytes(16).toString("hex")

export const batchOf = (campaignId: number, userIds: ReadonlyArray<UserId | number>): ClaimBatch => ({
  batchId: batchId(),
  campaignId,
  claims: userIds.map((userId) => ({ userId: BigInt(userId), code: CouponCode.generate() }))
})

const HOUR = 3_600_000

export const draft = (overrides: Partial<CampaignDraft> = {}): CampaignDraft => ({
  name: "여름 쿠폰",
  couponLimit: 1_000,
  startTime: Date.UTC(2025, 5, 25),
  endTime: undefined,
  codes: defaultCodes,
  ...afterIssueDefaults,
  ...overrides
})

/** The operations of the layer's `CampaignStore`. */
export const campaigns = Effect.serviceFunctions(CampaignStore)

/** Creates a campaign, by a change id of its own and the actor `test` unless a test says otherwise. */
export const createCampaign = (draft: CampaignDraft, { actor = "test", changeId = batchId() } = {}) =>
  campaigns.create({ changeId, actor: named(actor), draft, request: undefined })

/** `Issued`, `NotIssued`, or why not. */
export const tagsOf = (verdicts: ReadonlyArray<ClaimVerdict>): ReadonlyArray<string> =>
  verdicts.map((verdict) => verdict._tag === "Rejected" ? verdict.reason._tag : verdict._tag)

/** Users from `first` on. */
export const users = (first: number, count: number): ReadonlyArray<bigint> =>
  Array.from({ length: count }, (_, i) => BigInt(first + i))

/** The state by which every test may end: the counter is the number of coupons, ids have no gap, the limit holds. */
export const expectConsistent = (campaignId: number, issued: number) =>
  Effect.gen(function*() {
    const coupons = yield* Effect.flatMap(Ledger, (ledger) => ledger.listCoupons(campaignId, 0, issued + 1))
    expect(coupons.map(({ id }) => id)).toEqual(Array.from({ length: issued }, (_, index) => index + 1))
    expect(new Set(coupons.map(({ code }) => code)).size).toBe(issued)
    expect(new Set(coupons.map(({ userId }) => userId)).size).toBe(issued)
    const campaign = yield* campaigns.find(campaignId)
    expect(campaign!.issuedCount).toBe(issued)
    expect(issued).toBeLessThanOrEqual(campaign!.couponLimit)
  })

/** Makes a change of these settings, whatever the rules of the domain say of it. */
export const set = (campaignId: number, settings: Partial<CampaignSettings>) =>
  Effect.gen(function*() {
    const from = (yield* campaigns.find(campaignId))!
    const to = { ...settingsOf(from), ...settings }
    const verdict = yield* campaigns.change({
      changeId: batchId(),
      actor: named("test"),
      action: "campaign.update",
      from,
      to
    })
    expect(verdict._tag).toBe("Changed")
  })

/** The `Ledger` port's semantics, on whichever store the layer provides. */
export const exercise = <E>(name: string, layer: Layer.Layer<CampaignStore | Ledger | Outbox, E>): void =>
  withLayer(layer, { excludeTestServices: true, timeout: "240 seconds" })(name, (it) => {
    it.effect("stores a campaign and returns it as stored", () =>
      Effect.gen(function*() {
        const before = Date.now()
        const terms = draft({
          name: "여름 '할인' \\ \"쿠폰\" 🎟️",
          couponLimit: 10_000_000,
          startTime: 1_750_809_600_123,
          endTime: 1_750_809_600_124
        })
        const created = yield* createCampaign(terms)
        expect(created).toMatchObject({ ...terms, issuedCount: 0, status: "ACTIVE", version: 1 })
        expect(created.createdAt).toBe(created.updatedAt)
        expect(Math.abs(created.createdAt - before)).toBeLessThan(HOUR)
        expect(yield* campaigns.find(created.campaignId)).toEqual({ ...created, readAt: expect.any(Number) })
        const open = yield* createCampaign(draft())
        expect(open.endTime).toBeUndefined()
        expect(open.campaignId).toBeGreaterThan(created.campaignId)
        expect((yield* campaigns.newestCampaignIds(2))).toEqual([open.campaignId, created.campaignId])
        expect(yield* campaigns.find(2_147_483_647)).toBeUndefined()
      }))

    it.effect("reads stretches of coupons, in either direction and of any time", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* createCampaign(draft())
        const early = yield* ledger.issue(batchOf(campaignId, users(1, 5)))
        yield* Effect.sleep("3 millis")
        yield* ledger.issue(batchOf(campaignId, users(6, 5)))
        const whole = yield* ledger.listCoupons(campaignId, 0, 100)
        const [first, sixth] = [whole[0]!, whole[5]!]
        expect(first).toEqual(early[0]!._tag === "Issued" ? early[0]!.coupon : undefined)
        expect(sixth.issuedAt).toBeGreaterThan(first.issuedAt)
        const among = (of: Partial<CouponStretch>) =>
          Effect.map(
            ledger.couponsAmong({
              campaignId,
              firstId: 1,
              lastId: 100,
              descending: false,
              limit: 100,
              from: undefined,
              before: undefined,
              ...of
            }),
            (coupons) => {
              expect(coupons).toEqual(coupons.map(({ id }) => whole[id - 1]))
              return coupons.map(({ id }) => id)
            }
          )
        expect(yield* among({})).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
        expect(yield* among({ firstId: 3, lastId: 8, limit: 4 })).toEqual([3, 4, 5, 6])
        expect(yield* among({ firstId: 3, lastId: 8, limit: 4, descending: true })).toEqual([8, 7, 6, 5])
        expect(yield* among({ from: sixth.issuedAt })).toEqual([6, 7, 8, 9, 10])
        expect(yield* among({ before: sixth.issuedAt, descending: true })).toEqual([5, 4, 3, 2, 1])
        expect(yield* among({ from: first.issuedAt, before: first.issuedAt + 1, limit: 2 })).toEqual([1, 2])
        expect(yield* among({ from: sixth.issuedAt + 1 })).toEqual([])
        expect(yield* among({ campaignId: 2_147_483_647 })).toEqual([])
      }))

    it.effect("finds what a user holds in all campaigns, a bounded look at a time", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const user = BigInt(`0x${batchId().slice(0, 12)}`) + 1n
        const made = yield* Effect.forEach([1, 2, 3, 4, 5], () => createCampaign(draft()))
        for (const k of [0, 2, 4]) yield* ledger.issue(batchOf(made[k]!.campaignId, [9, user]))
        const query: UserCoupons = {
          userId: user,
          position: undefined,
          descending: true,
          limit: 10,
          from: undefined,
          before: undefined
        }
        const all = (of: Partial<UserCoupons>) =>
          Effect.gen(function*() {
            const found: Array<Coupon> = []
            let position = of.position
            do {
              const read = yield* ledger.couponsOfUser({ ...query, ...of, position })
              expect(read.coupons.length).toBeLessThanOrEqual(of.limit ?? 10)
              found.push(...read.coupons)
              position = read.next
            } while (position !== undefined)
            for (const coupon of found) expect(yield* ledger.findCoupons(coupon.campaignId, [user])).toEqual([coupon])
            return found.map(({ campaignId }) => made.findIndex((one) => one.campaignId === campaignId))
          })
        expect(yield* all({})).toEqual([4, 2, 0])
        expect(yield* all({ descending: false })).toEqual([0, 2, 4])
        expect(yield* all({ limit: 1 })).toEqual([4, 2, 0])
        expect(yield* all({ position: made[4]!.campaignId })).toEqual([2, 0])
        expect(yield* all({ position: made[0]!.campaignId, descending: false, limit: 1 })).toEqual([2, 4])
        const [coupon] = yield* ledger.findCoupons(made[2]!.campaignId, [user])
        expect(yield* all({ before: 1 })).toEqual([])
        expect(yield* all({ from: coupon!.issuedAt + HOUR })).toEqual([])
        expect(yield* all({ from: coupon!.issuedAt, before: coupon!.issuedAt + 1 })).toContain(2)
        expect(yield* all({ userId: user + 1n })).toEqual([])
      }))

    it.effect("finds a coupon by its code, letter for letter and in its campaign alone", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* createCampaign(draft())
        const other = yield* createCampaign(draft())
        yield* ledger.issue(batchOf(campaignId, users(1, 3)))
        const coupons = yield* ledger.listCoupons(campaignId, 0, 10)
        for (const coupon of coupons) {
          expect(yield* ledger.findByCode(campaignId, coupon.code)).toEqual(coupon)
          expect(yield* ledger.findByCode(other.campaignId, coupon.code)).toBeUndefined()
        }
        const { code } = coupons[0]!
        const forms = ["", `${code} `, ` ${code}`, code.slice(1), code.normalize("NFD"), "' OR 1=1 -- ", "\u0000"]
        for (const none of forms) {
          // A code of ten digits has one form.
          if (none !== code) expect(yield* ledger.findByCode(campaignId, none)).toBeUndefined()
        }
      }))

    it.effect("issues a batch in the order of arrival and numbers its coupons from 1", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* createCampaign(draft())
        const first = batchOf(campaignId, [30, 10, 20])
        const verdicts = yield* ledger.issue(first)
        expect(verdicts.map((verdict) => verdict._tag === "Issued" ? verdict.coupon : verdict)).toEqual(
          first.claims.map(({ code, userId }, index) => ({
            campaignId,
            id: index + 1,
            userId,
            code,
            issuedAt: expect.any(Number)
          }))
        )
        const second = yield* ledger.issue(batchOf(campaignId, [5]))
        expect(second[0]).toMatchObject({ _tag: "Issued", coupon: { id: 4, userId: 5n } })
        expect(yield* ledger.listCoupons(campaignId, 0, 10)).toMatchObject(
          [30n, 10n, 20n, 5n].map((userId) => ({ userId }))
        )
        const stored = yield* ledger.findCoupons(campaignId, [10n])
        expect(stored).toEqual([(verdicts[1] as { readonly coupon: unknown }).coupon])
        expect((yield* ledger.issue(batchOf(campaignId, []))).length).toBe(0)
        yield* expectConsistent(campaignId, 4)
      }))

    it.effect("keeps user ids of 64 bits exact", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* createCampaign(draft())
        const ids = [1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 2n, 2n ** 63n - 1n]
        expect(tagsOf(yield* ledger.issue(batchOf(campaignId, ids)))).toEqual(ids.map(() => "Issued"))
        expect((yield* ledger.listCoupons(campaignId, 0, 10)).map((coupon) => coupon.userId)).toEqual(ids)
        const again = yield* ledger.issue(batchOf(campaignId, ids))
        expect(again.map((verdict) =>
          verdict._tag === "Rejected" && verdict.reason._tag === "CouponAlreadyClaimed" && verdict.reason.coupon.userId
        ))
          .toEqual(ids)
        expect(
          (yield* ledger.findCoupons(campaignId, ids)).map((coupon) => coupon.userId).sort((a, b) =>
            a < b ? -1 : 1
          )
        ).toEqual(ids)
        yield* expectConsistent(campaignId, ids.length)
      }))

    it.effect("gives the last slots of a mixed batch to the first claims, past users that hold one already", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* createCampaign(draft({ couponLimit: 5 }))
        const early = yield* ledger.issue(batchOf(campaignId, [100, 200]))
        const batch = batchOf(campaignId, [9, 200, 7, 8, 100, 1, 2])
        const verdicts = yield* ledger.issue(batch)
        expect(tagsOf(verdicts)).toEqual([
          "Issued", "CouponAlreadyClaimed", "Issued", "Issued", "CouponAlreadyClaimed", "CouponSoldOut", "CouponSoldOut"
        ])
        expect(verdicts[1]).toMatchObject({ reason: { coupon: (early[1] as { readonly coupon: unknown }).coupon } })
        expect(verdicts[3]).toMatchObject({ coupon: { id: 5, code: batch.claims[3]!.code } })
        expect(tagsOf(yield* ledger.issue(batchOf(campaignId, [2, 9])))).toEqual([
          "CouponSoldOut",
          "CouponAlreadyClaimed"
        ])
        yield* expectConsistent(campaignId, 5)
      }))

    it.effect("rejects by the contract's precedence", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        expect(tagsOf(yield* ledger.issue(batchOf(2_147_483_647, [1, 2])))).toEqual([
          "RecordNotFound",
          "RecordNotFound"
        ])
        const future = yield* createCampaign(draft({ startTime: Date.now() + HOUR }))
        expect(tagsOf(yield* ledger.issue(batchOf(future.campaignId, [1])))).toEqual(["CampaignNotStarted"])
        yield* set(future.campaignId, { status: "ENDED" })
        expect(tagsOf(yield* ledger.issue(batchOf(future.campaignId, [1])))).toEqual(["CampaignNotStarted"])

        const { campaignId, createdAt } = yield* createCampaign(draft({ couponLimit: 1 }))
        const ask = Effect.map(Effect.suspend(() => ledger.issue(batchOf(campaignId, [1, 2]))), tagsOf)
        yield* set(campaignId, { status: "PAUSED" })
        expect(yield* ask).toEqual(["CampaignPaused", "CampaignPaused"])
        yield* set(campaignId, { status: "ACTIVE" })
        expect(yield* ask).toEqual(["Issued", "CouponSoldOut"])
        yield* set(campaignId, { status: "PAUSED" })
        expect(yield* ask).toEqual(["CouponAlreadyClaimed", "CampaignPaused"])
        yield* set(campaignId, { status: "ENDED" })
        expect(yield* ask).toEqual(["CouponAlreadyClaimed", "CampaignEnded"])
        yield* set(campaignId, { status: "ACTIVE" })
        yield* set(campaignId, { endTime: createdAt })
        expect(yield* ask).toEqual(["CouponAlreadyClaimed", "CampaignEnded"])
        yield* set(campaignId, { status: "PAUSED" })
        expect(yield* ask).toEqual(["CouponAlreadyClaimed", "CampaignEnded"])
        yield* expectConsistent(campaignId, 1)
      }))

    it.effect("issues to exactly the limit under 50 concurrent batches with common users", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* createCampaign(draft({ couponLimit: 700 }))
        // Every user is in two batches; 1,000 users want 700 coupons.
        const batches = Array.from({ length: 50 }, (_, i) => batchOf(campaignId, users(1 + (i % 25) * 40, 40)))
        const verdicts = (yield* Effect.forEach(batches, (batch) => ledger.issue(batch), { concurrency: 50 })).flat()
        const issued = verdicts.filter((verdict) => verdict._tag === "Issued")
        expect(issued.length).toBe(700)
        expect(new Set(issued.map((verdict) => verdict.coupon.userId)).size).toBe(700)
        const holders = new Map(
          (yield* ledger.listCoupons(campaignId, 0, 1_000)).map((coupon) => [coupon.userId, coupon])
        )
        expect(holders.size).toBe(700)
        for (const verdict of verdicts) {
          if (verdict._tag === "Issued") expect(holders.get(verdict.coupon.userId)).toEqual(verdict.coupon)
          else if (verdict._tag === "NotIssued") expect.unreachable("no user was erased")
          else if (verdict.reason._tag === "CouponAlreadyClaimed") {
            expect(holders.get(verdict.reason.coupon.userId)).toEqual(verdict.reason.coupon)
          } else expect(verdict.reason._tag).toBe("CouponSoldOut")
        }
        yield* expectConsistent(campaignId, 700)
      }))

    it.effect("draws new codes for a batch whose code another user of the campaign has", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* createCampaign(draft())
        const first = batchOf(campaignId, [1])
        yield* ledger.issue(first)
        const code = first.claims[0]!.code
        const clash: ClaimBatch = {
          ...batchOf(campaignId, [2, 1, 3]),
          claims: [2n, 1n, 3n].map((userId) => ({ userId, code }))
        }
        const verdicts = yield* ledger.issue(clash)
        expect(tagsOf(verdicts)).toEqual(["Issued", "CouponAlreadyClaimed", "Issued"])
        const coupons = yield* ledger.findCoupons(campaignId, [1n, 2n, 3n])
        expect(new Set(coupons.map((coupon) => coupon.code)).size).toBe(3)
        expect(verdicts[0]).toMatchObject({ coupon: coupons.find((coupon) => coupon.userId === 2n) })
        // The codes of the claims never counted; resolving the same batch still knows its own coupons.
        expect((yield* ledger.resolve(clash)).map((verdict) => verdict._tag)).toEqual([
          "Issued",
          "HeldAlready",
          "Issued"
        ])
        yield* expectConsistent(campaignId, 3)
      }))

    it.effect("issues codes of the campaign's format, also when that has just changed", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const format = (fields: { readonly characters: string; readonly pattern: string }) =>
          Either.getOrThrow(parseCodeFormat({ alphabet: undefined, check: undefined, ...fields }))
        const first = format({ characters: "ABCDEFGHJKLM", pattern: "SUMMER-########-C" })
        const second = format({ characters: "🎟☂漢字🍊🍋🍇🍉", pattern: `${"#".repeat(40)}${"-".repeat(23)}` })
        const { campaignId, codes } = yield* createCampaign(draft({ codes: { _tag: "Generated", format: first } }))
        expect(codes).toEqual({ _tag: "Generated", format: first })
        expect((yield* campaigns.find(campaignId))!.codes).toEqual(codes)
        const matches = (format: CodeFormat) =>
          Effect.gen(function*() {
            const coupons = yield* ledger.listCoupons(campaignId, 0, 1_000)
            for (const { code } of coupons) expect(normaliseCode(format, code)).toBe(code)
            return coupons.length
          })
        // An instance that knows the format, by a batch that issues nothing.
        yield* set(campaignId, { status: "PAUSED" })
        expect(tagsOf(yield* ledger.issue(batchOf(campaignId, [1])))).toEqual(["CampaignPaused"])
        yield* set(campaignId, { status: "ACTIVE", codes: { _tag: "Generated", format: second } })
        const issued = yield* ledger.issue(batchOf(campaignId, users(1, 20)))
        expect(tagsOf(issued)).toEqual(users(1, 20).map(() => "Issued"))
        expect(yield* matches(second)).toBe(20)
        expect(issued).toEqual((yield* ledger.listCoupons(campaignId, 0, 20)).map((coupon) =>
          ({ _tag: "Issued", coupon })))
        // By whatever path a second batch takes, and with claims that have to be sorted out.
        const next = yield* ledger.issue(batchOf(campaignId, users(21, 20)))
        expect(tagsOf(next)).toEqual(users(21, 20).map(() => "Issued"))
        const mixed = yield* ledger.issue(batchOf(campaignId, [1, 41]))
        expect(tagsOf(mixed)).toEqual(["CouponAlreadyClaimed", "Issued"])
        expect(yield* matches(second)).toBe(41)
        yield* expectConsistent(campaignId, 41)
      }))

    it.effect("keeps the codes' format once a coupon is issued", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const from = yield* createCampaign(draft())
        const format = Either.getOrThrow(
          parseCodeFormat({ alphabet: "DIGITS", characters: "", pattern: "#".repeat(16), check: undefined })
        )
        const change = {
          actor: named("test"),
          action: "campaign.update",
          from,
          to: { ...from, codes: { _tag: "Generated" as const, format } }
        }
        yield* ledger.issue(batchOf(from.campaignId, [1]))
        expect(yield* campaigns.change({ ...change, changeId: batchId() })).toEqual({ _tag: "Stale" })
        expect((yield* campaigns.find(from.campaignId))!.codes).toEqual(defaultCodes)
        yield* expectConsistent(from.campaignId, 1)
      }))

    it.effect("resolves a batch that committed, one that others overtook and one that never arrived", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* createCampaign(draft())
        const committed = batchOf(campaignId, [1, 2])
        const verdicts = yield* ledger.issue(committed)
        expect(yield* ledger.resolve(committed)).toEqual(verdicts)
        expect(yield* ledger.resolve(committed)).toEqual(verdicts)
        const lost = batchOf(campaignId, [3, 1])
        expect((yield* ledger.resolve(lost)).map((verdict) => verdict._tag)).toEqual(["NotIssued", "HeldAlready"])
        expect(yield* ledger.resolve(batchOf(campaignId, []))).toEqual([])
        yield* expectConsistent(campaignId, 2)
      }))

    it.effect("never commits a batch that was resolved before it arrived", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* createCampaign(draft())
        const late = batchOf(campaignId, [1, 2])
        expect((yield* ledger.resolve(late)).map((verdict) => verdict._tag)).toEqual(["NotIssued", "NotIssued"])
        expect((yield* Effect.flip(ledger.issue(late)))._tag).toBe("CommitInDoubt")
        expect((yield* ledger.resolve(late)).map((verdict) => verdict._tag)).toEqual(["NotIssued", "NotIssued"])
        yield* expectConsistent(campaignId, 0)
        expect(tagsOf(yield* ledger.issue({ ...late, batchId: batchId() }))).toEqual(["Issued", "Issued"])
        yield* expectConsistent(campaignId, 2)
      }))

    it.effect("pages coupons by id and finds those of given users", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* createCampaign(draft())
        const other = yield* createCampaign(draft())
        yield* ledger.issue(batchOf(other.campaignId, users(1, 20)))
        yield* ledger.issue(batchOf(campaignId, users(1, 7)))
        const ids = (afterId: number, limit: number) =>
          Effect.map(ledger.listCoupons(campaignId, afterId, limit), (coupons) => coupons.map((coupon) => coupon.id))
        expect(yield* ids(0, 3)).toEqual([1, 2, 3])
        expect(yield* ids(3, 3)).toEqual([4, 5, 6])
        expect(yield* ids(6, 3)).toEqual([7])
        expect(yield* ids(7, 3)).toEqual([])
        expect(yield* ledger.findCoupons(campaignId, [8n, 2n])).toMatchObject([{ userId: 2n, id: 2, campaignId }])
        expect(yield* ledger.findCoupons(campaignId, [])).toEqual([])
      }))

    it.effect("tallies what is issued and what the relay has yet to learn", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const outbox = yield* Outbox
        expect(yield* ledger.tally(2_147_483_647)).toBeUndefined()
        const { campaignId } = yield* createCampaign(draft({ couponLimit: 6 }))
        expect(yield* ledger.tally(campaignId)).toEqual({ issued: 0, unrelayed: 0, version: 1 })
        yield* ledger.issue(batchOf(campaignId, users(1, 4)))
        yield* outbox.poll(1_000, (events) => Effect.succeed(events.map(({ id }) => id)))
        yield* ledger.issue(batchOf(campaignId, users(3, 4)))
        yield* ledger.resolve(batchOf(campaignId, [99]))
        yield* ledger.issue(batchOf(campaignId, [99]))
        expect(yield* ledger.tally(campaignId)).toEqual({ issued: 6, unrelayed: 2, version: 1 })
        yield* expectConsistent(campaignId, 6)
      }))

    it.effect("takes a batch of 1,000 claims", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* createCampaign(draft({ couponLimit: 2_000 }))
        expect(new Set(tagsOf(yield* ledger.issue(batchOf(campaignId, users(1, 1_000)))))).toEqual(new Set(["Issued"]))
        expect(new Set(tagsOf(yield* ledger.issue(batchOf(campaignId, users(1, 1_000)))))).toEqual(
          new Set(["CouponAlreadyClaimed"])
        )
        yield* expectConsistent(campaignId, 1_000)
      }))
  })
