import { layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Layer from "effect/Layer"
import { expect } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import { type Campaign, type CampaignSettings, settingsOf } from "../../src/domain/Campaign.ts"
import { AuditLog } from "../../src/ports/AuditLog.ts"
import type { CampaignChange, CampaignStore } from "../../src/ports/CampaignStore.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import { Outbox, type OutboxEvent } from "../../src/ports/Outbox.ts"
import { batchId, batchOf, campaigns, createCampaign, draft, tagsOf, users } from "./ledger.exercise.ts"

const changeOf = (from: Campaign, to: Partial<CampaignSettings>, action = "campaign.update"): CampaignChange => ({
  changeId: batchId(),
  actor: named("test"),
  action,
  from,
  to: { ...settingsOf(from), ...to }
})

const settle = (seen: Array<OutboxEvent>) => (events: ReadonlyArray<OutboxEvent>) =>
  Effect.sync(() => {
    seen.push(...events)
    return events.map((event) => event.id)
  })

const acts = (campaignId: number) =>
  Effect.flatMap(AuditLog, (audit) => audit.list({ beforeId: undefined, limit: 10, campaignId }))

/** The semantics of the `CampaignStore` port, on whichever store the layer provides. */
export const exercise = <E>(
  name: string,
  layer: Layer.Layer<CampaignStore | Ledger | Outbox | AuditLog, E>
): void =>
  withLayer(layer, { excludeTestServices: true, timeout: "240 seconds" })(name, (it) => {
    it.effect("changes settings, version, outbox and audit as one", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const outbox = yield* Outbox
        yield* outbox.poll(1_000, settle([]))
        const from = yield* createCampaign(draft({ name: "봄", couponLimit: 5 }), { actor: "maker" })
        expect(from.announcedLimit).toBe(5)
        const change = changeOf(from, {
          name: "여름 '\\ 🎟️",
          couponLimit: 7,
          status: "PAUSED",
          startTime: from.startTime + 1,
          endTime: from.startTime + 2
        })
        const verdict = yield* campaigns.change({ ...change, actor: named("mover") })
        const expected = {
          ...from,
          ...change.to,
          version: 2,
          announcedLimit: 7,
          updatedAt: expect.any(Number),
          readAt: expect.any(Number),
          phase: "ENDED" as const
        }
        expect(verdict).toEqual({ _tag: "Changed", campaign: expected })
        expect(yield* campaigns.find(from.campaignId)).toEqual(expected)
        expect((yield* ledger.tally(from.campaignId))!.version).toBe(2)
        const seen: Array<OutboxEvent> = []
        expect(yield* outbox.poll(10, settle(seen))).toMatchObject({ taken: 1, settled: 1 })
        const { couponLimit, endTime, startTime, status } = change.to
        const terms = { campaignId: from.campaignId, couponLimit, endTime, startTime, status, version: 2 }
        expect(seen).toEqual([{ _tag: "Changed", id: change.changeId, campaignId: from.campaignId, terms }])
        const shown = {
          name: "봄",
          couponLimit: 5,
          status: "ACTIVE",
          startTime: "2025-06-25T00:00:00Z",
          endTime: null,
          version: 1
        }
        expect(yield* acts(from.campaignId)).toMatchObject([
          {
            actor: named("mover"),
            action: "campaign.update",
            before: shown,
            after: {
              name: "여름 '\\ 🎟️",
              couponLimit: 7,
              status: "PAUSED",
              startTime: "2025-06-25T00:00:00.001Z",
              endTime: "2025-06-25T00:00:00.002Z",
              version: 2
            }
          },
          { actor: named("maker"), action: "campaign.create", before: undefined, after: shown }
        ])
      }))

    it.effect("applies a change only to the version that it was decided on", () =>
      Effect.gen(function*() {
        const outbox = yield* Outbox
        const from = yield* createCampaign(draft())
        const verdicts = yield* Effect.forEach(
          Array.from({ length: 6 }, (_, k) => changeOf(from, { couponLimit: 2_000 + k })),
          (change) => campaigns.change(change),
          { concurrency: 6 }
        )
        expect(verdicts.map(({ _tag }) => _tag).sort()).toEqual([
          "Changed", "Stale", "Stale", "Stale", "Stale", "Stale"
        ])
        expect((yield* campaigns.find(from.campaignId))!.version).toBe(2)
        expect(yield* acts(from.campaignId)).toHaveLength(2)
        const seen: Array<OutboxEvent> = []
        yield* outbox.poll(1_000, settle(seen))
        expect(seen.filter((event) => event.campaignId === from.campaignId)).toHaveLength(1)
        expect(yield* campaigns.change(changeOf({ ...from, campaignId: 2_147_483_647 }, { name: "x" }))).toEqual({
          _tag: "Stale"
        })
      }))

    it.effect("lowers a limit to what is issued, and not below", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const from = yield* createCampaign(draft())
        yield* ledger.issue(batchOf(from.campaignId, users(1, 4)))
        expect(yield* campaigns.change(changeOf(from, { couponLimit: 3 }))).toEqual({ _tag: "BelowIssued", issued: 4 })
        expect(yield* campaigns.find(from.campaignId)).toMatchObject({ couponLimit: from.couponLimit, version: 1 })
        expect(yield* campaigns.change(changeOf(from, { couponLimit: 4 }))).toMatchObject({ _tag: "Changed" })
        expect(tagsOf(yield* ledger.issue(batchOf(from.campaignId, [9])))).toEqual(["CouponSoldOut"])
      }))

    it.effect("issues nothing that is asked after a pause has returned, whatever is under way", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        for (let round = 0; round < 5; round++) {
          const from = yield* createCampaign(draft())
          let paused = false
          let late = 0
          const claims = Effect.forEach(Array.from({ length: 40 }, (_, k) => k * 10 + 1), (first) =>
            Effect.suspend(() => {
              const after = paused
              return Effect.map(ledger.issue(batchOf(from.campaignId, users(first, 10))), (verdicts) => {
                if (after && verdicts.some(({ _tag }) => _tag === "Issued")) late++
              })
            }), { concurrency: 3 })
          const pause = campaigns.change(changeOf(from, { status: "PAUSED" })).pipe(
            Effect.tap(() => Effect.sync(() => paused = true)),
            Effect.zipRight(campaigns.find(from.campaignId))
          )
          const [, then] = yield* Effect.all([claims, Effect.delay(pause, round)], { concurrency: 2 })
          expect(late).toBe(0)
          expect((yield* campaigns.find(from.campaignId))!.issuedCount).toBe(then!.issuedCount)
        }
      }))

    it.effect("announces a raise until the campaign's next change, and only at its version", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* createCampaign(draft({ couponLimit: 5 }))
        const limits = Effect.map(
          campaigns.find(campaignId),
          (campaign) => [campaign!.couponLimit, campaign!.announcedLimit]
        )
        yield* campaigns.announceRaise(campaignId, 1, 9)
        yield* campaigns.announceRaise(campaignId, 1, 7)
        expect(yield* limits).toEqual([5, 9])
        yield* campaigns.announceRaise(campaignId, 2, 20)
        expect(yield* limits).toEqual([5, 9])
        expect(tagsOf(yield* ledger.issue(batchOf(campaignId, users(1, 7)))).filter((tag) => tag === "Issued"))
          .toHaveLength(5)
        const from = (yield* campaigns.find(campaignId))!
        yield* campaigns.change(changeOf(from, { name: "renamed" }))
        expect(yield* limits).toEqual([5, 5])
      }))

    it.effect("tells of a change in doubt whether it was made, and forbids it if not", () =>
      Effect.gen(function*() {
        const outbox = yield* Outbox
        const from = yield* createCampaign(draft())
        const made = changeOf(from, { status: "PAUSED" })
        yield* campaigns.change(made)
        expect(yield* campaigns.resolveChange(made.changeId)).toMatchObject({ status: "PAUSED", version: 2 })
        // Also when the relay is done with it, and as often as one asks.
        yield* outbox.poll(1_000, settle([]))
        expect(yield* campaigns.resolveChange(made.changeId)).toMatchObject({ status: "PAUSED", version: 2 })
        expect(yield* campaigns.resolveChange(made.changeId)).toMatchObject({ status: "PAUSED", version: 2 })
        const late = changeOf((yield* campaigns.find(from.campaignId))!, { status: "ACTIVE" })
        expect(yield* campaigns.resolveChange(late.changeId)).toBeUndefined()
        // Its bytes arrive after all.
        expect((yield* Effect.flip(campaigns.change(late)))._tag).toBe("CommitInDoubt")
        expect(yield* campaigns.find(from.campaignId)).toMatchObject({ status: "PAUSED", version: 2 })
        expect(yield* acts(from.campaignId)).toHaveLength(2)

        const id = batchId()
        const created = yield* createCampaign(draft({ name: "in doubt" }), { changeId: id })
        expect(yield* campaigns.resolveChange(id)).toEqual({ ...created, readAt: expect.any(Number) })
        const never = batchId()
        expect(yield* campaigns.resolveChange(never)).toBeUndefined()
        expect((yield* Effect.flip(createCampaign(draft({ name: "never" }), { changeId: never })))._tag)
          .toBe("CommitInDoubt")
        expect(
          yield* campaigns.list({ beforeId: undefined, limit: 10, status: undefined, namePrefix: "never", phases: [] })
        )
          .toEqual({ campaigns: [], nextBeforeId: undefined })
      }))

    it.effect("makes one campaign of a request's id, however many ask at once", () =>
      Effect.gen(function*() {
        const made = (id: string, content = "ab".repeat(32), changeId = batchId()) =>
          campaigns.create({ changeId, actor: named("test"), draft: draft({ name: id }), request: { id, content } })
        const tried = yield* Effect.forEach(
          Array.from({ length: 8 }, () => made("여름 🎟️ 'x'")),
          Effect.either,
          { concurrency: 8 }
        )
        const [campaign, ...others] = tried.flatMap(Either.match({
          onLeft: (failure) => {
            expect(failure._tag).toBe("RequestRepeated")
            return []
          },
          onRight: (one) => [one]
        }))
        expect(others).toEqual([])
        expect(yield* campaigns.findCreated("여름 🎟️ 'x'")).toEqual({
          campaign: { ...campaign, readAt: expect.any(Number) },
          content: "ab".repeat(32)
        })
        expect(yield* acts(campaign!.campaignId)).toHaveLength(1)
        // Ids are compared byte by byte: not by case, form or spaces at the end.
        for (const id of ["여름 🎟️ 'X'", "여름 🎟️ 'x' ", "여름 🎟️ 'x'".normalize("NFD"), "a\u0000", "가".repeat(64)]) {
          expect(yield* campaigns.findCreated(id)).toBeUndefined()
          const other = yield* made(id, "cd".repeat(32))
          expect(yield* campaigns.findCreated(id)).toMatchObject({
            campaign: { campaignId: other.campaignId },
            content: "cd".repeat(32)
          })
        }
        // What was forbidden leaves its id free.
        const late = batchId()
        expect(yield* campaigns.resolveChange(late)).toBeUndefined()
        expect((yield* Effect.flip(made("free", undefined, late)))._tag).toBe("CommitInDoubt")
        expect(yield* campaigns.findCreated("free")).toBeUndefined()
        yield* made("free")
        // It stays the same campaign's, whatever becomes of that.
        yield* campaigns.change(changeOf(campaign!, { name: "renamed" }))
        expect(yield* campaigns.findCreated("여름 🎟️ 'x'")).toMatchObject({ campaign: { name: "renamed", version: 2 } })
        expect((yield* Effect.flip(made("여름 🎟️ 'x'")))._tag).toBe("RequestRepeated")
      }))

    it.effect("lists newest first, by status and by the letters that a name begins with", () =>
      Effect.gen(function*() {
        const names = ["목록_1 ", "목록_1", "목록_2!%", "목록x1", "목록_", "xyz", "XYZ"]
        const made = yield* Effect.forEach(names, (of) => createCampaign(draft({ name: of })))
        yield* campaigns.change(changeOf(made[1]!, { status: "ENDED" }))
        const list = (
          namePrefix: string,
          more: {
            readonly beforeId?: number
            readonly limit?: number
            readonly status?: "ACTIVE" | "ENDED"
            readonly only?: ReadonlySet<number>
          } = {}
        ) =>
          Effect.map(
            campaigns.list({ beforeId: undefined, limit: 100, status: undefined, namePrefix, phases: [], ...more }),
            ({ campaigns }) => campaigns.map((campaign) => campaign.name)
          )
        expect(yield* list("목록")).toEqual(["목록_", "목록x1", "목록_2!%", "목록_1", "목록_1 "])
        expect(yield* list("목록_")).toEqual(["목록_", "목록_2!%", "목록_1", "목록_1 "])
        expect(yield* list("목록_1 ")).toEqual(["목록_1 "])
        expect(yield* list("목록_2!%")).toEqual(["목록_2!%"])
        expect(yield* list("%")).toEqual([])
        expect(yield* list("x")).toEqual(["xyz"])
        expect(yield* list("목록", { status: "ENDED" })).toEqual(["목록_1"])
        expect(yield* list("목록", { status: "ACTIVE", beforeId: made[3]!.campaignId })).toEqual(["목록_2!%", "목록_1 "])
        expect(yield* list("", { limit: 2 })).toEqual(["XYZ", "xyz"])
        // For a key that is limited to campaigns: pages of those alone, by whatever filter.
        const only = new Set([made[0]!, made[2]!, made[5]!].map(({ campaignId }) => campaignId))
        expect(yield* list("", { only })).toEqual(["xyz", "목록_2!%", "목록_1 "])
        expect(yield* list("", { only, limit: 1, beforeId: made[5]!.campaignId })).toEqual(["목록_2!%"])
        expect(yield* list("목록_1", { only, status: "ACTIVE" })).toEqual(["목록_1 "])
        expect(yield* list("", { only: new Set() })).toEqual([])
        expect(yield* campaigns.startTimes([made[0]!.campaignId, 2_147_483_647])).toEqual([
          { campaignId: made[0]!.campaignId, startTime: made[0]!.startTime }
        ])
        expect(yield* campaigns.startTimes([])).toEqual([])
      }))
  })
