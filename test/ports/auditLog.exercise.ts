import { layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { expect } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import { changeBy } from "../../src/domain/ChangeRecord.ts"
import { AuditLog, type AuditQuery, type AuditRecord } from "../../src/ports/AuditLog.ts"

const shown = ({ action, actor, after, before, campaignId }: AuditRecord) =>
  [actor.name, action, campaignId, before, after]

/** The `AuditLog` port's semantics, on whichever store the layer provides. */
export const exercise = <E>(name: string, layer: Layer.Layer<AuditLog, E>): void =>
  withLayer(layer, { excludeTestServices: true, timeout: "240 seconds" })(name, (it) => {
    it.effect("keeps who did what, exactly, newest first, and pages by id", () =>
      Effect.gen(function*() {
        const audit = yield* AuditLog
        const began = Date.now()
        yield* audit.append({
          ...changeBy(named("anonymous")),
          action: "key.create",
          outcome: "DONE",
          campaignId: undefined,
          before: undefined,
          after: { name: "운영 'key' \\ \" \n", roles: [] }
        })
        yield* Effect.forEach([1, 2, 3], (n) =>
          audit.append({
            ...changeBy(named(`ops '${n}'`)),
            action: "gate.rebuild",
            outcome: "DONE",
            campaignId: 7,
            before: n,
            after: null
          }))
        const all = yield* audit.list({ beforeId: undefined, limit: 3, campaignId: undefined })
        expect(all.map(shown))
          .toEqual([
            ["ops '3'", "gate.rebuild", 7, 3, null],
            ["ops '2'", "gate.rebuild", 7, 2, null],
            ["ops '1'", "gate.rebuild", 7, 1, null]
          ])
        expect(all.every(({ at }) =>
          Math.abs(at - began) < 60_000
        )).toBe(true)
        const rest = yield* audit.list({ beforeId: all.at(-1)!.id, limit: 3, campaignId: undefined })
        expect(rest.map(shown))
          .toEqual([
            ["anonymous", "key.create", undefined, undefined, { name: "운영 'key' \\ \" \n", roles: [] }]
          ])
        expect((yield* audit.list({ beforeId: all[0]!.id, limit: 1, campaignId: 7 })).map(({ before }) => before))
          .toEqual([2])
        expect(yield* audit.list({ beforeId: undefined, limit: 5, campaignId: 8 })).toEqual([])
        // For a key that is limited to campaigns: none of another campaign, and none without one.
        const only = (...ids: ReadonlyArray<number>) =>
          Effect.map(audit.list({ beforeId: undefined, limit: 4, campaignId: undefined, only: new Set(ids) }), (acts) =>
            acts.map(({ campaignId }) => campaignId))
        expect(yield* only(7, 9)).toEqual([7, 7, 7])
        expect(yield* only(8)).toEqual([])
        expect(yield* only()).toEqual([])
      }))

    it.effect("lists what one actor did, one kind of acts, and those of a time", () =>
      Effect.gen(function*() {
        const audit = yield* AuditLog
        const who = `filter ' % _ ${Math.random()}`
        for (const action of ["campaign.pause", "campaign.resume", "campaigns", "key.create"]) {
          yield* audit.append({
            ...changeBy(named(who)),
            action,
            outcome: "DONE",
            campaignId: undefined,
            before: undefined,
            after: undefined
          })
        }
        const list = (query: Partial<AuditQuery>) =>
          audit.list({ beforeId: undefined, limit: 10, campaignId: undefined, actor: who, ...query })
        const actions = (query: Partial<AuditQuery>) =>
          Effect.map(list(query), (acts) => acts.map(({ action }) => action))
        expect(yield* actions({})).toEqual(["key.create", "campaigns", "campaign.resume", "campaign.pause"])
        expect(yield* actions({ action: "campaign" })).toEqual(["campaign.resume", "campaign.pause"])
        expect(yield* actions({ action: "campaign.pause" })).toEqual(["campaign.pause"])
        for (const action of ["camp", "campaign%", "campaign.", "'", "\\"]) {
          expect(yield* actions({ action })).toEqual([])
        }
        expect(yield* actions({ actor: "filter" })).toEqual([])
        const [last] = yield* list({ limit: 1 })
        expect((yield* list({ since: last!.at })).map(({ id }) => id)).toContain(last!.id)
        expect((yield* list({ since: last!.at + 1 })).map(({ id }) => id)).toEqual([])
        expect((yield* list({ until: last!.at })).map(({ id }) => id)).not.toContain(last!.id)
        expect(yield* actions({ until: last!.at + 1 })).toHaveLength(4)
      }))

    it.effect("cuts an actor's name rather than losing the act", () =>
      Effect.gen(function*() {
        const audit = yield* AuditLog
        const change = changeBy(named("쿠".repeat(500)))
        const act = { action: "key.revoke", outcome: "DONE", campaignId: undefined, before: 1, after: 2 } as const
        yield* audit.append({ ...change, ...act })
        const [newest] = yield* audit.list({ beforeId: undefined, limit: 1, campaignId: undefined })
        expect(newest!.actor.name).toBe("쿠".repeat(200))
      }))

    it.effect("cuts a reason likewise, and keeps it as one line", () =>
      Effect.gen(function*() {
        const audit = yield* AuditLog
        const act = { action: "key.revoke", outcome: "DONE", campaignId: 12, before: 1, after: 2 } as const
        for (const reason of ["🎟".repeat(500), "two\nlines\t and \u0007", " \u200b "]) {
          yield* audit.append({ ...changeBy({ ...named("ops"), reason }), ...act })
        }
        const acts = yield* audit.list({ beforeId: undefined, limit: 3, campaignId: 12 })
        expect(acts.map(({ actor }) => actor.reason)).toEqual([undefined, "two lines and ?", "🎟".repeat(200)])
      }))

    it.effect("keeps who acted, from where, by which request, why, and with which outcome", () =>
      Effect.gen(function*() {
        const audit = yield* AuditLog
        const actor = {
          name: "ops",
          keyId: "0123456789abcdef",
          role: "OPERATOR",
          address: "2001:db8:0:1:2:3:4:5",
          requestId: "a".repeat(64),
          reason: "고객 '요청' \\ \"% _"
        }
        const act = { action: "act.refuse", campaignId: 11, before: undefined, after: { call: "PauseCampaign" } }
        yield* audit.append({ ...changeBy(actor), ...act, outcome: "REFUSED" })
        yield* audit.append({ ...changeBy(named("ops")), ...act, outcome: "DONE" })
        const [newest, older] = yield* audit.list({ beforeId: undefined, limit: 2, campaignId: 11 })
        expect(older).toMatchObject({ actor, outcome: "REFUSED" })
        expect(newest).toMatchObject({ actor: named("ops"), outcome: "DONE" })
      }))

    it.effect("records an act once that is appended again under its change id", () =>
      Effect.gen(function*() {
        const audit = yield* AuditLog
        const act = { action: "gate.rebuild", outcome: "DONE", campaignId: 9, before: null, after: null } as const
        const entry = { ...changeBy(named("twice")), ...act }
        yield* audit.append(entry)
        yield* audit.append(entry)
        expect(yield* audit.list({ beforeId: undefined, limit: 5, campaignId: 9 })).toHaveLength(1)
      }))
  })
