import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fc from "fast-check"
import { AuditLog, type AuditRecord } from "../../src/ports/AuditLog.ts"
import { CampaignPhases, type PhaseEvent } from "../../src/ports/CampaignPhases.ts"
import * as Timeline from "../../src/operator/audit/Timeline.ts"

const act = (id: number, at: number): AuditRecord => ({
  id,
  at,
  actor: { name: "test" },
  action: "campaign.update",
  campaignId: 1,
  before: undefined,
  after: undefined,
  outcome: "DONE"
} as AuditRecord)

/** Acts and phases, the newest first, as the ports return them. */
const stores = (acts: ReadonlyArray<AuditRecord>, phases: ReadonlyArray<PhaseEvent>) =>
  Layer.mergeAll(
    Layer.succeed(AuditLog, {
      append: () => Effect.void,
      list: ({ beforeId = Infinity, campaignId, limit }) =>
        Effect.sync(() => {
          expect(campaignId).toBe(1)
          return acts.filter(({ id }) => id < beforeId).slice(0, limit)
        })
    }),
    Layer.succeed(CampaignPhases, {
      due: () => Effect.succeed([]),
      read: () => Effect.succeed([]),
      record: () => Effect.succeed(false),
      history: (campaignId, limit, beforeSequence = Infinity) =>
        Effect.sync(() => {
          expect(campaignId).toBe(1)
          return phases.filter(({ sequence }) => sequence < beforeSequence).slice(0, limit)
        })
    })
  )

/** All pages of a timeline, each of so many entries at most. */
const pages = (limit: number) =>
  Effect.gen(function*() {
    const found: Array<Timeline.Page["entries"]> = []
    let before: Timeline.Page["before"] | undefined
    do {
      const page: Timeline.Page = yield* Timeline.read({ campaignId: 1, limit, before })
      found.push(page.entries)
      before = page.before
    } while (before !== null && found.length < 100)
    return found
  })

const shown = (entries: Timeline.Page["entries"]) =>
  entries.map((entry) => entry._tag === "Act" ? `act ${entry.act.id}` : `phase ${entry.reached.sequence}`)

const phase = (sequence: number, at: number): PhaseEvent => ({ sequence, phase: "OPEN", at, noticedAt: at })

describe("Timeline", () => {
  it.effect("has acts and phases by their time, a phase after the act that led to it", () =>
    Effect.gen(function*() {
      const all = shown((yield* pages(10)).flat())
      expect(all).toEqual(["phase 3", "act 9", "phase 2", "phase 1", "act 4"])
    }).pipe(Effect.provide(stores([act(9, 300), act(4, 100)], [phase(3, 300), phase(2, 200), phase(1, 150)]))))

  it.effect("is empty of a campaign without any", () =>
    Effect.gen(function*() {
      const page = yield* Timeline.read({ campaignId: 1, limit: 5, before: undefined })
      expect(page).toEqual({ entries: [], before: null })
    }).pipe(Effect.provide(stores([], []))))

  it("has each entry once over its pages, in the order of one page", () => {
    // Few different times, so that many are equal; and acts whose transaction took long have an earlier one.
    const times = fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 12 })
    fc.assert(fc.property(times, times, fc.integer({ min: 1, max: 7 }), (acts, phases, limit) => {
      const layer = stores(
        acts.map((at, k) => act(2 * (acts.length - k), at)),
        phases.toSorted((a, b) => b - a).map((at, k) => phase(phases.length - k, at))
      )
      const whole = Effect.runSync(Effect.provide(pages(1_000), layer))
      const parts = Effect.runSync(Effect.provide(pages(limit), layer))
      expect(whole).toHaveLength(1)
      expect(whole[0]).toHaveLength(acts.length + phases.length)
      expect(shown(parts.flat())).toEqual(shown(whole[0]!))
      for (const part of parts.slice(0, -1)) expect(part).toHaveLength(limit)
      // Each of the two keeps its order.
      for (const kind of ["act", "phase"]) {
        const numbers = shown(whole[0]!).filter((text) => text.startsWith(kind))
          .map((text) => Number(text.split(" ")[1]))
        expect(numbers).toEqual(numbers.toSorted((a, b) => b - a))
      }
    }))
  })
})
