import { SqlClient } from "@effect/sql/SqlClient"
import { layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { expect } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import { type Campaign, type CampaignSettings, settingsOf } from "../../src/domain/Campaign.ts"
import { campaignPhases, nextDue, phasesReached } from "../../src/domain/CampaignPhase.ts"
import { CampaignPhases, type PhaseState } from "../../src/ports/CampaignPhases.ts"
import { type CampaignStore, MAX_LIST_SCAN } from "../../src/ports/CampaignStore.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import * as Migrations from "../../src/sql/Migrations.ts"
import { batchId, batchOf, campaigns, createCampaign, draft, users } from "./ledger.exercise.ts"

const HOUR = 3_600_000

const change = (campaignId: number, to: Partial<CampaignSettings>) =>
  Effect.gen(function*() {
    const from = (yield* campaigns.find(campaignId))!
    const verdict = yield* campaigns.change({
      changeId: batchId(),
      actor: named("test"),
      action: "campaign.update",
      from,
      to: { ...settingsOf(from), ...to }
    })
    if (verdict._tag !== "Changed") throw new Error(verdict._tag)
    return verdict.campaign
  })

const find = (campaignId: number) => Effect.map(campaigns.find(campaignId), (found) => found!)

const stateOf = (campaignId: number) =>
  Effect.flatMap(CampaignPhases, (phases) => Effect.map(phases.read([campaignId]), ([state]) => state!))

/**
 * What the watch does with a campaign; returns the phases that were recorded, `undefined` if another one was faster.
 */
const settle = (state: PhaseState) =>
  Effect.gen(function*() {
    const reached = phasesReached(state.facts, state.recorded)
    const recorded = yield* (yield* CampaignPhases).record(state, reached, nextDue(state.facts))
    return recorded ? reached.map(({ phase }) => phase) : undefined
  })

const look = (campaignId: number) => Effect.flatMap(stateOf(campaignId), settle)

const shown = ({ openedAt, phase, soldOutAt }: Campaign) => ({ phase, openedAt, soldOutAt })

/** What the ledger and the `CampaignPhases` port say about phases, on whichever store the layer provides. */
export const exercise = <E>(
  name: string,
  layer: Layer.Layer<CampaignStore | Ledger | CampaignPhases | SqlClient, E>
): void =>
  withLayer(layer, { excludeTestServices: true, timeout: "240 seconds" })(name, (it) => {
    it.effect("derives the phase, when a campaign opened, and since when it is sold out", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId, createdAt, ...made } = yield* createCampaign(draft({ couponLimit: 3 }))
        expect(shown({ campaignId, createdAt, ...made })).toEqual({
          phase: "OPEN",
          openedAt: createdAt,
          soldOutAt: undefined
        })
        yield* ledger.issue(batchOf(campaignId, users(1, 5)))
        const issued = (yield* ledger.listCoupons(campaignId, 0, 10)).at(-1)!.issuedAt
        const soldOut = { phase: "SOLD_OUT", openedAt: createdAt, soldOutAt: issued }
        expect(shown(yield* find(campaignId))).toEqual(soldOut)

        // A change that touches neither limit nor window alters none of it, and pause and end leave it known.
        expect(shown(yield* change(campaignId, { name: "renamed" }))).toEqual(soldOut)
        expect(shown(yield* change(campaignId, { status: "PAUSED" }))).toEqual({ ...soldOut, phase: "PAUSED" })
        const raised = yield* change(campaignId, { couponLimit: 5, status: "ACTIVE" })
        expect(shown(raised)).toEqual({ phase: "OPEN", openedAt: createdAt, soldOutAt: undefined })
        const lowered = yield* change(campaignId, { couponLimit: 3 })
        expect(shown(lowered)).toEqual({ ...soldOut, soldOutAt: lowered.updatedAt })
        expect(lowered.updatedAt).toBeGreaterThanOrEqual(issued)

        const later = yield* change(campaignId, { startTime: Date.now() + HOUR })
        expect(shown(later)).toEqual({ ...soldOut, phase: "SCHEDULED", soldOutAt: lowered.updatedAt })
        expect(shown(yield* change(campaignId, { startTime: 0, endTime: 1 }))).toMatchObject({
          phase: "ENDED",
          openedAt: createdAt
        })
        expect(shown(yield* change(campaignId, { endTime: undefined }))).toMatchObject({
          phase: "SOLD_OUT",
          openedAt: createdAt
        })
        expect(shown(yield* change(campaignId, { status: "ENDED" }))).toMatchObject({
          phase: "ENDED",
          openedAt: createdAt
        })
      }))

    it.effect("knows when a campaign first opened, whatever was changed before", () =>
      Effect.gen(function*() {
        const { campaignId } = yield* createCampaign(draft({ startTime: Date.now() + HOUR }))
        expect(shown(yield* find(campaignId))).toEqual({
          phase: "SCHEDULED",
          openedAt: undefined,
          soldOutAt: undefined
        })
        expect(shown(yield* change(campaignId, { status: "PAUSED", startTime: 0 }))).toMatchObject({
          phase: "PAUSED",
          openedAt: undefined
        })
        const resumed = yield* change(campaignId, { status: "ACTIVE" })
        expect(shown(resumed)).toMatchObject({ phase: "OPEN", openedAt: resumed.updatedAt })
        expect(shown(yield* change(campaignId, { startTime: Date.now() + HOUR }))).toMatchObject({
          openedAt: resumed.updatedAt
        })
        expect(shown(yield* change(campaignId, { status: "ENDED" }))).toMatchObject({ openedAt: resumed.updatedAt })
        const never = yield* createCampaign(draft({ startTime: 0, endTime: 1 }))
        expect(shown(never)).toEqual({ phase: "ENDED", openedAt: undefined, soldOutAt: undefined })
      }))

    it.effect("records each phase once, however many look at the same time", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const phases = yield* CampaignPhases
        const { campaignId } = yield* createCampaign(draft({ couponLimit: 2, startTime: Date.now() + HOUR }))
        const race = Effect.gen(function*() {
          // All have read before any writes.
          const states = yield* Effect.forEach(Array.from({ length: 6 }), () => stateOf(campaignId), { concurrency: 6 })
          const settled = yield* Effect.forEach(states, settle, { concurrency: 6 })
          return settled.filter((reached) => reached !== undefined && reached.length > 0)
        })
        expect(yield* race).toEqual([["SCHEDULED"]])
        expect(yield* race).toEqual([])
        const opened = yield* change(campaignId, { startTime: 0 })
        yield* ledger.issue(batchOf(campaignId, users(1, 2)))
        // It opened and sold out between two looks.
        expect(yield* race).toEqual([["OPEN", "SOLD_OUT"]])
        yield* change(campaignId, { couponLimit: 3 })
        expect(yield* race).toEqual([["OPEN"]])
        yield* change(campaignId, { couponLimit: 4 })
        expect(yield* race).toEqual([])
        yield* ledger.issue(batchOf(campaignId, users(3, 2)))
        expect(yield* race).toEqual([["SOLD_OUT"]])
        yield* change(campaignId, { couponLimit: 5 })
        yield* ledger.issue(batchOf(campaignId, users(5, 1)))
        // Raised and sold out again between two looks.
        expect(yield* race).toEqual([["OPEN", "SOLD_OUT"]])
        yield* change(campaignId, { status: "PAUSED" })
        expect(yield* race).toEqual([["PAUSED"]])
        yield* change(campaignId, { status: "ENDED" })
        expect(yield* race).toEqual([["ENDED"]])
        const history = yield* phases.history(campaignId, 100)
        expect(history.map(({ phase }) => phase).toReversed())
          .toEqual(["SCHEDULED", "OPEN", "SOLD_OUT", "OPEN", "SOLD_OUT", "OPEN", "SOLD_OUT", "PAUSED", "ENDED"])
        expect(history.map(({ sequence }) => sequence)).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1])
        expect(history.map(({ at }) => at)).toEqual(history.map(({ at }) => at).sort((a, b) => b - a))
        for (const { at, noticedAt } of history) expect(noticedAt).toBeGreaterThanOrEqual(at)
        expect(history[7]).toMatchObject({ phase: "OPEN", at: opened.updatedAt })
        expect((yield* phases.history(campaignId, 2)).map(({ phase }) => phase)).toEqual(["ENDED", "PAUSED"])
        expect((yield* phases.history(campaignId, 2, 8)).map(({ sequence }) => sequence)).toEqual([7, 6])
        expect(yield* phases.history(campaignId, 2, 1)).toEqual([])
      }))

    it.effect("records nothing of a state that a change has left behind", () =>
      Effect.gen(function*() {
        const { campaignId } = yield* createCampaign(draft())
        const old = yield* stateOf(campaignId)
        yield* change(campaignId, { status: "PAUSED" })
        expect(yield* settle(old)).toBeUndefined()
        expect(yield* look(campaignId)).toEqual(["OPEN", "PAUSED"])
      }))

    it.effect("finds what is due: what was made or changed, and whose start or end has come", () =>
      Effect.gen(function*() {
        const phases = yield* CampaignPhases
        const isDue = (campaignId: number) => Effect.map(phases.due(10_000), (ids) => ids.includes(campaignId))
        const soon = Date.now() + 400
        const { campaignId } = yield* createCampaign(draft({ startTime: soon, endTime: soon + 400 }))
        expect(yield* isDue(campaignId)).toBe(true)
        expect(yield* look(campaignId)).toEqual(["SCHEDULED"])
        const nextTime = (what: string) =>
          Effect.gen(function*() {
            while (!(yield* isDue(campaignId))) yield* Effect.sleep("5 millis")
            return [what, yield* look(campaignId)]
          })
        // A busy machine may come after the end: then it receives both at once.
        const recorded = [
          ...(yield* nextTime("start"))[1]!,
          ...(yield* find(campaignId)).phase === "OPEN" ? (yield* nextTime("end"))[1]! : []
        ]
        expect(recorded).toEqual(["OPEN", "ENDED"])
        expect((yield* phases.history(campaignId, 2)).map(({ at }) => at)).toEqual([soon + 400, soon])
        expect(yield* isDue(campaignId)).toBe(false)
        yield* change(campaignId, { endTime: undefined })
        expect(yield* isDue(campaignId)).toBe(true)
        expect(yield* phases.due(1)).toHaveLength(1)
      }))

    it.effect("takes over what an older program has made or changed", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        const { campaignId, createdAt } = yield* createCampaign(draft())
        yield* sql.unsafe(`DELETE FROM campaign_phases WHERE campaign_id = ${campaignId}`)
        expect(shown(yield* find(campaignId))).toMatchObject({ phase: "OPEN", openedAt: createdAt })
        expect(yield* look(campaignId)).toEqual(["OPEN"])
        yield* sql.unsafe(`UPDATE campaigns SET status = 'PAUSED', version = version + 1 WHERE id = ${campaignId}`)
        expect(yield* look(campaignId)).toEqual(["PAUSED"])
        expect(yield* stateOf(campaignId)).toMatchObject({ version: 2, recordedVersion: 2, sequence: 2 })
        yield* sql.unsafe(`DELETE FROM campaign_phases WHERE campaign_id = ${campaignId}`)
        expect(shown(yield* change(campaignId, { status: "ACTIVE" }))).toMatchObject({ phase: "OPEN" })
      }))

    it.effect("gives campaigns of before it a row by its migration, without an event", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const sql = yield* SqlClient
        const phases = yield* CampaignPhases
        const now = Date.now()
        const sold = yield* createCampaign(draft({ couponLimit: 1 }))
        yield* ledger.issue(batchOf(sold.campaignId, users(1, 1)))
        const scheduled = yield* createCampaign(draft({ startTime: now + HOUR, endTime: now + 2 * HOUR }))
        const open = yield* createCampaign(draft({ endTime: now + HOUR }))
        const paused = yield* createCampaign(draft({ startTime: now + HOUR }))
        yield* change(paused.campaignId, { status: "PAUSED" })
        const over = yield* createCampaign(draft({ startTime: 0, endTime: 1 }))
        const made = [sold, scheduled, open, paused, over].map(({ campaignId }) => campaignId)
        const before = yield* Effect.forEach(made, find)
        const ids = made.join(",")
        yield* sql.unsafe(`DELETE FROM campaign_phases WHERE campaign_id IN (${ids})`)
        const dialect = sql.onDialectOrElse({ mysql: () => "mysql" as const, orElse: () => "libsql" as const })
        const { text } = (yield* Migrations.load(dialect)).find((migration) => migration.name === "campaign_phases")!
        const statements = text.replace(/--.*$/gm, "").split(";").map((statement) => statement.trim())
          .filter((statement) => statement !== "")
        yield* sql.unsafe(statements.at(-1)!)
        expect((yield* Effect.forEach(made, find)).map(shown)).toEqual(before.map(shown))
        const states = (yield* phases.read(made)).toSorted((a, b) => a.campaignId - b.campaignId)
        expect(states.map(({ dueAt, recorded, sequence, version, recordedVersion }) =>
          [recorded?.phase, dueAt, sequence, version === recordedVersion])).toEqual([
          ["SOLD_OUT", undefined, 0, true],
          ["SCHEDULED", scheduled.startTime, 0, true],
          ["OPEN", open.endTime, 0, true],
          ["PAUSED", paused.startTime, 0, true],
          ["ENDED", undefined, 0, true]
        ])
        expect(yield* Effect.forEach(states, settle)).toEqual([[], [], [], [], []])
      }))

    it.effect("lists by phases, which exclude one another, and agrees with the phase that it shows", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger
        const now = Date.now()
        const make = (name: string, to: Partial<Campaign>) =>
          Effect.map(createCampaign(draft({ name: `phase ${name}`, couponLimit: 1, ...to })), (made) => made.campaignId)
        const ended = yield* make("ended", {})
        yield* change(ended, { status: "ENDED" })
        const over = yield* make("over", { startTime: 0, endTime: now - 1 })
        const overPaused = yield* make("over and paused", { startTime: 0, endTime: now - 1 })
        yield* change(overPaused, { status: "PAUSED" })
        const paused = yield* make("paused", { startTime: now + HOUR })
        yield* change(paused, { status: "PAUSED" })
        const scheduled = yield* make("scheduled", { startTime: now + HOUR, endTime: now + 2 * HOUR })
        const soldOut = yield* make("sold out", { endTime: now + HOUR })
        yield* ledger.issue(batchOf(soldOut, users(1, 1)))
        const open = yield* make("open", { endTime: now + HOUR })
        const list = (...phases: ReadonlyArray<Campaign["phase"]>) =>
          Effect.map(
            campaigns.list({ beforeId: undefined, limit: 100, status: undefined, namePrefix: "phase ", phases }),
            ({ campaigns }) => {
              for (const { phase } of campaigns) if (phases.length > 0) expect(phases).toContain(phase)
              return campaigns.map(({ campaignId }) => campaignId)
            }
          )
        expect(yield* list("ENDED")).toEqual([overPaused, over, ended])
        expect(yield* list("PAUSED")).toEqual([paused])
        expect(yield* list("SCHEDULED")).toEqual([scheduled])
        expect(yield* list("SOLD_OUT")).toEqual([soldOut])
        expect(yield* list("OPEN")).toEqual([open])
        expect(yield* list("SOLD_OUT", "OPEN", "OPEN")).toEqual([open, soldOut])
        expect(yield* list(...campaignPhases)).toEqual(yield* list())
      }))

    it.effect("looks at a bounded number of campaigns for a page, and misses none", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        const first = yield* createCampaign(draft({ name: "rare" }))
        const size = MAX_LIST_SCAN + 1_000
        const numbers = (n: number) => Array.from({ length: n }, (_, d) => `SELECT ${d} AS d`).join(" UNION ")
        const digits = `(${numbers(10)})`
        const thousands = numbers(size / 1_000)
        yield* sql.unsafe(`INSERT INTO campaigns (name, coupon_limit, start_time, created_at, updated_at)
SELECT 'usual', 5, c.start_time, c.created_at, c.updated_at FROM campaigns AS c
CROSS JOIN ${digits} AS a CROSS JOIN ${digits} AS b CROSS JOIN ${digits} AS e
CROSS JOIN (${thousands}) AS f WHERE c.id = ${first.campaignId}`)
        const last = yield* createCampaign(draft({ name: "rare" }))
        const query = { limit: 10, status: undefined, namePrefix: "rare", phases: ["OPEN"] as const }
        const pages: Array<ReadonlyArray<number>> = []
        let beforeId: number | undefined
        do {
          const page = yield* campaigns.list({ ...query, beforeId })
          pages.push(page.campaigns.map(({ campaignId }) => campaignId))
          beforeId = page.nextBeforeId
        } while (beforeId !== undefined)
        expect(pages).toEqual([[last.campaignId], [first.campaignId]])
        // Without a filter a page is full, however many there are.
        const all = yield* campaigns.list({ ...query, namePrefix: "", phases: [], beforeId: undefined })
        expect([all.campaigns.length, all.nextBeforeId]).toEqual([10, all.campaigns.at(-1)!.campaignId])
      }))
  })
